/**
 * The broker as a process: starts and stops log, listeners, workers and signals in their order. Connections are served
 * by the workers.
 */

import { rmSync } from 'node:fs';
import type { DynamicSecurityState } from '../../auth/dynamic-security/state.js';
import { InputGuard } from '../../broker/input-guard.js';
import { compareSettings, type SettingsDiff, untilRestart } from '../../config/reload-diff.js';
import type { Settings } from '../../config/settings.js';
import type { HttpApi } from '../../http-api/http-api.js';
import { LogLines } from '../../http-api/log-lines.js';
import type { BrokerView } from '../../http-api/view.js';
import { LOG_MESSAGE_EXPIRY_SECONDS } from '../../log/destinations.js';
import type { Log } from '../../log/log.js';
import { type CommandLineLogging, type Logger, logOptionsFromSettings } from '../../log/logger.js';
import * as lines from '../../log/mosquitto-lines.js';
import { Publication } from '../../mqtt/publication.js';
import { canPassDescriptors } from '../../net/descriptor.js';
import type { FileTexts, PassedConnection } from '../../routing/messages.js';
import { packedRecords, RecordFlag } from '../../routing/wire.js';
import { StoreUnavailableError } from '../../store/file/startup.js';
import { StoreInUseError } from '../../store/file/store-lock.js';
import { NativePartError } from '../../system/native-part.js';
import { steadyClock } from '../../system/steady-clock.js';
import { currentUser } from '../process/broker-user.js';
import { writePidFile } from '../process/daemon.js';
import type { BrokerSignal, EarlySignals } from '../process/early-signals.js';
import { ExitCode } from '../process/exit-code.js';
import { HeldLog } from '../process/held-log.js';
import { dropPrivileges } from '../process/privileges.js';
import { ServiceManager } from '../process/service-manager.js';
import { VERSION } from '../process/version.js';
import { openTlsKeylog } from '../shared/tls-keylog.js';
import { Acceptor } from './acceptor.js';
import { readAccessFiles } from './access-files.js';
import { CertificateWatch } from './certificate-watch.js';
import { DynamicSecurity } from './dynamic-security.js';
import { openDynamicSecurity } from './dynamic-security-file.js';
import { refusedListeners, reloadReport } from './reload-report.js';
import { StoreHost } from './store-host.js';
import { Supervisor } from './supervisor.js';
import { SysPublisher } from './sys-publisher.js';
import { readTlsFiles } from './tls-files.js';

/** What `systemctl status` says. */
const RUNNING = `midge version ${VERSION} is running`;
const NOT_RELOADED = 'Running as before: the new configuration is not in force';

export interface BrokerProcessOptions {
  settings: Settings;
  /** Reads the configuration again. Logs its errors and returns `undefined` if it has any. */
  reread: () => Settings | undefined;
  logging: CommandLineLogging;
  /** `--tls-keylog` */
  tlsKeylogFile: string | undefined;
  logger: Logger;
  signals: EarlySignals;
}

/** Of inputs that main itself works on: connections that arrive, HTTP requests, what workers say. */
class MainGuard extends InputGuard {
  /** How many have failed. */
  faults = 0;

  constructor(log: Log) {
    super({
      log,
      isWhole: () => true,
      count: () => {
        this.faults += 1;
      },
      clock: () => steadyClock.now(),
    });
  }
}

/** What has to be there before the first worker. */
interface Prepared {
  acceptor: Acceptor;
  store: StoreHost;
  files: FileTexts;
  /** Of dynamic security; `null` without it. */
  dynamicState: DynamicSecurityState | null;
  tlsKeylog: number | null;
  serviceManager: ServiceManager;
  guard: MainGuard;
}

export class BrokerProcess {
  #settings: Settings;
  #reloading: 'no' | 'yes' | 'once more' = 'no';
  #files: FileTexts;
  readonly #options: BrokerProcessOptions;
  readonly #logger: Logger;
  readonly #serviceManager: ServiceManager;
  #store: StoreHost;
  readonly #supervisor: Supervisor;
  readonly #acceptor: Acceptor;
  readonly #sys: SysPublisher;
  readonly #certificates: CertificateWatch;
  readonly #tlsKeylog: number | null;
  /** `null` if the configuration does not ask for it. */
  readonly #dynamicSecurity: DynamicSecurity | null;
  /** `null` as long as no listener asks for HTTP, whose code is then not loaded. */
  #http: HttpApi | null = null;
  readonly #guard: MainGuard;
  #stopping = false;
  readonly #startedAt = Date.now();
  /** The store is being changed. */
  #changing: Promise<void> = Promise.resolve();

  private constructor(options: BrokerProcessOptions, prepared: Prepared) {
    const { settings, logger } = options;
    const { acceptor, store, files, dynamicState, tlsKeylog, serviceManager, guard } = prepared;
    this.#options = options;
    this.#settings = settings;
    this.#logger = logger;
    this.#serviceManager = serviceManager;
    this.#store = store;
    this.#files = files;
    this.#tlsKeylog = tlsKeylog;
    this.#certificates = new CertificateWatch(logger);
    this.#acceptor = acceptor;
    this.#guard = guard;
    this.#dynamicSecurity =
      dynamicState === null
        ? null
        : new DynamicSecurity({
            file: settings.dynamicSecurity!.file,
            state: dynamicState,
            log: logger,
            guard,
            workers: () => this.#supervisor,
          });
    this.#supervisor = new Supervisor({
      settings,
      files,
      log: logger,
      guard: this.#guard,
      logMask: logger.mask,
      tlsKeylog,
      writeLines: (written) => logger.writeLines(written),
      connectionClosed: (listener) => this.#acceptor.closed(listener),
      rights: () => this.#dynamicSecurity?.all ?? null,
      controlRequest: (request) => this.#dynamicSecurity?.request(request),
      begunAnew: () => this.#sys.republish(),
    });
    const source = {
      supervisor: this.#supervisor,
      sockets: () => this.#acceptor.accepted,
      faults: () => this.#guard.faults,
      store: () => this.#store.figures(),
    };
    this.#sys = new SysPublisher(source, `midge version ${VERSION}`);
  }

  /** Brings everything up. @returns 0, or the exit code with which the start failed */
  static async start(options: BrokerProcessOptions): Promise<number> {
    const serviceManager = new ServiceManager(process.env, options.logger);
    // Ports below 1024 are for root to bind; everything else is done as the user that the broker runs as.
    const opening = new HeldLog();
    const guard = new MainGuard(opening);
    const acceptor = new Acceptor(options.settings, opening, guard);
    await acceptor.open();
    const code = await BrokerProcess.#start(options, { acceptor, serviceManager, guard }, opening);
    if (code !== 0) acceptor.close();
    return code;
  }

  static async #start(
    options: BrokerProcessOptions,
    opened: Pick<Prepared, 'acceptor' | 'serviceManager' | 'guard'>,
    opening: HeldLog,
  ): Promise<number> {
    const { settings, logger, logging } = options;
    const { acceptor } = opened;
    const { user, pidFile } = settings;
    const sockets = acceptor.unixSockets;
    if (!dropPrivileges({ user, environment: process.env, sockets, log: logger })) {
      return ExitCode.configuration;
    }
    if (pidFile !== undefined && !writePidFile(pidFile, logger)) return ExitCode.pidFile;
    logger.reconfigure(logOptionsFromSettings(settings, logging));
    sayHello(settings, logger);
    opening.release(logger);
    if (!acceptor.isOpen) return ExitCode.listener;
    const { files, code } = await readFiles(settings, logger);
    if (code !== 0) return code;
    const dynamicState =
      settings.dynamicSecurity === undefined
        ? null
        : await openDynamicSecurity(settings.dynamicSecurity, currentUser(), logger);
    if (typeof dynamicState === 'number') return dynamicState;
    const tlsKeylog = openTlsKeylog(options.tlsKeylogFile, logger);
    if (tlsKeylog === undefined) return ExitCode.failure;
    let broker: BrokerProcess | null = null;
    let store: StoreHost;
    try {
      store = await StoreHost.open(settings, logger, {
        flushWorkers: async () => broker?.flushStores(),
        openAnew: () => broker?.changeStore(),
        workerCommits: () => broker?.workerCommits ?? 0,
      });
    } catch (error) {
      const isNative = error instanceof NativePartError;
      const isStore = error instanceof StoreUnavailableError || error instanceof StoreInUseError;
      if (!isNative && !isStore) throw error;
      logger.write('error', `Error: ${error.message}`);
      return isNative ? ExitCode.nativePart : ExitCode.failure;
    }
    broker = new BrokerProcess(options, { ...opened, store, files, dynamicState, tlsKeylog });
    return (await broker.#serve()) ? 0 : ExitCode.listener;
  }

  /** Makes every worker write its changes to the store. */
  flushStores(): Promise<void> {
    return this.#supervisor.flushStores();
  }

  /** Transactions that the workers have committed to the store. */
  get workerCommits(): number {
    return this.#supervisor.count('storeCommits');
  }

  /** @returns false if a listener cannot listen; all has ended then */
  async #serve(): Promise<boolean> {
    this.#handleFaults();
    this.#logger.publishThrough((topic, payload) => this.#publishLogLine(topic, payload));
    await this.#startWorkers();
    await this.#loadHttp(this.#settings);
    this.#sys.start(this.#settings.sysInterval);
    if (!(await this.#acceptor.serve((connection) => this.#pass(connection)))) {
      await this.#end();
      return false;
    }
    this.#certificates.start(this.#settings, this.#files);
    this.#write('information', lines.running(VERSION));
    this.#serviceManager.ready(RUNNING);
    this.#serviceManager.watch(() => !this.#supervisor.isStalled);
    this.#options.signals.handleWith((signal) => this.#handleSignal(signal));
    return true;
  }

  /** Workers serve all connections but those of HTTP, which main serves itself. */
  #pass(connection: PassedConnection): void {
    if (this.#settings.listeners[connection.listener]!.protocol === 'http_api') this.#http!.serve(connection);
    else this.#supervisor.serve(connection);
  }

  /** @param settings in force soon, if not already */
  async #loadHttp(settings: Settings): Promise<void> {
    if (this.#http !== null || !settings.listeners.some(({ protocol }) => protocol === 'http_api')) return;
    const { HttpApi } = await import('../../http-api/http-api.js');
    this.#http = new HttpApi({
      settings: this.#settings,
      files: this.#files,
      tables: this.#dynamicSecurity?.tables ?? null,
      view: this.#view(),
      tlsKeylog: this.#tlsKeylog,
      log: this.#logger,
      guard: this.#guard,
      closed: (listener) => this.#acceptor.closed(listener),
    });
  }

  /** What HTTP shows of the broker. */
  #view(): BrokerView {
    const lines = new LogLines();
    this.#logger.showTo((line) => lines.add(line));
    return {
      version: VERSION,
      startedAt: this.#startedAt,
      settings: () => this.#settings,
      sysTree: () => this.#sys.numbers(),
      readings: () => this.#sys.readings(),
      condition: () => ({
        isServing: this.#acceptor.isServing,
        storeTrouble: this.#storeTrouble(),
        workers: this.#supervisor.workers(),
      }),
      ask: (question) => this.#supervisor.ask(question),
      matchRetained: (filter) => this.#store.matchRetained(filter),
      save: () => this.#store.save(),
      reload: () => this.reload(),
      logLines: () => lines.all,
    };
  }

  #storeTrouble(): string | null {
    if (this.#supervisor.count('storeFailing') > 0) return 'the store cannot be written';
    return this.#store.trouble;
  }

  #startWorkers(): Promise<void> {
    return this.#supervisor.start(this.#store.place, clientIds(this.#store.sessions()));
  }

  /** The store could not be used, and can be now. */
  changeStore(): void {
    if (this.#stopping) return;
    this.#changing = this.#changeStore().catch((error) => this.#fail(error));
  }

  /** Listeners stay open meanwhile, and new connections wait. */
  async #changeStore(): Promise<void> {
    this.#logger.write(
      'notice',
      'The store can be used now: all clients are disconnected, and served from it when they come back.',
    );
    this.#acceptor.hold();
    this.#sys.stop();
    if (!(await this.#supervisor.stop())) throw new Error('a worker does not end');
    await this.#supervisor.clear();
    await this.#store.close();
    this.#store = await StoreHost.open(this.#settings, this.#logger, {
      flushWorkers: () => this.flushStores(),
      openAnew: () => this.changeStore(),
      workerCommits: () => this.workerCommits,
    });
    await this.#startWorkers();
    this.#sys.republish();
    this.#sys.start(this.#settings.sysInterval);
    await this.#acceptor.serve((connection) => this.#pass(connection));
  }

  /** Orderly end: wills out, everything flushed and closed. */
  async stop(): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    this.#serviceManager.stopping();
    await this.#changing;
    this.#write('information', lines.terminating(VERSION));
    await this.#end();
    const { pidFile } = this.#settings;
    if (pidFile !== undefined) rmSync(pidFile, { force: true });
    await this.#logger.close();
  }

  async #end(): Promise<void> {
    this.#sys.stop();
    this.#certificates.stop();
    this.#acceptor.close();
    this.#http?.close();
    await this.#supervisor.stop();
    await this.#dynamicSecurity?.idle();
    await this.#store.close();
  }

  /** SIGHUP: reads everything first, and changes something only if nothing has an error. */
  async reload(): Promise<void> {
    if (this.#stopping) return;
    if (this.#reloading !== 'no') {
      this.#reloading = 'once more';
      return;
    }
    this.#serviceManager.reloading();
    let hasReloaded = false;
    do {
      this.#reloading = 'yes';
      this.#write('information', lines.reloadingConfig());
      hasReloaded = await this.#reload();
    } while ((this.#reloading as string) === 'once more');
    this.#reloading = 'no';
    this.#serviceManager.ready(hasReloaded ? RUNNING : NOT_RELOADED);
  }

  /** @returns whether the new configuration is in force */
  async #reload(): Promise<boolean> {
    const read = this.#options.reread();
    if (read === undefined) {
      this.#write('error', 'Error: The configuration has errors; nothing was changed.');
      return false;
    }
    const { files, code } = await readFiles(read, this.#logger);
    if (code !== 0) {
      this.#write('error', 'Error: A file that the configuration names has errors; nothing was changed.');
      return false;
    }
    const changes = compareSettings(this.#settings, read);
    const refusal = refusedListeners(changes);
    for (const [type, text] of refusal) this.#logger.write(type, text);
    if (refusal.length > 0) return false;
    await this.#loadHttp(read);
    if (this.#stopping) return false;
    this.#apply(untilRestart(this.#settings, read, changes), files, changes);
    return true;
  }

  #apply(settings: Settings, files: FileTexts, changes: SettingsDiff): void {
    const before = this.#files;
    this.#settings = settings;
    this.#files = files;
    this.#logger.reconfigure(logOptionsFromSettings(settings, this.#options.logging));
    this.#supervisor.reload(settings, files, this.#logger.mask);
    this.#acceptor.reload(settings);
    this.#http?.reload(settings, files);
    this.#store.reload(settings);
    this.#sys.start(settings.sysInterval);
    this.#certificates.start(settings, files);
    for (const [type, text] of reloadReport(changes, before, files)) this.#logger.write(type, text);
  }

  #handleFaults(): void {
    process.on('uncaughtException', (error) => this.#fail(error));
    process.on('unhandledRejection', (error) => this.#fail(error));
  }

  #handleSignal(signal: BrokerSignal): void {
    switch (signal) {
      case 'SIGTERM':
      case 'SIGINT':
        void this.stop().then(() => process.exit(0));
        break;
      case 'SIGHUP':
        void this.reload();
        break;
      case 'SIGUSR1':
        void this.#store.save();
        break;
      case 'SIGUSR2':
        this.#supervisor.printSubscriptions();
        break;
    }
  }

  /** A fault of ours in main: said, and the end; whoever started the broker starts it again. */
  #fail(error: unknown): void {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.#write('error', `Error: The broker failed and ends: ${text.split('\n').join(' | ')}`);
    this.#logger.flushSync();
    process.exit(ExitCode.failure);
  }

  #write(type: 'error' | 'warning' | 'information', text: string): void {
    this.#logger.write(type, text);
  }

  #publishLogLine(topic: string, payload: string): void {
    const message = Publication.create({
      topic,
      payload: Buffer.from(payload),
      qos: 2,
      retain: false,
      expiresAt: steadyClock.now() + LOG_MESSAGE_EXPIRY_SECONDS * 1000,
    });
    this.#supervisor.publish(packedRecords([message], RecordFlag.deliver));
  }
}

function sayHello({ configFile, localOnly }: Settings, logger: Logger): void {
  logger.write('information', lines.starting(VERSION));
  logger.write(
    'information',
    configFile === undefined ? lines.usingDefaultConfig() : lines.configLoaded(configFile),
  );
  if (!canPassDescriptors()) {
    logger.write(
      'warning',
      'Warning: The koffi package does not work on this machine: bytes are copied between threads instead of passing sockets.',
    );
  }
  if (localOnly) for (const line of lines.startingInLocalOnlyMode()) logger.write('warning', line);
}

/** The texts of all files that the settings name, and 0 or the exit code that is due for a fault of them. */
async function readFiles(
  settings: Settings,
  logger: Logger,
): Promise<{ files: Map<string, string>; code: number }> {
  const files = new Map<string, string>();
  const accessCode = await readAccessFiles(settings, files, currentUser(), logger);
  const tlsCode = readTlsFiles(settings, files, logger);
  return { files, code: accessCode || tlsCode };
}

function* clientIds(sessions: Iterable<{ clientId: string }>): Generator<string> {
  for (const { clientId } of sessions) yield clientId;
}
