/** The work for the whole broker: once a second, at a reload, at its end. */
import type { Settings } from '../config/settings.js';
import type { Broker } from './broker.js';
import { gauge } from './gauges.js';
import { expireSessions } from './session-path.js';
import { publishWill } from './will-path.js';

/** Milliseconds between two ticks, which are due every second. After a longer time this worker has stood still. */
const STOOD_STILL_MS = 3000;

/** Once a second: keepalives, delayed wills, the ends of sessions. */
export function tickBroker(broker: Broker): void {
  const now = broker.refreshNow();
  const stoodStill = now - broker.tickedAt > STOOD_STILL_MS;
  broker.tickedAt = now;
  // If the process was stopped or had no time, packets wait in the sockets. The worker reads them before it closes
  // clients for their keepalive.
  if (!stoodStill) {
    for (const connection of broker.connections) connection.tick(now);
    publishDueWills(broker, now);
    expireSessions(broker);
  }
  broker.denials.tick(now);
  gauge(broker);
  broker.memory.tick(now);
}

/** New settings after SIGHUP, which `access` has already: rights change, and some clients have to go. */
export function reloadBroker(broker: Broker, settings: Settings): void {
  broker.replaceSettings(settings);
  for (const session of broker.sessions.values()) {
    if (session.peer !== null) continue; // its connection sees to it
    session.rights = broker.rightsWhileAway(session);
  }
  for (const connection of broker.connections) connection.reload();
}

/** Orderly end: every will is published, delays ignored, then every connection is closed. */
export function stopBroker(broker: Broker): void {
  broker.refreshNow();
  publishDueWills(broker, Number.POSITIVE_INFINITY);
  for (const connection of broker.connections) connection.publishWillNow();
  broker.flushList.flushAll();
  for (const connection of broker.connections) connection.stop();
  for (const session of broker.sessions.values()) {
    broker.reportDrops(session, session.peer === null ? 'while it was away' : 'while it was connected');
  }
}

function publishDueWills(broker: Broker, until: number): void {
  for (const [clientId, will] of broker.delayedWills.takeDue(until)) publishWill(broker, clientId, will);
}

/** SIGUSR2: one line a subscription. */
export function describeSubscriptions(broker: Broker): string[] {
  const described: string[] = [];
  for (const session of broker.sessions.values()) {
    for (const { filter, qos } of session.subscriptions.values()) {
      described.push(`${session.clientId} ${qos} ${filter}`);
    }
  }
  return described;
}
