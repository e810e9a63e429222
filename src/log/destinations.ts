/**
 * The destinations of log lines, one class for each kind of `log_dest`. All are bounded, and none blocks the main thread.
 */
import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import { assert } from '../base/assert.js';
import { RingQueue } from '../base/ring-queue.js';
import type { Syslog } from './libc.js';
import { setNonBlocking } from './libc.js';
import { LineWriter } from './line-writer.js';
import { LogMask, type LogType, logMaskAll } from './log-types.js';

export interface Destination {
  /** The types it takes, bits of `LogMask`. */
  readonly accepts: number;
  /** @param line as it is printed, with its line end */
  write(type: LogType, line: string): void;
  flushSync(): void;
  /** Resolves when everything is written. */
  close(): Promise<void>;
}

/** Formats the line, with its line end, that reports lines dropped by a destination. */
export type DroppedLine = (count: number) => string;

// --------------------------------------------------------------------------------------- standard streams

/** Standard output or standard error. */
export class StandardStream implements Destination {
  readonly accepts: number;
  readonly #writer: LineWriter;

  constructor(writer: LineWriter, accepts = logMaskAll) {
    this.accepts = accepts;
    this.#writer = writer;
  }

  write(_type: LogType, line: string): void {
    this.#writer.write(line);
  }

  /** The writer is the logger's: it outlives this destination. */
  flushSync(): void {}

  async close(): Promise<void> {}
}

/** @param fd 1 or 2 */
export function openStandardStream(fd: 1 | 2, droppedLine: DroppedLine): LineWriter {
  const nonBlockingFd = openNonBlocking(fd);
  return new LineWriter({ fd: nonBlockingFd ?? fd, nonBlocking: nonBlockingFd !== null, droppedLine });
}

/** @returns a descriptor for the same pipe or socket that never waits; `null` if there is none */
function openNonBlocking(fd: 1 | 2): number | null {
  let isPipe: boolean;
  try {
    const stats = fstatSync(fd);
    if (!stats.isFIFO() && !stats.isSocket()) return null;
    isPipe = stats.isFIFO();
  } catch {
    return null;
  }
  if (isPipe) {
    try {
      // The flag belongs to the open file, which is shared with the programs that the pipe was inherited from.
      return openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK);
    } catch {
      // No /proc, or the pipe belongs to another user: then the flag is set all the same.
    }
  }
  return setNonBlocking(fd) ? fd : null;
}

// ---------------------------------------------------------------------------------------------------- files

/** A log file that cannot be written; the message says why if a line about it is due, else it is empty. */
export class LogFileError extends Error {
  override readonly name = 'LogFileError';
}

export interface LogFileOptions {
  path: string;
  /** [mosq: MOSQUITTO_UNSAFE_ALLOW_SYMLINKS] */
  allowSymlinks: boolean;
  droppedLine: DroppedLine;
}

export class LogFile implements Destination {
  readonly accepts = logMaskAll;
  readonly #path: string;
  readonly #allowSymlinks: boolean;
  readonly #writer: LineWriter;

  /** @throws LogFileError */
  constructor({ path, allowSymlinks, droppedLine }: LogFileOptions) {
    this.#path = path;
    this.#allowSymlinks = allowSymlinks;
    this.#writer = new LineWriter({ fd: openLogFile(path, allowSymlinks), nonBlocking: false, droppedLine });
  }

  write(_type: LogType, line: string): void {
    this.#writer.write(line);
  }

  /** The file at the path may be another one now, when logrotate has renamed it. @throws LogFileError */
  reopen(): void {
    this.#writer.replaceDescriptor(openLogFile(this.#path, this.#allowSymlinks));
  }

  flushSync(): void {
    this.#writer.flushSync();
  }

  close(): Promise<void> {
    return this.#writer.close();
  }
}

const OWNER_ONLY = 0o600;

/** Opens for appending, made if there is none. @throws LogFileError */
function openLogFile(path: string, allowSymlinks: boolean): number {
  const { O_WRONLY, O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK } = constants;
  // O_NONBLOCK: to open a named pipe without a reader would wait for one.
  const flags = O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | (allowSymlinks ? 0 : O_NOFOLLOW);
  let fd: number;
  try {
    fd = openSync(path, flags, OWNER_ONLY);
  } catch (cause) {
    throw new LogFileError('', { cause });
  }
  if (!fstatSync(fd).isFile()) {
    closeSync(fd);
    throw new LogFileError(`Error: ${path} is not a file.`);
  }
  return fd;
}

// --------------------------------------------------------------------------------------------------- syslog

/** Syslog priorities [mosq: log_dest]; websockets and internal lines rank with debug. */
const syslogPriority: Readonly<Record<LogType, number>> = {
  error: 3,
  warning: 4,
  notice: 5,
  information: 6,
  debug: 7,
  subscribe: 5,
  unsubscribe: 5,
  websockets: 7,
  internal: 7,
};

const SYSLOG_WAITING_MAX = 10_000;

/** Milliseconds without reading a line after which a log daemon is not waited for at the end either. */
const SYSLOG_STALLED_MS = 500;

/** The system log. One line is on its way at a time, on another thread. */
export class SystemLog implements Destination {
  readonly accepts = logMaskAll;
  readonly #syslog: Syslog;
  readonly #droppedLine: DroppedLine;
  readonly #waitingMax: number;
  readonly #waiting = new RingQueue<[type: LogType, line: string]>();
  /** Milliseconds since the epoch; `null` while no line is on its way. */
  #sendingSince: number | null = null;
  #dropped = 0;
  #onClosed: (() => void) | null = null;

  constructor(syslog: Syslog, droppedLine: DroppedLine, waitingMax = SYSLOG_WAITING_MAX) {
    this.#syslog = syslog;
    this.#droppedLine = droppedLine;
    this.#waitingMax = waitingMax;
  }

  write(type: LogType, line: string): void {
    if (this.#waiting.length >= this.#waitingMax) {
      this.#dropped += 1;
      return;
    }
    this.#waiting.push([type, line]);
    if (this.#sendingSince === null) this.#sendNext();
  }

  #sendNext = (): void => {
    const next = this.#takeNext();
    if (next === undefined) {
      this.#sendingSince = null;
      this.#onClosed?.();
      return;
    }
    const [type, line] = next;
    this.#sendingSince = Date.now();
    this.#syslog.sendAside(syslogPriority[type], withoutLineEnd(line), this.#sendNext);
  };

  #takeNext(): [type: LogType, line: string] | undefined {
    const next = this.#waiting.shift();
    if (next !== undefined || this.#dropped === 0) return next;
    const dropped = this.#dropped;
    this.#dropped = 0;
    return ['warning', this.#droppedLine(dropped)];
  }

  flushSync(): void {
    if (this.#sendingSince !== null && Date.now() - this.#sendingSince > SYSLOG_STALLED_MS) return;
    for (let next = this.#takeNext(); next !== undefined; next = this.#takeNext()) {
      const [type, line] = next;
      this.#syslog.send(syslogPriority[type], withoutLineEnd(line));
    }
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#onClosed = resolve;
      if (this.#sendingSince === null) resolve();
    });
  }
}

const withoutLineEnd = (line: string): string => line.slice(0, -1);

// ---------------------------------------------------------------------------------------------------- topic

/** Where each type is published; types without a topic would log their own publishing. */
const topicOfType: Readonly<Partial<Record<LogType, string>>> = {
  error: '$SYS/broker/log/E',
  warning: '$SYS/broker/log/W',
  notice: '$SYS/broker/log/N',
  information: '$SYS/broker/log/I',
  subscribe: '$SYS/broker/log/M/subscribe',
  unsubscribe: '$SYS/broker/log/M/unsubscribe',
  websockets: '$SYS/broker/log/WS',
};

/** Publishes a log line: not retained, QoS 2, `LOG_MESSAGE_EXPIRY_SECONDS`. */
export type PublishLogLine = (topic: string, payload: string) => void;

/** Message expiry interval of published log lines [mosq: log_dest topic]. */
export const LOG_MESSAGE_EXPIRY_SECONDS = 20;

export class LogTopics implements Destination {
  readonly accepts = logMaskAll & ~(LogMask.debug | LogMask.internal);
  readonly #publish: PublishLogLine;
  #isPublishing = false;

  constructor(publish: PublishLogLine) {
    this.#publish = publish;
  }

  write(type: LogType, line: string): void {
    const topic = topicOfType[type];
    assert(topic !== undefined, `log lines of type ${type} have no topic`);
    // What publishing itself has to say goes to the other destinations only.
    if (this.#isPublishing) return;
    this.#isPublishing = true;
    try {
      this.#publish(topic, withoutLineEnd(line));
    } finally {
      this.#isPublishing = false;
    }
  }

  flushSync(): void {}

  async close(): Promise<void> {}
}
