/**
 * The state of the broker of one worker thread: its sessions and connections, the routes, the retained messages, the
 * links to the other workers. The operations on it are functions in the other files of this folder, which take a
 * `Broker`; this file imports none of them.
 *
 * Time comes in through `clock` and `upkeep.ts`, the world through the interfaces in `ports.ts`.
 */
import type { TopicAcl } from '../auth/acl-check.js';
import { Registry } from '../base/registry.js';
import { type HasSlot, SlotList } from '../base/slot-list.js';
import { listenerIndex } from '../config/listener-key.js';
import type { Settings } from '../config/settings.js';
import { type Log, LogMask } from '../log/log.js';
import * as lines from '../log/mosquitto-lines.js';
import type { FlushList, OutgoingBuffer } from '../mqtt/outgoing-buffer.js';
import { Publication } from '../mqtt/publication.js';
import { Cluster } from '../routing/cluster.js';
import type { ControlRequest } from '../routing/messages.js';
import { RouteTable } from '../routing/route-table.js';
import type { DropReason, SessionLimits } from '../session/outbound.js';
import { NEVER, Session, type SessionEvents } from '../session/session.js';
import { Counter, type CounterName } from '../sys/counters.js';
import { RetainedTree } from '../topic/retained-tree.js';
import { isSysTopic } from '../topic/topic-name.js';
import { DenialLog } from './denials.js';
import { gauge } from './gauges.js';
import { InputGuard } from './input-guard.js';
import { MemoryBudget } from './memory-budget.js';
import { MemoryStore, retainedCursor } from './memory-store.js';
import type { Access, BrokerStore, Directory, RetainedCursor } from './ports.js';
import { Releases } from './releases.js';
import { UndeliverableTopics } from './undeliverable.js';
import { DelayedWills } from './wills.js';

function ignore(): void {}

const DROP_COUNTERS: Record<DropReason, CounterName> = {
  'queue full': 'dropQueueFull',
  memory: 'dropMemory',
  backlog: 'dropBacklog',
  'too large': 'dropTooLarge',
  expired: 'dropExpired',
  malformed: 'dropMalformed',
};

export interface BrokerWorld {
  settings: Settings;
  log: Log;
  counters: Float64Array;
  directory: Directory;
  access: Access;
  /** Passes a request to dynamic security on to main. */
  requestControl?: (request: ControlRequest) => void;
  flushList: FlushList;
  /** None: everything is in memory. */
  store?: BrokerStore;
  /** Counts changes for `autosave_on_changes`. */
  changes?: { add(): void };
  /** Told whose stored session is worked on, in case this worker dies over it. */
  workingRecord?: { begin(clientId: string): void; end(): void };
  /** Hears of the topic of a stored message with a text that no client takes. */
  undeliverable: (topic: string) => void;
  /** Milliseconds since the epoch. */
  clock: () => number;
  /** Calls back in the next turn of the event loop, after other clients have been read from. */
  nextTurn: (callback: () => void) => void;
  /** Bytes of memory of the whole process. */
  processBytes?: () => number;
  /** For the ids of clients that bring none: they are not to be guessed. */
  randomBytes: (length: number) => Uint8Array;
}

/** A connection, as what concerns all of them sees it. */
export interface OpenConnection extends HasSlot {
  readonly out: OutgoingBuffer;
  /** `null` before its client is connected. */
  readonly openSession: Session | null;
  /** For the log. */
  readonly name: string;
  /** Bytes of a packet that is not complete. */
  readonly unreadBytes: number;
  /** Of that, and of packets that its client has not read. */
  readonly bufferedBytes: number;
  /** Bytes of its will, here and in main. */
  readonly willBytes: number;
  /** Closes it for its packets. */
  refuseForMemory(): void;
  readonly sender: { countSent(): void };
  /** Once a second. @param now milliseconds since the epoch */
  tick(now: number): void;
  /** There are new settings, and new rights. */
  reload(): void;
  /** Dynamic security has changed. */
  rightsChanged(): void;
  leaveIfKicked(usernames: ReadonlySet<string>, anonymous: boolean): void;
  /** Some link has room again. */
  relieve(): void;
  publishWillNow(): void;
  /** Orderly end of the broker. */
  stop(): void;
}

export class Broker implements SessionEvents {
  settings: Settings;
  readonly log: Log;
  readonly counters: Float64Array;
  readonly directory: Directory;
  readonly access: Access;
  /** Passes a request to dynamic security on to main. */
  readonly requestControl: (request: ControlRequest) => void;
  readonly flushList: FlushList;
  readonly randomBytes: (length: number) => Uint8Array;
  /** Calls back in the next turn of the event loop, after other clients have been read from. */
  readonly nextTurn: (callback: () => void) => void;
  readonly #clock: () => number;
  readonly #changes: { add(): void } | undefined;
  readonly #workingRecord: BrokerWorld['workingRecord'];

  readonly routes = new RouteTable();
  readonly cluster = new Cluster();
  /** Retained messages of `$SYS`: the broker's own, in every worker, never stored. */
  readonly sysRetained = new RetainedTree<Publication>();
  /** Bytes of their payload. */
  sysRetainedBytes = 0;
  readonly store: BrokerStore;
  readonly sessions = new Registry<Session>();
  readonly connections = new SlotList<OpenConnection>();
  /** Bridges are clients, too, though no connection of theirs comes in. */
  connectedBridges = 0;
  readonly delayedWills = new DelayedWills();
  readonly releases = new Releases();
  readonly denials: DenialLog;
  readonly guard: InputGuard;
  readonly memory: MemoryBudget;

  /** Milliseconds since the epoch, as of the bytes being worked on. */
  now: number;
  /** Milliseconds since the epoch of the last tick, or of the start before the first one. */
  tickedAt: number;
  /** The PUBLISH being read (hot path): one object for all. */
  readonly incoming = new Publication();
  /** The record of another worker being read. */
  readonly linked = new Publication();
  /** Counts routed messages, to find a session that was already served (`allow_duplicate_messages false`). */
  serial = 0;
  /** The store finds no room: what has to be stored is refused where that can be told, and waits elsewhere. */
  storeIsFull = false;
  readonly #limits: SessionLimits;
  readonly #undeliverable = new UndeliverableTopics();
  readonly #tellUndeliverable: (topic: string) => void;

  constructor(world: BrokerWorld) {
    this.settings = world.settings;
    this.log = world.log;
    this.counters = world.counters;
    this.directory = world.directory;
    this.access = world.access;
    this.requestControl = world.requestControl ?? ignore;
    this.flushList = world.flushList;
    this.randomBytes = world.randomBytes;
    this.nextTurn = world.nextTurn;
    this.store = world.store ?? new MemoryStore();
    this.denials = new DenialLog(world.log);
    this.guard = new InputGuard({
      log: world.log,
      isWhole: () => !this.routes.isBroken && !this.cluster.isBroken,
      count: () => {
        this.counters[Counter.inputFaults]! += 1;
        this.#workingRecord?.end();
      },
      clock: world.clock,
    });
    this.memory = new MemoryBudget({
      log: world.log,
      counters: world.counters,
      count: () => gauge(this),
      sessions: () => this.sessions.values(),
      connections: () => this.connections,
      processBytes: () => (world.processBytes?.() ?? Number.POSITIVE_INFINITY) + this.store.memoryBytes,
    });
    this.#clock = world.clock;
    this.#changes = world.changes;
    this.#workingRecord = world.workingRecord;
    this.now = world.clock();
    this.tickedAt = this.now;
    this.#tellUndeliverable = world.undeliverable;
    this.#limits = { ...world.settings };
  }

  /** New settings after SIGHUP, for the broker and for all sessions. */
  replaceSettings(settings: Settings): void {
    this.settings = settings;
    Object.assign(this.#limits, settings);
  }

  /** Does what goes on with a stored session. Should this worker die meanwhile, main knows over whose. */
  withStored(clientId: string, work: () => void): void {
    this.#workingRecord?.begin(clientId);
    work();
    this.#workingRecord?.end();
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

  /** When a session that lost its connection ends; `Infinity` = never. Milliseconds since the epoch. */
  sessionEndsAt(session: Session): number {
    const { persistentClientExpiration } = this.settings;
    const seconds = Math.min(
      session.expiryInterval === NEVER ? Number.POSITIVE_INFINITY : session.expiryInterval,
      persistentClientExpiration ?? Number.POSITIVE_INFINITY,
    );
    return session.disconnectedAt + seconds * 1000;
  }

  /** Whether the client has been away for longer than its session lasts. */
  hasExpired(session: Session): boolean {
    return session.peer === null && this.sessionEndsAt(session) <= this.now;
  }

  // ----------------------------------------------------------------- messages

  /** Sets the retained message of the topic; an empty payload clears it [MQTT-3.3.1-6]. */
  setRetained(publication: Publication): void {
    const { topic, payloadLength } = publication;
    if (!isSysTopic(topic)) this.changed();
    if (isSysTopic(topic)) {
      this.sysRetainedBytes -= this.sysRetained.get(topic)?.payloadLength ?? 0;
      this.sysRetainedBytes += payloadLength;
      if (payloadLength === 0) this.sysRetained.delete(topic);
      else this.sysRetained.set(publication.toOwned());
    } else if (payloadLength === 0) {
      this.store.retained.clear(topic);
    } else {
      this.store.retained.set(publication);
    }
  }

  /** Of the retained message of this topic, in bytes; -1 if there is none. */
  retainedLengthOf(topic: string): number {
    const { sysRetained, store } = this;
    return isSysTopic(topic)
      ? (sysRetained.get(topic)?.payloadLength ?? -1)
      : store.retained.payloadLengthOf(topic);
  }

  /** The retained messages that a filter matches, to be read in pieces. */
  matchRetained(filter: string): RetainedCursor {
    return isSysTopic(filter) ? retainedCursor(this.sysRetained, filter) : this.store.retained.match(filter);
  }

  /**
   * Whether the client that published a retained message may still write to its topic, by the rules of the listener
   * it came through; if that is not known, or gone, it is enough if those of any listener allow it.
   */
  sourceMayWrite({ topic, origin, originUsername, originListener }: Publication): boolean {
    if (origin === '') return true; // the broker itself
    if (this.settings.bridges.some(({ localClientid }) => localClientid === origin)) return true;
    const username = originUsername === '' ? undefined : originUsername;
    const listener = listenerIndex(this.settings.listeners, originListener);
    return this.access.aclOf(listener, username, origin)?.canWrite(topic) ?? true;
  }

  /** Sessions change what is stored of them in the middle of a publish. */
  markWithin(): number {
    return this.store.markWithin();
  }

  /** Something changed that a save would write [mosq: autosave_on_changes]. */
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
    if (session.drops.add(reason)) {
      this.log.write('notice', lines.outgoingMessagesDropped(session.clientId));
    }
  }

  /** A stored message has a text that no client takes: it is named, once. */
  undeliverable({ topic }: Publication): void {
    if (this.#undeliverable.add(topic)) this.#tellUndeliverable(topic);
  }

  /** Says how many messages for a client were dropped, and why. @param during what the time is called */
  reportDrops(session: Session, during: 'while it was connected' | 'while it was away'): void {
    const unreported = session.drops.takeUnreported();
    if (unreported !== null) {
      this.log.write('notice', lines.messagesDropped(session.clientId, during, unreported));
    }
  }

  /** The rights of a client that is not connected. Access rules do not apply to bridges [mosq: local_username]. */
  rightsWhileAway({ clientId, username, listener }: Session): TopicAcl | null {
    return this.isBridgeId(clientId) ? null : this.access.aclOf(listener, username, clientId);
  }

  /** Whether the client id is that of a bridge of this broker. */
  isBridgeId(clientId: string): boolean {
    return this.settings.bridges.some(({ localClientid }) => localClientid === clientId);
  }

  /** Whether a line of this type is wanted. */
  logs(type: keyof typeof LogMask): boolean {
    return (this.log.mask & LogMask[type]) !== 0;
  }
}
