/**
 * Giving up root [mosq: user]. It happens when the ports are bound and before anything else: all files are read and
 * made, and all clients served, by the user that the broker runs as. The worker threads do not exist yet.
 */
import { chownSync, closeSync, openSync } from 'node:fs';
import type { Log } from '../../log/log.js';
import { runningAsUser } from '../../log/mosquitto-lines.js';
import { findUser, type SystemUser } from './broker-user.js';

/** Built files of modules are not part of the package: what was started is. */
const PROGRAM = process.argv[1] ?? process.execPath;
const DEFAULT_USER = 'mosquitto';
const FALLBACK_USER = 'nobody';

/** The numbers of PUID and PGID: -1 is no user, and so on. */
const ID_MAX = 0xffff_fffe;

export interface PrivilegeOptions {
  /** The option `user`. */
  user: string;
  /** PUID and PGID are numbers to be used instead. */
  environment: Readonly<Record<string, string | undefined>>;
  /** Unix sockets that were made as root and are to belong to the user. */
  sockets: readonly string[];
  log: Log;
}

/** @returns false if that is not possible, which is logged: the start ends with exit code 3 */
export function dropPrivileges(options: PrivilegeOptions): boolean {
  const { user, environment, sockets, log } = options;
  if (process.getuid?.() !== 0) return true;
  const target = targetOf(user, environment, log);
  if (target === null) return false;
  if (target.uid === 0) return true;
  if (!mayReadProgram(target)) return stayRoot(target, user, log);
  try {
    for (const path of sockets) chownSync(path, target.uid, target.gid);
    become(target);
  } catch (error) {
    log.write('error', `Error: Unable to continue as user '${target.name}': ${(error as Error).message}.`);
    return false;
  }
  log.write('information', runningAsUser(target.name));
  return true;
}

/**
 * The program lies where the user may not read it, and worker threads load their modules only later. A user that
 * was asked for is not replaced by root; without one, as in a clone below /root, the broker runs all the same.
 */
function stayRoot({ name }: SystemUser, wanted: string, log: Log): boolean {
  const complaint = `User '${name}' may not read ${PROGRAM}`;
  if (wanted !== DEFAULT_USER) {
    log.write('error', `Error: ${complaint}; it has to be able to read the program.`);
    return false;
  }
  log.write('warning', `Warning: ${complaint}, so the broker goes on as root.`);
  log.write(
    'warning',
    'Install it where that user can read it; or set the option user to root, if that is meant.',
  );
  return true;
}

function targetOf(
  user: string,
  { PUID, PGID }: PrivilegeOptions['environment'],
  log: Log,
): SystemUser | null {
  const named = PUID === undefined ? userByName(user, log) : userByNumber(PUID, 'PUID', log);
  if (named === null || PGID === undefined) return named;
  const gid = idOf(PGID, 'PGID', log);
  return gid === null ? null : { ...named, gid };
}

function userByName(name: string, log: Log): SystemUser | null {
  const found = findUser(name);
  if (found !== null) return found;
  const complaint = `Unable to drop privileges to '${name}' because this user does not exist.`;
  if (name !== DEFAULT_USER) {
    log.write('error', `Error: ${complaint}`);
    return null;
  }
  log.write('warning', `Warning: ${complaint} Trying '${FALLBACK_USER}' instead.`);
  const fallback = findUser(FALLBACK_USER);
  if (fallback === null) {
    log.write(
      'error',
      `Error: Unable to drop privileges to '${FALLBACK_USER}' because this user does not exist.`,
    );
  }
  return fallback;
}

/** A number without an entry is all right: containers have them. */
function userByNumber(text: string, variable: string, log: Log): SystemUser | null {
  const uid = idOf(text, variable, log);
  return uid === null ? null : (findUser(uid) ?? { name: text, uid, gid: uid });
}

function idOf(text: string, variable: string, log: Log): number | null {
  const id = /^\d{1,10}$/.test(text) ? Number(text) : Number.POSITIVE_INFINITY;
  if (id <= ID_MAX) return id;
  log.write('error', `Error: ${variable} environment variable not a valid number.`);
  return null;
}

/** Node has it on POSIX systems; its types do not. */
const { initgroups } = process as unknown as { initgroups: (user: string, extraGroup: number) => void };

/** The groups first: afterwards that is not allowed any more. */
function become({ name, uid, gid }: SystemUser): void {
  if (findUser(name) === null) process.setgroups!([gid]);
  else initgroups(name, gid);
  process.setgid!(gid);
  process.setuid!(uid);
}

/** Tries it as that user, and is root again afterwards. */
function mayReadProgram({ uid, gid }: SystemUser): boolean {
  process.setegid!(gid);
  process.seteuid!(uid);
  try {
    closeSync(openSync(PROGRAM, 'r'));
    return true;
  } catch {
    return false;
  } finally {
    process.seteuid!(0);
    process.setegid!(0);
  }
}
