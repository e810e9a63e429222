/**
 * What runs in a worker thread: the broker core, wired to sockets, to main and to the other workers. The task ends
 * when main asks the worker to stop; if it fails, the worker is lost and main knows by the rejected task.
 */
import { closeSync } from 'node:fs';
import type { Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { assertNever } from '../base/assert.js';
import { PacedQueue } from '../base/paced-queue.js';
import { socketUplink } from '../bridge/socket-uplink.js';
import { Broker } from '../broker/broker.js';
import { Connection } from '../broker/connection.js';
import type { Handover } from '../broker/ports.js';
import { RetainedSweep } from '../broker/retained-sweep.js';
import { WorkerLog } from '../log/log.js';
import { clientDisconnected } from '../log/mosquitto-lines.js';
import { Counter } from '../metrics/counters.js';
import { FlushList } from '../mqtt/outgoing-buffer.js';
import { socketOf } from '../net/descriptor.js';
import { monotonicMs } from '../net/monotonic-clock.js';
import { RelayStream, RelayTransport } from '../net/relay.js';
import { type SocketOrigin, SocketTransport } from '../net/socket-transport.js';
import type { TlsTransport } from '../net/tls-transport.js';
import { Link } from '../routing/link.js';
import type {
  ClaimAnswer,
  LinkMessage,
  MainToWorker,
  PassedConnection,
  WorkerStart,
  WorkerToMain,
} from '../routing/messages.js';
import type { Interest } from '../routing/route-table.js';
import { awaitUnknownSessions } from '../routing/unknown-sessions.js';
import { RecordFlag } from '../routing/wire.js';
import { ChangeCounter } from '../store/autosave.js';
import { LmdbBrokerStore, StandInStore } from '../store/broker-store.js';
import { isLeftByFailedCommit } from '../store/environment.js';
import { Store } from '../store/store.js';
import { BridgeHost } from './bridge-host.js';
import { writeTlsKeylog } from './tls-keylog.js';
import { TlsListeners } from './tls-listeners.js';
import { WorkerAccess } from './worker-access.js';
import { WorkerDirectory } from './worker-directory.js';

const TICK_MS = 1000;

/**
 * Connections taken up, and clients let in, before packets have their turn again: hundreds that come at once must not
 * hold up those who are here already.
 */
const NEWCOMERS_A_TURN = 4;

function keylogTo(fd: number | null): ((line: Buffer) => void) | null {
  return fd === null ? null : (line) => writeTlsKeylog(fd, line);
}

/** Serves until told to stop. */
export function runWorker(start: WorkerStart): Promise<void> {
  return new Promise((resolve, reject) => {
    const host = new WorkerHost(start, resolve, reject);
    host.begin();
  });
}

const storeFailing = ({ message }: Error): string =>
  `Error: The store cannot be written (${message}). What has to be stored is not acknowledged until it can.`;

class WorkerHost {
  readonly #start: WorkerStart;
  readonly #port: MessagePort;
  readonly #directory: WorkerDirectory;
  readonly #access: WorkerAccess;
  readonly #retainedSweep: RetainedSweep | null;
  readonly #tls: TlsListeners;
  readonly #flushList = new FlushList((flush) => setImmediate(flush));
  readonly #log: WorkerLog;
  readonly #store: Store;
  readonly #brokerStore: LmdbBrokerStore;
  readonly #broker: Broker;
  readonly #bridges: BridgeHost;
  readonly #resolve: () => void;
  readonly #reject: (error: unknown) => void;
  /** Passed to this worker and not taken up yet. */
  readonly #arriving = new PacedQueue<PassedConnection>({
    perTurn: NEWCOMERS_A_TURN,
    nextTurn: setImmediate,
    each: (connection) => this.#serve(connection),
  });
  /** Main's answers to claims. */
  readonly #answers = new PacedQueue<ClaimAnswer>({
    perTurn: NEWCOMERS_A_TURN,
    nextTurn: setImmediate,
    each: (answer) => this.#directory.answered(answer),
  });
  readonly #linkPorts = new Map<number, MessagePort>();
  /** Links whose other side has not told all it had yet. */
  readonly #catchingUp = new Set<number>();
  /** All others know what this worker wants to hear of. */
  #isKnown = false;
  /** It has told main that connections may come. */
  #isReady = false;
  readonly #counters: Float64Array;
  #utilisation = performance.eventLoopUtilization();
  #timer: NodeJS.Timeout | undefined;

  constructor(start: WorkerStart, resolve: () => void, reject: (error: unknown) => void) {
    this.#start = start;
    this.#port = start.port;
    this.#counters = new Float64Array(start.counters);
    this.#resolve = resolve;
    this.#reject = reject;
    this.#log = new WorkerLog({
      mask: start.logMask,
      post: (lines) => this.#tell({ kind: 'log', lines }),
    });
    this.#directory = new WorkerDirectory(this.#port);
    this.#store = new Store({
      ...start.store,
      now: Date.now,
      onFailure: (error) => this.#log.write('error', storeFailing(error)),
      onRecovery: () => this.#log.write('notice', 'The store can be written again.'),
      onDamage: (error) =>
        this.#log.write('error', `Error: A stored record does not read: ${error.message}.`),
    });
    const { standIn } = start.store;
    this.#brokerStore =
      standIn === undefined ? new LmdbBrokerStore(this.#store) : new StandInStore(this.#store, standIn);
    this.#access = new WorkerAccess(start.settings, start.files);
    this.#tls = new TlsListeners(start.settings, start.files, {
      secured: (transport) => this.#connect(transport, null),
      failed: (origin, reason) => this.#refused(origin, reason),
      keylog: keylogTo(start.tlsKeylog),
    });
    this.#broker = new Broker({
      store: this.#brokerStore,
      changes: new ChangeCounter(start.store.changes),
      settings: start.settings,
      log: this.#log,
      counters: this.#counters,
      directory: this.#directory,
      access: this.#access,
      flushList: this.#flushList,
      clock: Date.now,
    });
    // One worker sweeps for all; there always is one with this number, or about to be.
    this.#retainedSweep = start.worker === 0 ? new RetainedSweep(this.#broker.store, Date.now()) : null;
    const { random } = Math;
    this.#bridges = new BridgeHost({ broker: this.#broker, uplink: socketUplink, monotonicMs, random });
  }

  begin(): void {
    // LMDB leaves rejections behind when a commit fails; the store has told of it already.
    process.on('unhandledRejection', this.#rejected);
    for (const clientId of this.#start.sessions) {
      const loaded = this.#brokerStore.loadSession(clientId);
      if (loaded === undefined) this.#directory.released(clientId);
      else this.#broker.restoreSession(loaded);
    }
    // What is thrown from here on, nobody catches: a bug ends the thread with all its connections, and main knows.
    this.#port.on('message', (message: MainToWorker) => this.#receive(message));
    for (const { worker, port } of this.#start.peers) {
      this.#catchingUp.add(worker);
      this.#addPeer(worker, port);
    }
    if (this.#start.store.standIn === 'blind') {
      awaitUnknownSessions(this.#broker.cluster, this.#broker.routes, this.#flushList);
    }
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
    // The others have to send what the stored sessions are waiting for, before anybody publishes.
    this.#broker.cluster.introduce(this.#broker.routes.interests(), () => {
      this.#isKnown = true;
      this.#readyWhenCaughtUp();
    });
  }

  #tick(): void {
    const utilisation = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(utilisation, this.#utilisation);
    this.#utilisation = utilisation;
    this.#counters[Counter.utilisation] = utilization;
    this.#counters[Counter.storeCommits] = this.#store.statistics().commits;
    this.#broker.tick();
    const { settings, now } = this.#broker;
    this.#retainedSweep?.tick(settings.retainExpiryInterval, now);
  }

  #tell(message: WorkerToMain): void {
    this.#port.postMessage(message);
  }

  #receive(message: MainToWorker): void {
    switch (message.kind) {
      case 'connections':
        for (const connection of message.connections) this.#arriving.push(connection);
        return;
      case 'claim-answers':
        for (const answer of message.answers) this.#answers.push(answer);
        return;
      case 'discard':
        this.#answers.drain(); // what is to be discarded may have been granted just before
        this.#discard(message.clientIds);
        return;
      case 'peer-added':
        this.#tellEverything(this.#addPeer(message.worker, message.port));
        return;
      case 'peer-removed':
        this.#removePeer(message.worker);
        return;
      case 'publish':
        this.#broker.receiveRecords(message.records, true);
        return;
      case 'memory':
        this.#broker.memoryIsShort = message.isShort;
        return;
      case 'reload':
        this.#log.mask = message.logMask;
        this.#access.replace(message.settings, message.files);
        this.#tls.replace(message.settings, message.files);
        this.#broker.reload(message.settings);
        return;
      case 'flush':
        void this.#store.flush().then(() => this.#tell({ kind: 'flushed' }));
        return;
      case 'bridges':
        this.#bridges.assign(message.bridges);
        return;
      case 'print-subscriptions':
        for (const line of this.#broker.describeSubscriptions()) process.stdout.write(`${line}\n`);
        return;
      case 'stop':
        this.#stop();
        return;
      default:
        assertNever(message);
    }
  }

  #serve({ handover, received, tls, ...origin }: PassedConnection): void {
    this.#counters[Counter.connectionsTaken]! += 1; // if this thread dies now, the descriptor dies with it
    if (tls === null && this.#tls.isFor(origin.listener)) {
      this.#secure(handover, origin);
      return;
    }
    const transport =
      typeof handover === 'number'
        ? this.#openSocket(handover, origin)
        : new RelayTransport(handover, origin, tls);
    if (transport === null) this.#directory.closed(origin.listener);
    else this.#connect(transport, received);
  }

  #connect(transport: SocketTransport | TlsTransport | RelayTransport, received: Uint8Array | null): void {
    const connection = new Connection(this.#broker, transport);
    transport.serve(connection);
    if (received !== null) connection.receive(received, received.length);
  }

  /** @returns `null` where the peer is gone already */
  #openSocket(fd: number, origin: SocketOrigin): SocketTransport | null {
    try {
      return new SocketTransport(fd, this.#kindOf(origin), origin);
    } catch {
      closeSync(fd);
      return null;
    }
  }

  #kindOf({ listener }: SocketOrigin): 'tcp' | 'unix' {
    return this.#broker.settings.listeners[listener]?.socketPath === undefined ? 'tcp' : 'unix';
  }

  /** The handshake comes first. */
  #secure(handover: Handover, origin: SocketOrigin): void {
    if (typeof handover !== 'number') {
      this.#tls.accept(new RelayStream(new RelayTransport(handover, origin)), origin);
      return;
    }
    let socket: Socket;
    try {
      socket = socketOf(handover, this.#kindOf(origin));
    } catch {
      closeSync(handover);
      this.#directory.closed(origin.listener);
      return;
    }
    this.#tls.accept(socket, origin);
  }

  #refused({ listener, remoteAddress, remotePort }: SocketOrigin, reason: string): void {
    this.#directory.closed(listener);
    if (!this.#broker.settings.connectionMessages) return;
    const client = { clientId: null, address: remoteAddress, port: remotePort, reason };
    this.#log.write('notice', clientDisconnected(client));
  }

  /** These clients connected to another worker with a clean start. */
  #discard(clientIds: string[]): void {
    const { sessions, delayedWills } = this.#broker;
    this.#broker.refreshNow();
    for (const clientId of clientIds) {
      const session = sessions.get(clientId);
      session?.peer?.takenOver(false);
      const will = delayedWills.take(clientId);
      if (will !== undefined) this.#broker.publishWill(clientId, will);
      if (session !== undefined) this.#broker.removeSession(session);
    }
    this.#directory.flush();
    this.#tell({ kind: 'discarded', clientIds });
  }

  // ----------------------------------------------------------------- other workers

  /** The link to a worker that begins: a new one, or the one to the worker in whose place it comes. */
  #addPeer(worker: number, port: MessagePort): Link {
    const { cluster } = this.#broker;
    const link = cluster.link(worker) ?? new Link(worker, port, this.#flushList, () => this.#relieve());
    link.attach(port);
    cluster.add(link);
    this.#linkPorts.set(worker, port);
    port.on('message', (message: LinkMessage) => this.#receiveFrom(link, message));
    return link;
  }

  #removePeer(worker: number): void {
    const link = this.#broker.cluster.link(worker)!;
    const port = this.#linkPorts.get(worker)!;
    // What it had sent may not have arrived, and its publishers may have been told that it is on its way.
    for (let left = receiveMessageOnPort(port); left !== undefined; left = receiveMessageOnPort(port)) {
      this.#receiveFrom(link, left.message as LinkMessage);
    }
    port.close();
    this.#linkPorts.delete(worker);
    this.#broker.routes.keepStoredOf(worker);
    this.#broker.cluster.hold(worker);
    this.#relieve();
    this.#catchingUp.delete(worker);
    this.#readyWhenCaughtUp();
  }

  /** Some link has room again. */
  #relieve(): void {
    for (const connection of this.#broker.connections) connection.relieve();
    this.#bridges.relieve();
  }

  /** A new worker has to know what this one wants to hear of, the `$SYS` tree, and what was held for it. */
  #tellEverything(link: Link): void {
    const { worker } = link;
    const changes = this.#broker.routes.interests();
    link.control({ kind: 'interest', sequence: 0, changes, isAll: true });
    // Each retained message comes from one worker only: the one with the lowest number.
    const others = [...this.#linkPorts.keys()].filter((other) => other !== worker);
    if (others.every((other) => other > this.#start.worker)) {
      this.#broker.sysRetained.all((message) => link.publish(message, RecordFlag.keep, ''));
    }
    link.control({ kind: 'caught-up' });
    link.release();
  }

  #receiveBatch(link: Link, records: Uint8Array, awaited: number): void {
    const { store, cluster } = this.#broker;
    const mark = store.mark();
    let missing = 1;
    let verdict: 'stored' | 'lost' = 'stored';
    const done = () => {
      missing -= 1;
      if (missing > 0) return;
      link.workedOff(records.length);
      if (awaited !== 0) store.whenSettled(mark, () => link.control({ kind: verdict, batch: awaited }));
    };
    const failed = () => {
      verdict = 'lost';
      done();
    };
    // What a shared group's message brings to a third worker is on the account of this batch until it is there.
    this.#broker.receiveRecords(records, false, (worker) => {
      missing += cluster.whenStored(1 << worker, done, failed);
    });
    done();
  }

  #receiveFrom(link: Link, message: LinkMessage): void {
    const { store } = this.#broker;
    store.refresh();
    switch (message.kind) {
      case 'batch':
        this.#receiveBatch(link, message.records, message.awaited);
        return;
      case 'stored':
        link.stored(message.batch);
        return;
      case 'lost':
        link.lost(message.batch);
        return;
      case 'interest':
        this.#noteInterest(link.worker, message.changes, message.isAll);
        // Retained messages that this worker took before have to be in sight of the one that asks.
        store.whenRetained(() => link.control({ kind: 'confirmed', sequence: message.sequence }));
        return;
      case 'confirmed':
        this.#broker.cluster.confirmed(link.worker, message.sequence);
        return;
      case 'credit':
        link.credit(message.bytes);
        return;
      case 'caught-up':
        this.#catchingUp.delete(link.worker);
        this.#readyWhenCaughtUp();
        return;
      default:
        assertNever(message);
    }
  }

  #noteInterest(worker: number, changes: Interest[], isAll: boolean): void {
    const { routes } = this.#broker;
    if (isAll) routes.replaceRemote(worker, changes);
    else for (const change of changes) routes.setRemote(worker, change);
  }

  #readyWhenCaughtUp(): void {
    if (this.#isReady || this.#catchingUp.size > 0 || !this.#isKnown) return;
    this.#isReady = true;
    this.#tell({ kind: 'ready' });
  }

  // ----------------------------------------------------------------- the end

  /** Wills out, buffers flushed, connections closed; the last messages leave before the ports do. */
  #stop(): void {
    clearInterval(this.#timer);
    this.#broker.stop();
    this.#bridges.stop();
    this.#flushList.flushAll();
    this.#directory.flush();
    void this.#store.close().then((committed) => {
      if (!committed)
        this.#log.write('error', 'Error: What was not stored yet is lost: the store cannot be written.');
      this.#log.flush();
      this.#tell({ kind: 'stopped' });
      this.#resolve();
    }, this.#reject);
  }

  readonly #rejected = (error: unknown): void => {
    if (isLeftByFailedCommit(error)) return;
    throw error;
  };
}
