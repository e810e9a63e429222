/**
 * The log of the main thread, through which every line of the broker goes: pino carries a line with its type to all
 * destinations at once, as Mosquitto's text or as JSON.
 *
 *   write()      ─┐                       ┌─► standard output, standard error
 *   writeLines() ─┴─► pino ─► LineStream ─┼─► file                                 (destinations.ts)
 *   (from workers)                        └─► syslog, topics
 *
 * Before the configuration is known, lines go to standard error with the defaults (`bootstrapLogOptions`), as
 * Mosquitto prints its configuration errors.
 */
import { type Logger as Pino, pino } from 'pino';
import { assertNever } from '../base/assert.js';
import type { LogDestination } from '../config/option-types.js';
import type { Settings } from '../config/settings.js';
import {
  type Destination,
  LogFile,
  LogFileError,
  LogTopics,
  openStandardStream,
  type PublishLogLine,
  StandardStream,
  SystemLog,
} from './destinations.js';
import { openSyslog, type Syslog } from './libc.js';
import { cutToBytes, harmless, LINE_BYTES_MAX, timestampPrefix } from './line-format.js';
import type { LineWriter } from './line-writer.js';
import type { Log, LogLine } from './log.js';
import {
  LogMask,
  type LogType,
  logMaskAll,
  logMaskDefault,
  logMaskNone,
  logTypes,
  maskOf,
} from './log-types.js';
import { unableToOpenLogFile } from './mosquitto-lines.js';

export interface LogOptions {
  /** Empty = nowhere. */
  logDest: readonly LogDestination[];
  /** Bits of `LogMask`. */
  logMask: number;
  logTimestamp: boolean;
  /** As of strftime(3); without it, seconds since 1970. */
  logTimestampFormat: string | undefined;
  /** 0 to 7 for local0 to local7; without it, daemon. */
  logFacility: number | undefined;
  logFormat: 'text' | 'json';
}

export const bootstrapLogOptions: LogOptions = {
  logDest: [{ kind: 'stderr' }],
  logMask: logMaskDefault,
  logTimestamp: true,
  logTimestampFormat: undefined,
  logFacility: undefined,
  logFormat: 'text',
};

/** `-v` and `-q`. */
export interface CommandLineLogging {
  verbose?: boolean;
  /** Wins over `verbose`. */
  quiet?: boolean;
}

export function logOptionsFromSettings(
  settings: Settings,
  { verbose, quiet }: CommandLineLogging = {},
): LogOptions {
  const { logDest, logType, logTimestamp, logTimestampFormat, logFacility, logFormat } = settings;
  const logMask = quiet ? logMaskNone : verbose ? logMaskAll : maskOf(logType);
  return { logDest, logMask, logTimestamp, logTimestampFormat, logFacility, logFormat };
}

/** What the log reaches the world through; each has a default. */
export interface LogPorts {
  /** Log files may be symbolic links; else what the environment says [mosq: MOSQUITTO_UNSAFE_ALLOW_SYMLINKS]. */
  allowSymlinks?: boolean;
  openStandardStream?: typeof openStandardStream;
  /** @returns `null` if there is no system log */
  openSyslog?: (localFacility: number | undefined) => Syslog | null;
}

/** Pino's numbers for Mosquitto's types: what is worse is higher. Which are wanted is the mask's matter. */
const pinoLevels: Readonly<Record<LogType, number>> = {
  error: 50,
  warning: 40,
  notice: 35,
  subscribe: 33,
  unsubscribe: 32,
  information: 30,
  websockets: 22,
  debug: 20,
  internal: 10,
};

/** How long `close` waits for destinations that are stalled. */
const CLOSE_MAX_MS = 1000;

/** What a configuration's destinations gave reason to say. */
type Complaint = [type: LogType, text: string];

export class Logger implements Log {
  mask: number = logMaskNone;
  readonly #ports: Required<LogPorts>;
  readonly #pino: Pino<LogType>;
  #options: LogOptions = bootstrapLogOptions;
  #prefix = timestampPrefix(bootstrapLogOptions);
  #destinations = new Map<string, Destination>();
  /** No longer named by the options, but with lines yet to write. */
  readonly #closing = new Set<Destination>();
  /** Opened once and kept: what waits in them outlasts a reload. */
  readonly #standardStreams = new Map<1 | 2, LineWriter>();
  #publish: PublishLogLine | null = null;
  #seen: ((line: LogLine) => void) | null = null;
  /** Of the line that is on its way through pino; milliseconds since the epoch. */
  #time = 0;

  constructor(options: LogOptions = bootstrapLogOptions, ports: LogPorts = {}) {
    this.#ports = {
      allowSymlinks: process.env.MOSQUITTO_UNSAFE_ALLOW_SYMLINKS !== undefined,
      openStandardStream,
      openSyslog,
      ...ports,
    };
    this.#pino = this.#createPino();
    this.reconfigure(options);
    process.on('exit', this.flushSync);
  }

  /** `log_dest topic` publishes through this. Lines written before are not published. */
  publishThrough(publish: PublishLogLine): void {
    this.#publish = publish;
  }

  /** Each line from now on is shown to `seen`, too. */
  showTo(seen: (line: LogLine) => void): void {
    this.#seen = seen;
  }

  write(type: LogType, text: string): void {
    this.#append(type, text, Date.now());
  }

  /** Lines of a worker, with the time at which it wrote them. */
  writeLines(lines: readonly LogLine[]): void {
    for (const [type, text, time] of lines) this.#append(type, text, time);
  }

  /** Opens files again, for a logrotate that renamed them [mosq: SIGRTMIN]. */
  reopen(): void {
    this.reconfigure(this.#options);
  }

  /**
   * Opens what is new in the options, opens files again, and closes what is not named any more [mosq: SIGHUP]. Lines
   * written before are not lost. In place of what cannot be opened, errors go to standard error.
   */
  reconfigure(options: LogOptions): void {
    const previous = this.#destinations;
    const complaints: Complaint[] = [];
    this.#options = options;
    this.#prefix = timestampPrefix(options);
    this.#destinations = this.#openAll(options, previous, complaints);
    for (const [key, destination] of previous) {
      if (this.#destinations.get(key) !== destination) this.#close(destination);
    }
    let accepted: number = logMaskNone;
    for (const destination of this.#destinations.values()) accepted |= destination.accepts;
    this.mask = options.logMask & accepted;
    for (const [type, text] of complaints) this.write(type, text);
  }

  /** Writes what waits before it returns; also at the exit of the process, so that the last lines are there. */
  readonly flushSync = (): void => {
    for (const sink of this.#sinks()) sink.flushSync();
  };

  /** Resolves when everything is written, or its destination is stalled. Nothing may be written afterwards. */
  async close(): Promise<void> {
    process.off('exit', this.flushSync);
    const closed = this.#sinks().map((sink) => sink.close());
    this.#destinations = new Map();
    this.mask = logMaskNone;
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, CLOSE_MAX_MS);
    });
    await Promise.race([Promise.all(closed), timeout]);
    clearTimeout(timer);
  }

  #close(destination: Destination): void {
    this.#closing.add(destination);
    void destination.close().then(() => this.#closing.delete(destination));
  }

  /** Everything that may have lines yet to write. */
  #sinks(): (Destination | LineWriter)[] {
    return [...this.#closing, ...this.#destinations.values(), ...this.#standardStreams.values()];
  }

  // --------------------------------------------------------------------------------------- the way of a line

  #append(type: LogType, text: string, time: number): void {
    if ((this.mask & LogMask[type]) === 0) return;
    this.#time = time;
    this.#seen?.([type, text, time]);
    this.#pino[type](cutToBytes(text, LINE_BYTES_MAX));
  }

  #createPino(): Pino<LogType> {
    // Pino leaves the text and the level of the line here, for streams that carry its symbol.
    const stream = {
      [pino.symbols.needsMetadataGsym]: true,
      lastMsg: '',
      lastLevel: 0,
      write: (json: string) => this.#distribute(typeOfLevel.get(stream.lastLevel)!, stream.lastMsg, json),
    };
    return pino(
      {
        base: null,
        customLevels: pinoLevels,
        useOnlyCustomLevels: true,
        level: 'internal',
        timestamp: () => `,"time":${this.#time}`,
        formatters: { level: (type, level) => ({ level, type }) },
      },
      stream,
    );
  }

  /** @param json the line as pino made it, with its line end */
  #distribute(type: LogType, text: string, json: string): void {
    const line = this.#options.logFormat === 'json' ? json : this.#textLine(text, this.#time);
    for (const destination of this.#destinations.values()) {
      if ((destination.accepts & LogMask[type]) !== 0) destination.write(type, line);
    }
  }

  #textLine(text: string, time: number): string {
    return `${cutToBytes(this.#prefix(time) + harmless(text), LINE_BYTES_MAX - 1)}\n`;
  }

  /** Past pino: it speaks for one destination, not to all. */
  readonly #droppedLine = (count: number): string => {
    const msg = `${count} log lines were dropped: they came faster than they could be written.`;
    const time = Date.now();
    if (this.#options.logFormat === 'text') return this.#textLine(msg, time);
    return `${JSON.stringify({ level: pinoLevels.warning, type: 'warning', time, msg })}\n`;
  };

  // ------------------------------------------------------------------------------------------- destinations

  #openAll(
    options: LogOptions,
    previous: ReadonlyMap<string, Destination>,
    complaints: Complaint[],
  ): Map<string, Destination> {
    const destinations = new Map<string, Destination>();
    for (const wanted of options.logDest) {
      const key = wanted.kind === 'file' ? `file ${wanted.path}` : wanted.kind;
      if (destinations.has(key)) continue;
      const destination = this.#open(wanted, previous.get(key), complaints);
      if (destination !== null) destinations.set(key, destination);
    }
    if (complaints.some(([type]) => type === 'error') && !destinations.has('stderr')) {
      destinations.set('stderr for errors', new StandardStream(this.#standardStream(2), LogMask.error));
    }
    return destinations;
  }

  /** @returns `null` if it cannot be opened or is not supported, with a complaint */
  #open(
    wanted: LogDestination,
    previous: Destination | undefined,
    complaints: Complaint[],
  ): Destination | null {
    switch (wanted.kind) {
      case 'stdout':
        return new StandardStream(this.#standardStream(1));
      case 'stderr':
        return new StandardStream(this.#standardStream(2));
      case 'file':
        return this.#openFile(wanted.path, previous as LogFile | undefined, complaints);
      case 'syslog':
        return this.#openSystemLog(previous as SystemLog | undefined, complaints);
      case 'topic':
        return new LogTopics((topic, payload) => this.#publish?.(topic, payload));
      case 'dlt':
      case 'android':
        complaints.push([
          'warning',
          `Warning: log_dest ${wanted.kind} is not available, nothing is written to it.`,
        ]);
        return null;
      default:
        return assertNever(wanted);
    }
  }

  #standardStream(fd: 1 | 2): LineWriter {
    let writer = this.#standardStreams.get(fd);
    if (writer === undefined) {
      writer = this.#ports.openStandardStream(fd, this.#droppedLine);
      this.#standardStreams.set(fd, writer);
    }
    return writer;
  }

  #openFile(path: string, previous: LogFile | undefined, complaints: Complaint[]): LogFile | null {
    const { allowSymlinks } = this.#ports;
    try {
      if (previous === undefined) return new LogFile({ path, allowSymlinks, droppedLine: this.#droppedLine });
      previous.reopen();
      return previous;
    } catch (error) {
      if (!(error instanceof LogFileError)) throw error;
      if (error.message !== '') complaints.push(['error', error.message]);
      complaints.push(['error', unableToOpenLogFile(path)]);
      return null;
    }
  }

  #openSystemLog(previous: SystemLog | undefined, complaints: Complaint[]): SystemLog | null {
    const syslog = this.#ports.openSyslog(this.#options.logFacility);
    if (syslog !== null) return previous ?? new SystemLog(syslog, this.#droppedLine);
    complaints.push(['error', 'Error: Unable to open the system log.']);
    return null;
  }
}

const typeOfLevel: ReadonlyMap<number, LogType> = new Map(logTypes.map((type) => [pinoLevels[type], type]));
