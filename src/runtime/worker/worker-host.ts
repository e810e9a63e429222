/**
 * Runs a worker thread: the broker core, wired to sockets, to main and to the other workers. The task ends when main
 * asks the worker to stop; if the worker fails, the task rejects, and main replaces it.
 */
import { randomBytes } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { DynamicSecurityTables } from '../../auth/dynamic-security/tables.js';
import { assertNever } from '../../base/assert.js';
import { PacedQueue } from '../../base/paced-queue.js';
import { socketUplink } from '../../bridge/socket-uplink.js';
import { Broker } from '../../broker/broker.js';
import { answerQuestion } from '../../broker/client-view.js';
import { publishControlAnswer, rightsChanged } from '../../broker/dynamic-security.js';
import { receiveRecords } from '../../broker/records-path.js';
import { RetainedSweep } from '../../broker/retained-sweep.js';
import { discardSession, restoreSession, whenEnded } from '../../broker/session-path.js';
import { describeSubscriptions, reloadBroker, stopBroker, tickBroker } from '../../broker/upkeep.js';
import { WorkerLog } from '../../log/log.js';
import { FlushList } from '../../mqtt/outgoing-buffer.js';
import type {
  ClaimAnswer,
  MainToWorker,
  PassedConnection,
  WorkerStart,
  WorkerToMain,
} from '../../routing/messages.js';
import { awaitUnknownSessions } from '../../routing/unknown-sessions.js';
import { LmdbBrokerStore, StandInStore } from '../../store/broker-store.js';
import { ChangeCounter } from '../../store/file/autosave.js';
import { NoRoomError } from '../../store/room.js';
import { Store } from '../../store/store.js';
import { Counter } from '../../sys/counters.js';
import { WorkingRecord } from '../../sys/working-record.js';
import { monotonicMs } from '../../system/monotonic-clock.js';
import { steadyClock } from '../../system/steady-clock.js';
import { cLibraryErrorText } from '../../system/system-error.js';
import { WORKER_TICK_MS } from '../process/time-limits.js';
import { ClientAccess } from '../shared/client-access.js';
import { BridgeHost } from './bridge-host.js';
import { WorkerDirectory } from './worker-directory.js';
import { WorkerIntake } from './worker-intake.js';
import { WorkerLinks } from './worker-links.js';

/**
 * Connections taken up, and clients let in, before packets have their turn again: hundreds that come at once must not
 * hold up those who are here already.
 */
const NEWCOMERS_A_TURN = 4;

type FirstMessage = Extract<MainToWorker, { kind: 'peers' }>;

/** Serves until main asks the worker to stop. */
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
  readonly #access: ClientAccess;
  /** Of dynamic security; `null` without it. */
  readonly #tables: DynamicSecurityTables | null;
  readonly #retainedSweep: RetainedSweep | null;
  readonly #flushList = new FlushList((flush) => setImmediate(flush));
  readonly #log: WorkerLog;
  readonly #store: Store;
  readonly #brokerStore: LmdbBrokerStore;
  readonly #broker: Broker;
  readonly #intake: WorkerIntake;
  readonly #links: WorkerLinks;
  readonly #bridges: BridgeHost;
  readonly #resolve: () => void;
  readonly #reject: (error: unknown) => void;
  /** Passed to this worker and not taken up yet. */
  readonly #arriving = new PacedQueue<PassedConnection>({
    perTurn: NEWCOMERS_A_TURN,
    nextTurn: setImmediate,
    each: (connection) => this.#intake.serve(connection),
  });
  /** Main's answers to claims. */
  readonly #answers = new PacedQueue<ClaimAnswer>({
    perTurn: NEWCOMERS_A_TURN,
    nextTurn: setImmediate,
    each: (answer) => this.#directory.answered(answer),
  });
  readonly #counters: Float64Array;
  readonly #workingRecord: WorkingRecord;
  #utilisation = performance.eventLoopUtilization();
  #timer: NodeJS.Timeout | undefined;

  constructor(start: WorkerStart, resolve: () => void, reject: (error: unknown) => void) {
    this.#start = start;
    this.#port = start.port;
    steadyClock.bridge(start.bridgedMs);
    this.#counters = new Float64Array(start.counters);
    this.#workingRecord = new WorkingRecord(start.workingRecord);
    this.#resolve = resolve;
    this.#reject = reject;
    this.#log = new WorkerLog({
      mask: start.logMask,
      post: (lines) => this.#tell({ kind: 'log', lines }),
    });
    this.#directory = new WorkerDirectory(this.#port);
    this.#store = new Store({
      ...start.store,
      now: () => steadyClock.now(),
      onFailure: (error) => {
        this.#broker.storeIsFull = error instanceof NoRoomError;
        this.#counters[Counter.storeFailing] = 1;
        this.#log.write('error', storeFailing(error));
      },
      onRecovery: () => {
        this.#broker.storeIsFull = false;
        this.#counters[Counter.storeFailing] = 0;
        this.#log.write('notice', 'The store can be written again.');
      },
      onDamage: (error) =>
        this.#log.write('error', `Error: A stored record does not read: ${error.message}.`),
    });
    const { standIn } = start.store;
    this.#brokerStore =
      standIn === undefined ? new LmdbBrokerStore(this.#store) : new StandInStore(this.#store, standIn);
    this.#tables = start.rights === null ? null : new DynamicSecurityTables(start.rights);
    this.#access = new ClientAccess(start.settings, start.files, this.#tables);
    this.#broker = new Broker({
      store: this.#brokerStore,
      changes: new ChangeCounter(start.store.changes),
      settings: start.settings,
      log: this.#log,
      counters: this.#counters,
      directory: this.#directory,
      access: this.#access,
      requestControl: (request) => this.#tell({ kind: 'control-request', request }),
      flushList: this.#flushList,
      clock: () => steadyClock.now(),
      workingRecord: this.#workingRecord,
      undeliverable: (topic) => this.#tell({ kind: 'undeliverable', topic }),
      nextTurn: setImmediate,
      processBytes: () => process.memoryUsage.rss(),
      randomBytes,
    });
    this.#intake = new WorkerIntake(this.#broker, start);
    this.#links = new WorkerLinks(start.worker, this.#broker, {
      relieve: () => this.#relieve(),
      ready: () => this.#tell({ kind: 'ready' }),
    });
    // One worker sweeps for all; there always is one with this number, or about to be.
    this.#retainedSweep =
      start.worker === 0 ? new RetainedSweep(this.#broker.store, steadyClock.now()) : null;
    const { random } = Math;
    this.#bridges = new BridgeHost({ broker: this.#broker, uplink: socketUplink, monotonicMs, random });
  }

  begin(): void {
    const { clientIds, path } = this.#start.setAside;
    for (const clientId of clientIds) this.#setAside(clientId, path);
    for (const clientId of this.#start.sessions) {
      if (clientIds.includes(clientId)) continue;
      this.#workingRecord.begin(clientId);
      const loaded = this.#brokerStore.loadSession(clientId);
      if (loaded === undefined) this.#directory.sessionEnded(clientId);
      else restoreSession(this.#broker, loaded);
    }
    this.#workingRecord.end();
    const { peers } = receiveMessageOnPort(this.#port)!.message as FirstMessage;
    // What is thrown from here on, nobody catches: a bug ends the thread with all its connections, and main knows.
    this.#port.on('message', (message: Exclude<MainToWorker, FirstMessage>) => this.#receive(message));
    this.#links.open(peers);
    if (this.#start.store.standIn === 'blind') {
      awaitUnknownSessions(this.#broker.cluster, this.#broker.routes, this.#flushList);
    }
    this.#timer = setInterval(() => this.#tick(), WORKER_TICK_MS);
    this.#links.introduce();
  }

  /** Its client may come, and finds no session. */
  #setAside(clientId: string, path: string): void {
    const file = `${path}.set-aside-${new Date().toISOString().replaceAll(/[-:]|\.\d+/g, '')}-${process.pid}`;
    const whose = `The stored session of "${clientId}"`;
    try {
      const count = this.#store.sessions.setAside(clientId, file);
      if (count !== undefined)
        this.#log.write('error', `Error: ${whose} (${count} records) is in ${file} now.`);
    } catch (error) {
      const why = cLibraryErrorText(error);
      this.#log.write('error', `Error: ${whose} cannot be put into ${file} (${why}): it is left out.`);
    }
    this.#directory.sessionEnded(clientId);
  }

  #tick(): void {
    const utilisation = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(utilisation, this.#utilisation);
    this.#utilisation = utilisation;
    this.#counters[Counter.utilisation] = utilization;
    this.#counters[Counter.ticks]! += 1;
    this.#counters[Counter.storeCommits] = this.#store.statistics().commits;
    steadyClock.check(); // main logs it
    tickBroker(this.#broker);
    const { settings, now } = this.#broker;
    this.#retainedSweep?.tick(settings.retainExpiryInterval, now);
  }

  #tell(message: WorkerToMain): void {
    this.#port.postMessage(message);
  }

  #receive(message: Exclude<MainToWorker, FirstMessage>): void {
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
        this.#links.add(message.worker, message.port);
        return;
      case 'peer-removed':
        this.#links.remove(message.worker);
        return;
      case 'publish':
        receiveRecords(this.#broker, message.records, true);
        return;
      case 'memory':
        this.#broker.memory.update(message.limit, message.counted, this.#broker.refreshNow());
        return;
      case 'reload':
        this.#log.mask = message.logMask;
        this.#access.replace(message.settings, message.files);
        this.#intake.reload(message.settings, message.files);
        reloadBroker(this.#broker, message.settings);
        return;
      case 'rights':
        this.#tables!.update(message.change);
        rightsChanged(this.#broker);
        this.#tell({ kind: 'rights-in-force' });
        return;
      case 'control-answer':
        publishControlAnswer(this.#broker, message.answer);
        return;
      case 'flush':
        void this.#store.flush().then(() => this.#tell({ kind: 'flushed' }));
        return;
      case 'bridges':
        this.#bridges.assign(message.bridges);
        return;
      case 'question':
        answerQuestion(
          this.#broker,
          { worker: this.#start.worker, bridges: () => this.#bridges.describe() },
          message.question,
          (answer) => this.#tell({ kind: 'answer', id: message.id, answer }),
        );
        return;
      case 'print-subscriptions':
        for (const line of describeSubscriptions(this.#broker)) process.stdout.write(`${line}\n`);
        return;
      case 'stop':
        this.#stop();
        return;
      default:
        assertNever(message);
    }
  }

  /** These clients connected to another worker with a clean start. */
  #discard(clientIds: string[]): void {
    this.#broker.refreshNow();
    const ended: string[] = [];
    for (const clientId of clientIds) {
      discardSession(this.#broker, clientId);
      let isLater = false;
      whenEnded(this.#broker, clientId, () => {
        if (isLater) this.#tell({ kind: 'discarded', clientIds: [clientId] });
        else ended.push(clientId);
      });
      isLater = true;
    }
    this.#directory.flush();
    if (ended.length > 0) this.#tell({ kind: 'discarded', clientIds: ended });
  }

  /** Some link has room again. */
  #relieve(): void {
    for (const connection of this.#broker.connections) connection.relieve();
    this.#bridges.relieve();
  }

  // ----------------------------------------------------------------- the end

  /** Wills out, buffers flushed, connections closed; the last messages leave before the ports do. */
  #stop(): void {
    clearInterval(this.#timer);
    stopBroker(this.#broker);
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
}
