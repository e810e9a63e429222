/**
 * Calls of the C library for the log. If koffi does not load, both functions return nothing, and the log does without
 * them.
 */
import { constants } from 'node:fs';
import { loadCLibrary } from '../system/c-library.js';

/** syslog(3) facility LOG_DAEMON; LOG_LOCAL0 to LOG_LOCAL7 follow one another from 16 on. */
const LOG_DAEMON = 3;
const LOG_LOCAL0 = 16;

/** openlog(3): each line says the process id. */
const LOG_PID = 1;

/** fcntl(2) commands. */
const F_GETFL = 3;
const F_SETFL = 4;

/** The system log. Both calls wait if the log daemon is busy. */
export interface Syslog {
  /** Sends one line on another thread. */
  sendAside(priority: number, text: string, done: () => void): void;
  /** Sends one line on this thread, for a process that is about to end. */
  send(priority: number, text: string): void;
}

interface Libc {
  openlog(ident: Buffer, options: number, facility: number): void;
  syslog: {
    (priority: number, format: string): void;
    async(priority: number, format: string, done: () => void): void;
  };
  fcntl(fd: number, command: number, type: 'int', argument: number): number;
}

let libc: Libc | null | undefined;

function loadLibc(): Libc | null {
  try {
    const { libc: library } = loadCLibrary();
    return {
      openlog: library.func('void openlog(void* ident, int option, int facility)'),
      // Declared without the variadic arguments, which are never given.
      syslog: library.func('void syslog(int priority, str format)'),
      fcntl: library.func('int fcntl(int fd, int cmd, ...)'),
    };
  } catch {
    return null;
  }
}

function getLibc(): Libc | null {
  if (libc === undefined) libc = loadLibc();
  return libc;
}

/** openlog(3) keeps the pointer, so the bytes have to stay where they are. */
const ident = Buffer.from('mosquitto\0');

/**
 * Opens the system log under Mosquitto's name, for which existing filters look.
 * @param localFacility 0 to 7 for local0 to local7; without it, daemon
 * @param options further flags of openlog(3)
 * @returns `null` if the C library cannot be reached
 */
export function openSyslog(localFacility: number | undefined, options = 0): Syslog | null {
  const library = getLibc();
  if (library === null) return null;
  const facility = localFacility === undefined ? LOG_DAEMON : LOG_LOCAL0 + localFacility;
  library.openlog(ident, LOG_PID | options, facility << 3);
  return {
    sendAside: (priority, text, done) => library.syslog.async(priority, formatOf(text), done),
    send: (priority, text) => library.syslog(priority, formatOf(text)),
  };
}

/** A printf(3) format that prints the text. */
const formatOf = (text: string) => text.replaceAll('%', '%%');

/** Makes writes to a descriptor return at once if they would wait. @returns whether that worked */
export function setNonBlocking(fd: number): boolean {
  const library = getLibc();
  if (library === null) return false;
  const flags = library.fcntl(fd, F_GETFL, 'int', 0);
  return flags !== -1 && library.fcntl(fd, F_SETFL, 'int', flags | constants.O_NONBLOCK) !== -1;
}
