/**
 * Reports the state of a bridge: its state topic, `1` or `0`, as Mosquitto has it [mosq: notifications], and
 * topics of our own under `$SYS/broker/bridge/NAME/`.
 */
import type { Broker } from '../broker/broker.js';
import { publishOwn } from '../broker/route-publication.js';
import type { BridgeSettings } from '../config/settings.js';
import { Publication } from '../mqtt/publication.js';
import { stateTopic } from './remote-connect.js';

export interface BridgeState {
  connected: boolean;
  /** A clause; '' = none since the start. */
  lastError: string;
  /** Milliseconds since the epoch; 0 = connected, or no attempt is planned. */
  nextTryAt: number;
}

export interface BridgeFigures {
  waitingMessages: number;
  /** Of payload. */
  waitingBytes: number;
  oldestAgeMs: number;
  /** Messages that will never arrive, by the reason. */
  dropped: Readonly<Record<string, number>>;
}

export class BridgeReport {
  readonly #broker: Broker;
  readonly #prefix: string;
  /** What was published last, by topic. */
  readonly #shown = new Map<string, string>();

  constructor(broker: Broker, name: string) {
    this.#broker = broker;
    this.#prefix = `$SYS/broker/bridge/${name.replaceAll(/[+#]/g, '_')}/`;
  }

  state({ connected, lastError, nextTryAt }: BridgeState): void {
    this.#show('connected', connected ? '1' : '0');
    this.#show('last_error', lastError);
    this.#show('next_try', nextTryAt === 0 ? '' : new Date(nextTryAt).toISOString());
  }

  figures({ waitingMessages, waitingBytes, oldestAgeMs, dropped }: BridgeFigures): void {
    this.#show('backlog/messages', String(waitingMessages));
    this.#show('backlog/bytes', String(waitingBytes));
    this.#show('backlog/oldest', `${Math.floor(oldestAgeMs / 1000)} seconds`);
    for (const [reason, count] of Object.entries(dropped)) {
      this.#show(`dropped/${reason.replaceAll(' ', '_')}`, String(count));
    }
  }

  /** The state topic on this broker. */
  notify(settings: BridgeSettings, isConnected: boolean): void {
    if (settings.notifications) this.#publish(stateTopic(settings), isConnected ? '1' : '0');
  }

  /** The bridge is gone: so are its topics. */
  clear(): void {
    for (const topic of this.#shown.keys()) this.#publish(topic, '');
    this.#shown.clear();
  }

  #show(name: string, value: string): void {
    const topic = this.#prefix + name;
    if (this.#broker.settings.sysInterval === 0 || this.#shown.get(topic) === value) return;
    this.#shown.set(topic, value);
    // An empty retained message would be none at all.
    this.#publish(topic, value === '' ? 'none' : value);
  }

  #publish(topic: string, value: string): void {
    const payload = Buffer.from(value);
    publishOwn(this.#broker, Publication.create({ topic, payload, qos: 1, retain: true }));
  }
}
