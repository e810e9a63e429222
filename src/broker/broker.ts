/**
 * The broker of one worker thread: its sessions and connections, the routes, the retained messages, the links to
 * the other workers. The paths (`connect-path.ts`, `publish-path.ts`, `records-path.ts`, `subscribe-path.ts`) work on
 * this state.
 *
 * Time comes in through `clock` and `tick`; the world through the interfaces in `ports.ts`.
 */
import { type ClientAcl, OPEN_ACL } from '../auth/acl-check.js';
import { PlacedList } from '../base/placed-list.js';
import { Registry } from '../base/registry.js';
import type { Settings } from '../config/settings.js';
import { type Log, LogMask } from '../log/log.js';
import * as lines from '../log/mosquitto-lines.js';
import type { SessionRecord, SubscriptionRecord } from '../model/session-record.js';
import type { FlushList } from '../mqtt/outgoing-buffer.js';
import { Publication } from '../mqtt/publication.js';
import { Cluster } from '../routing/cluster.js';
import { RouteTable } from '../routing/route-table.js';
import {
  type DropReason,
  NEVER,
  Session,
  type SessionEvents,
  type SessionLimits,
} from '../session/session.js';
import type { KeptContents, SessionStorage } from '../session/session-storage.js';
import { Subscription } from '../session/subscription.js';
import { Counter, type CounterName } from '../sys/counters.js';
import { RetainedTree } from '../topic/retained-tree.js';
import { isSysTopic } from '../topic/topic-name.js';
import type { Connection } from './connection.js';
import { DenialLog } from './denials.js';
import { gauge } from './gauges.js';
import { MemoryStore, retainedCursor } from './memory-store.js';
import type { Access, BrokerStore, Directory, RetainedCursor } from './ports.js';
import { routePublication } from './publish-path.js';
import { Releases } from './releases.js';
import { DelayedWills, type PreparedWill, restoredWill, willRecord } from './wills.js';

const DROP_COUNTERS: Record<DropReason, CounterName> = {
  'queue full': 'dropQueueFull',
  backlog: 'dropBacklog',
  'too large': 'dropTooLarge',
  expired: 'dropExpired',
};

export interface BrokerWorld {
  settings: Settings;
  log: Log;
  counters: Float64Array;
  directory: Directory;
  access: Access;
  flushList: FlushList;
  /** None: everything is in memory. */
  store?: BrokerStore;
  /** Counts changes for `autosave_on_changes`. */
  changes?: { add(): void };
  /** Milliseconds since the epoch. */
  clock: () => number;
}

/** A session as the store gives it back. */
export interface RestoredSession {
  record: Readonly<SessionRecord>;
  keeper: SessionStorage;
  subscriptions: readonly SubscriptionRecord[];
  contents: KeptContents;
}

export class Broker implements SessionEvents {
  settings: Settings;
  readonly log: Log;
  readonly counters: Float64Array;
  readonly directory: Directory;
  readonly access: Access;
  readonly flushList: FlushList;
  readonly #clock: () => number;
  readonly #changes: { add(): void } | undefined;

  readonly routes = new RouteTable();
  readonly cluster = new Cluster();
  /** Retained messages of `$SYS`: the broker's own, in every worker, never stored. */
  readonly sysRetained = new RetainedTree<Publication>();
  readonly store: BrokerStore;
  readonly sessions = new Registry<Session>();
  readonly connections = new PlacedList<Connection>();
  /** Bridges are clients, too, though no connection of theirs comes in. */
  connectedBridges = 0;
  readonly delayedWills = new DelayedWills();
  readonly releases = new Releases(this);
  readonly denials: DenialLog;

  /** Milliseconds since the epoch, as of the bytes being worked on. */
  now: number;
  /** The PUBLISH being read (hot path): one object for all. */
  readonly incoming = new Publication();
  /** The record of another worker being read. */
  readonly linked = new Publication();
  /** Counts routed messages, to find a session that was already served (`allow_duplicate_messages false`). */
  serial = 0;
  /** More than `memory_limit` is taken: messages of clients are refused. */
  memoryIsShort = false;
  readonly #limits: SessionLimits;

  constructor(world: BrokerWorld) {
    this.settings = world.settings;
    this.log = world.log;
    this.counters = world.counters;
    this.directory = world.directory;
    this.access = world.access;
    this.flushList = world.flushList;
    this.store = world.store ?? new MemoryStore();
    this.denials = new DenialLog(world.log);
    this.#clock = world.clock;
    this.#changes = world.changes;
    this.now = world.clock();
    this.#limits = { ...world.settings };
  }

  /** Reads the clock; called once for each piece of input. */
  refreshNow(): number {
    this.now = this.#clock();
    return this.now;
  }

  // ----------------------------------------------------------------- sessions

  createSession(clientId: string, version: Session['version']): Session {
    const session = new Session(clientId, version, this.#limits, this);
    this.sessions.set(clientId, session);
    return session;
  }

  /** Ends a session, and with it this worker's claim to the client id. */
  endSession(session: Session): void {
    if (this.sessions.get(session.clientId) !== session) return;
    this.removeSession(session);
    this.directory.released(session.clientId);
  }

  /** Its subscriptions go; shared messages that it had not acknowledged go to other members. */
  removeSession(session: Session): void {
    this.sessions.delete(session.clientId);
    this.reportDrops(session, 'while it was away');
    session.keeper?.end();
    const changes = [];
    for (const subscription of session.subscriptions.values()) {
      const change = this.routes.remove(subscription);
      if (change !== null) changes.push(change);
    }
    this.cluster.announce(changes);
    for (const { publication, subscription } of session.takeBackShared()) {
      this.deliverToGroup(publication, subscription.filter);
    }
    session.subscriptions.clear();
  }

  /** When a session that lost its connection ends; `Infinity` = never. Milliseconds since the epoch. */
  sessionEndsAt(session: Session): number {
    const { persistentClientExpiration } = this.settings;
    const seconds = Math.min(
      session.expiryInterval === NEVER ? Number.POSITIVE_INFINITY : session.expiryInterval,
      persistentClientExpiration ?? Number.POSITIVE_INFINITY,
    );
    return session.disconnectedAt + seconds * 1000;
  }

  // ----------------------------------------------------------------- messages

  /** Delivers to one subscriber, whatever the topic. */
  deliver(publication: Publication, subscription: Subscription, shared: boolean): void {
    const { qos: granted, session } = subscription;
    const qos = this.settings.upgradeOutgoingQos || granted < publication.qos ? granted : publication.qos;
    const retain = publication.retain && subscription.retainAsPublished;
    session.deliver(publication, qos, retain, subscription.identifiers, shared ? subscription : null);
  }

  /** Publishes a message of the broker itself, or a will. */
  publish(publication: Publication): void {
    routePublication(this, this.routes.routeOf(publication.topic), publication, null);
  }

  /** Sets the retained message of the topic; an empty payload clears it [MQTT-3.3.1-6]. */
  keepRetained(publication: Publication): void {
    const { topic, payloadLength } = publication;
    if (!isSysTopic(topic)) this.changed();
    if (isSysTopic(topic)) {
      if (payloadLength === 0) this.sysRetained.delete(topic);
      else this.sysRetained.set(publication.keep());
    } else if (payloadLength === 0) {
      this.store.retained.clear(topic);
    } else {
      this.store.retained.set(publication);
    }
  }

  /** The retained messages that a filter matches, to be read in pieces. */
  matchRetained(filter: string): RetainedCursor {
    return isSysTopic(filter) ? retainedCursor(this.sysRetained, filter) : this.store.retained.match(filter);
  }

  /** Whether the client that published a retained message may still write to its topic. */
  sourceMayWrite({ topic, origin, originUsername }: Publication): boolean {
    if (origin === '') return true; // the broker itself
    if (this.settings.bridges.some(({ localClientid }) => localClientid === origin)) return true;
    const username = originUsername === '' ? undefined : originUsername;
    return this.access.aclOf(null, username, origin)?.canWrite(topic) ?? true;
  }

  /** Sessions change what they keep in the middle of a publish. */
  mark(): number {
    return this.store.markWithin();
  }

  /** Something changed that a save would keep [mosq: autosave_on_changes]. */
  changed(): void {
    if (this.settings.autosaveOnChanges) this.#changes?.add();
  }

  whenSettled(mark: number, callback: () => void): void {
    this.store.whenSettled(mark, callback);
  }

  /** Messages that did not go to other workers, whose links are congested. */
  droppedCongested(count: number): void {
    this.counters[Counter.publishDropped]! += count;
    this.counters[Counter.dropCongested]! += count;
  }

  /** A message that did not reach a client. */
  dropped(session: Session, reason: DropReason): void {
    this.counters[Counter.publishDropped]! += 1;
    this.counters[Counter[DROP_COUNTERS[reason]]]! += 1;
    if (session.dropCounts !== null) session.dropCounts[reason] += 1;
    session.unreportedDrops ??= new Map();
    session.unreportedDrops.set(reason, (session.unreportedDrops.get(reason) ?? 0) + 1);
    if (reason !== 'queue full' && reason !== 'backlog') return;
    session.droppedSinceConnect += 1;
    if (session.droppedSinceConnect === 1) {
      this.log.write('notice', lines.outgoingMessagesDropped(session.clientId));
    }
  }

  /** Says how many messages for a client were dropped, and why. @param during what the time is called */
  reportDrops(session: Session, during: 'while it was connected' | 'while it was away'): void {
    const { clientId, unreportedDrops } = session;
    if (unreportedDrops === null) return;
    session.unreportedDrops = null;
    this.log.write('notice', lines.messagesDropped(clientId, during, unreportedDrops));
  }

  // ----------------------------------------------------------------- wills

  /** A connection ended without DISCONNECT, or asked for its will [MQTT-3.1.2-8]. */
  releaseWill(session: Session, will: PreparedWill): void {
    if (will.delay > 0 && session.outlivesConnection) {
      const dueAt = Math.min(this.now + will.delay * 1000, this.sessionEndsAt(session));
      this.delayedWills.add(session.clientId, will, dueAt);
      session.keeper?.update({ will: willRecord(will, dueAt) });
    } else {
      this.publishWill(session.clientId, will);
    }
  }

  /** A client went away and its session stays: until when is kept. */
  keepDisconnected(session: Session): void {
    const endsAt = this.sessionEndsAt(session);
    session.keeper?.update({
      sessionExpiry: session.expiryInterval,
      disconnectedAt: session.disconnectedAt,
      expiresAt: Number.isFinite(endsAt) ? endsAt : 0,
      isSending: session.isInDoubt,
      lastPacketId: session.lastPacketId,
      will: undefined,
    });
  }

  /** Takes up a stored session, as at a start. */
  restoreSession(loaded: RestoredSession): void {
    const { record, keeper, subscriptions, contents } = loaded;
    const session = this.createSession(record.clientId, record.protocolVersion);
    session.username = record.username;
    session.rights = this.#rightsWhileAway(session);
    session.expiryInterval = record.sessionExpiry;
    // It was connected when the broker ended: its time begins now.
    session.disconnectedAt = record.disconnectedAt || this.now;
    session.restore(keeper, contents, record.lastPacketId, record.isSending === true);
    for (const subscriptionRecord of subscriptions) {
      const subscription = Subscription.fromRecord(session, subscriptionRecord);
      session.subscriptions.set(subscription.filter, subscription);
      this.routes.add(subscription);
    }
    const { will } = record;
    if (will !== undefined) {
      const dueAt = will.dueAt || this.now + will.delay * 1000;
      this.delayedWills.add(session.clientId, restoredWill(will, record.username), dueAt);
    }
    if (record.disconnectedAt === 0) keeper.update({ disconnectedAt: session.disconnectedAt });
  }

  publishWill(clientId: string, will: PreparedWill): void {
    if (will.expiry !== 0) will.publication.expiresAt = this.now + will.expiry * 1000;
    this.directory.willDone(clientId, will.claim);
    this.sessions.get(clientId)?.keeper?.update({ will: undefined });
    if (will.publication.retain && !this.settings.retainAvailable) return;
    if (!this.#mayPublishWill(clientId, will)) return;
    this.publish(will.publication);
  }

  /** Asked when the will is sent, for rights may have changed since CONNECT. */
  #mayPublishWill(clientId: string, { publication, listener, username }: PreparedWill): boolean {
    const acl = this.access.aclOf(listener, username, clientId) ?? OPEN_ACL;
    if (acl.canWrite(publication.topic)) return true;
    this.denials.denied(clientId, publication.topic, acl, this.now);
    return false;
  }

  // ----------------------------------------------------------------- time

  /** Once a second: keepalives, delayed wills, the ends of sessions. */
  tick(): void {
    const now = this.refreshNow();
    for (const connection of this.connections) connection.tick(now);
    for (const [clientId, will] of this.delayedWills.takeDue(now)) this.publishWill(clientId, will);
    for (const session of this.sessions.values()) {
      if (session.peer === null && this.sessionEndsAt(session) <= now) this.#expire(session);
    }
    this.denials.tick(now);
    gauge(this);
  }

  /** New settings after SIGHUP, which `access` has already: rights change, and some clients have to go. */
  reload(settings: Settings): void {
    this.settings = settings;
    Object.assign(this.#limits, settings);
    for (const session of this.sessions.values()) {
      if (session.peer !== null) continue; // its connection sees to it
      session.rights = this.#rightsWhileAway(session);
    }
    for (const connection of this.connections) connection.reload();
  }

  /** Access rules do not apply to bridges [mosq: local_username]. */
  #rightsWhileAway({ clientId, username, listener }: Session): ClientAcl | null {
    const isBridge = this.settings.bridges.some(({ localClientid }) => localClientid === clientId);
    return isBridge ? null : this.access.aclOf(listener, username, clientId);
  }

  /** Orderly end: every will is published, delays ignored, then every connection is closed. */
  stop(): void {
    this.refreshNow();
    for (const [clientId, will] of this.delayedWills.takeDue(Number.POSITIVE_INFINITY)) {
      this.publishWill(clientId, will);
    }
    for (const connection of this.connections) connection.publishWillNow();
    this.flushList.flushAll();
    for (const connection of this.connections) connection.stop();
    for (const session of this.sessions.values()) {
      this.reportDrops(session, session.peer === null ? 'while it was away' : 'while it was connected');
    }
  }

  #expire(session: Session): void {
    const will = this.delayedWills.take(session.clientId);
    if (will !== undefined) this.publishWill(session.clientId, will);
    this.counters[Counter.sessionsExpired]! += 1;
    if (this.settings.connectionMessages) {
      this.log.write('notice', lines.expiringClient(session.clientId));
    }
    this.endSession(session);
  }

  /** A member of a shared subscription is gone: another one gets its message [MQTT-4.8.2-5]. */
  deliverToGroup(publication: Publication, groupKey: string): void {
    const next = this.routes.group(groupKey)?.nextReader(publication.topic);
    if (typeof next === 'number') this.cluster.forwardToGroup(publication, next, groupKey);
    else if (next !== undefined) this.deliver(publication, next, true);
  }

  /** SIGUSR2: one line a subscription. */
  describeSubscriptions(): string[] {
    const described: string[] = [];
    for (const session of this.sessions.values()) {
      for (const { filter, qos } of session.subscriptions.values()) {
        described.push(`${session.clientId} ${qos} ${filter}`);
      }
    }
    return described;
  }

  /** Whether a line of this type is wanted. */
  logs(type: keyof typeof LogMask): boolean {
    return (this.log.mask & LogMask[type]) !== 0;
  }
}
