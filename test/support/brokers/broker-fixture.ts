/**
 * A broker core alone in virtual time: no sockets, no threads, no timers. The test plays the clients, main's directory
 * and the clock. Everything a client's bytes lead to has happened when `send` returns; only a CONNECT takes its time,
 * because passwords might have to be hashed.
 */
import { randomBytes } from 'node:crypto';
import { Broker } from '../../../src/broker/broker.js';
import type { BrokerStore, Directory, Transport } from '../../../src/broker/ports.js';
import { reloadBroker, stopBroker, tickBroker } from '../../../src/broker/upkeep.js';
import {
  defaultListener,
  defaultSettings,
  type ListenerSettings,
  type Settings,
} from '../../../src/config/settings.js';
import type { Log, LogType } from '../../../src/log/log.js';
import { logMaskAll } from '../../../src/log/log-types.js';
import { FlushList } from '../../../src/mqtt/outgoing-buffer.js';
import type { ProtocolVersion } from '../../../src/mqtt/packets.js';
import type { Claim, ClaimAnswer, Takeover } from '../../../src/routing/messages.js';
import { ClientAccess } from '../../../src/runtime/shared/client-access.js';
import { Counter, type CounterName, createCounters } from '../../../src/sys/counters.js';
import type { ConnectOptions } from '../clients/packet-socket.js';
import { BrokerClient } from './broker-client.js';

export interface FixtureOptions {
  settings?: Partial<Settings>;
  /** Of the listeners, one each; the first is the one that clients come through unless told otherwise. */
  listeners?: Partial<ListenerSettings>[];
  /** Texts of the files that settings name. */
  files?: Record<string, string>;
  store?: BrokerStore;
  /** Counts changes for `autosave_on_changes`. */
  changes?: { add(): void };
  /** The types of log lines that are collected; by default all. */
  logMask?: number;
}

/** A claim as main's directory gets it; the test answers it where the fixture is told not to. */
export type OpenClaim = Omit<Claim, 'id'> & { id: number; answer: (answer: ClaimAnswer) => void };

export class BrokerFixture {
  readonly broker: Broker;
  /** Milliseconds since the epoch; a second begins here. */
  now = Date.UTC(2024, 0);
  /** Lines of the log, each behind its type: `notice New client connected from …`. */
  readonly log: string[] = [];
  readonly directory = new TestDirectory();
  readonly counters = new Float64Array(createCounters());
  /** Turns of the event loop follow one another as long as there is something to do; false: the test ends each. */
  turnsFollow = true;
  #turns: (() => void)[] = [];
  readonly #flushList = new FlushList(() => {});

  constructor({
    settings = {},
    listeners = [{}],
    files = {},
    store,
    changes,
    logMask = logMaskAll,
  }: FixtureOptions = {}) {
    const all: Settings = {
      ...defaultSettings(),
      ...settings,
      listeners: listeners.map((listener, i) => ({
        ...defaultListener(1883 + i),
        allowZeroLengthClientid: settings.allowZeroLengthClientid ?? true,
        ...listener,
      })),
    };
    this.broker = new Broker({
      settings: all,
      log: this.#logSink(logMask),
      counters: this.counters,
      directory: this.directory,
      access: new ClientAccess(all, new Map(Object.entries(files)), null),
      flushList: this.#flushList,
      undeliverable: (topic) => void this.log.push(`warning undeliverable ${topic}`),
      clock: () => this.now,
      nextTurn: (callback) => void this.#turns.push(callback),
      randomBytes,
      ...(store !== undefined && { store }),
      ...(changes !== undefined && { changes }),
    });
  }

  #logSink(mask: number): Log {
    const write = (type: LogType, text: string): void => void this.log.push(`${type} ${text}`);
    return { mask, write };
  }

  /** A network connection on which nothing was sent. */
  open(version: ProtocolVersion, listener = 0): BrokerClient {
    return new BrokerClient(this, version, listener);
  }

  /** A client that the broker has accepted. */
  async connect(
    version: ProtocolVersion = 4,
    options: ConnectOptions & { listener?: number } = {},
  ): Promise<BrokerClient> {
    const { listener = 0, ...packet } = options;
    const client = this.open(version, listener);
    await client.connect(packet);
    client.connack = client.expectPacket('connack', { reasonCode: 0 });
    return client;
  }

  /** Lets time pass, second by second, as the worker's timer does. */
  advance(seconds: number): void {
    for (let i = 0; i < seconds; i += 1) {
      this.now += 1000;
      tickBroker(this.broker);
      this.flush();
    }
  }

  /** SIGHUP, with other settings. */
  reload(settings: Partial<Settings>): void {
    reloadBroker(this.broker, { ...this.broker.settings, ...settings });
  }

  /** The broker ends orderly. */
  stop(): void {
    stopBroker(this.broker);
  }

  /** The turn of the event loop ends: what was written leaves, and what was put off is done. */
  flush(): void {
    this.#flushList.flushAll();
    while (this.turnsFollow && this.endTurn());
  }

  /** @returns whether there was something to do in the next turn */
  endTurn(): boolean {
    const turns = this.#turns;
    this.#turns = [];
    for (const callback of turns) callback();
    this.#flushList.flushAll();
    return turns.length > 0;
  }

  /** What main and hashed passwords still owe has come. */
  async settle(): Promise<void> {
    for (let i = 0; i < 3; i += 1) {
      await new Promise((resolve) => setImmediate(resolve));
      this.directory.answerAll();
    }
    this.flush();
  }

  count(name: CounterName): number {
    return this.counters[Counter[name]]!;
  }

  /** Log lines that match, without their type, since the last call. */
  takeLog(pattern: RegExp): string[] {
    return this.log
      .splice(0)
      .flatMap((line) => (pattern.test(line) ? [line.slice(line.indexOf(' ') + 1)] : []));
  }

  /** What is retained, as a new subscriber to the filter gets it: "topic payload". */
  retained(filter = '#'): string[] {
    const cursor = this.broker.matchRetained(filter);
    const found: string[] = [];
    while (!cursor.done) {
      cursor.next(100, (message) => {
        found.push(`${message.topic} ${Buffer.from(message.payload()).toString()}`);
      });
    }
    return found;
  }
}

/** Main's directory: grants every claim at the next `settle`, unless the test takes them into its own hands. */
export class TestDirectory implements Directory {
  automatic = true;
  /** Claims that are not answered. */
  readonly claims: OpenClaim[] = [];
  /** Client ids whose session ended. */
  readonly ended: string[] = [];
  readonly takeovers: Takeover[] = [];
  readonly willsDone: [clientId: string, claim: number][] = [];
  /** Connections that were sent to other workers, with the bytes that go with them. */
  readonly passed: { worker: number; received: Buffer }[] = [];
  closedConnections = 0;
  #lastId = 0;

  answerAll(): void {
    if (!this.automatic) return;
    for (const { id, answer } of this.claims.splice(0)) answer({ id, verdict: 'granted' });
  }

  claim(claim: Omit<Claim, 'id'>, answer: (answer: ClaimAnswer) => void): number {
    this.#lastId += 1;
    this.claims.push({ ...claim, id: this.#lastId, answer });
    return this.#lastId;
  }

  willDone(clientId: string, claim: number): void {
    this.willsDone.push([clientId, claim]);
  }

  takenOver(takeover: Takeover): void {
    this.takeovers.push(takeover);
  }

  sessionEnded(clientId: string): void {
    this.ended.push(clientId);
  }

  pass(worker: number, transport: Transport, received: Uint8Array): void {
    transport.detach();
    this.passed.push({ worker, received: Buffer.from(received) });
  }

  closed(): void {
    this.closedConnections += 1;
  }
}
