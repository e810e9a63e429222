/** The command line of `mosquitto_passwd`, with Mosquitto's messages for what is wrong with it. */
import { DEFAULT_ITERATIONS, type HashAlgorithm, type HashOptions } from '../../auth/password-hash.js';

export type PasswdCommand =
  | {
      kind: 'set';
      file: string;
      username: string;
      /** null: the command asks for the password. */
      password: string | null;
      /** Whether to create the file, which must not exist. */
      create: boolean;
      hash: HashOptions;
    }
  | { kind: 'delete'; file: string; username: string }
  | { kind: 'upgrade'; file: string; hash: HashOptions };

/** The text to print instead; the exit code is 1. */
export type PasswdRefusal = { kind: 'usage' } | { kind: 'fault'; message: string };

export const PASSWD_USAGE = `mosquitto_passwd is a tool for managing password files for mosquitto.

Usage: mosquitto_passwd [-H hash] [-I iterations] [-c | -D] passwordfile username
       mosquitto_passwd [-H hash] [-I iterations] [-c] -b passwordfile username password
       mosquitto_passwd [-H hash] [-I iterations] -U passwordfile
 -b : run in batch mode to allow passing passwords on the command line.
 -c : create a new password file. A file that exists already is not overwritten;
      with - as passwordfile the line is written to standard output.
 -D : delete the username rather than adding/updating its password.
 -H : specify the hashing algorithm: argon2id, sha512-pbkdf2 (default) or sha512.
 -I : specify the number of iterations of sha512-pbkdf2. Defaults to ${DEFAULT_ITERATIONS}.
 -U : hash the passwords of a plain text password file. What is hashed stays.
 --salt-bytes : 12 or 64. Mosquitto before 2.1 only reads hashes with a salt of 12 bytes.
      Defaults to 12 for a file that has no others, else to 64.
`;

interface Flags {
  batch: boolean;
  create: boolean;
  delete: boolean;
  upgrade: boolean;
  hash: HashOptions;
}

/** @param args without the program's own name */
export function parsePasswdArguments(args: readonly string[]): PasswdCommand | PasswdRefusal {
  const flags: Flags = {
    batch: false,
    create: false,
    delete: false,
    upgrade: false,
    hash: { algorithm: 'sha512-pbkdf2' },
  };
  let at = 0;
  for (; at < args.length && args[at]!.startsWith('-') && args[at] !== '-'; at += 1) {
    const option = args[at]!;
    if (setFlag(flags, option)) continue;
    if (option !== '-H' && option !== '-I' && option !== '--salt-bytes') return { kind: 'usage' };
    at += 1;
    if (at >= args.length) return fault(`${option} argument given but not enough other arguments.`);
    const refusal = setHashOption(flags.hash, option, args[at]!);
    if (refusal !== null) return refusal;
  }
  return contradiction(flags) ?? commandOf(flags, args.slice(at));
}

function fault(message: string): PasswdRefusal {
  return { kind: 'fault', message: `Error: ${message}` };
}

function setFlag(flags: Flags, option: string): boolean {
  if (option === '-b') flags.batch = true;
  else if (option === '-c') flags.create = true;
  else if (option === '-D') flags.delete = true;
  else if (option === '-U') flags.upgrade = true;
  else return false;
  return true;
}

function setHashOption(
  hash: HashOptions,
  option: '-H' | '-I' | '--salt-bytes',
  value: string,
): PasswdRefusal | null {
  if (option === '-H') {
    if (!isAlgorithm(value)) return fault(`Unknown hash type '${value}'`);
    hash.algorithm = value;
  } else if (option === '-I') {
    const iterations = /^\d{1,10}$/.test(value) ? Number(value) : 0;
    if (iterations < 1 || iterations > 0x7fffffff) return fault('Number of iterations must be > 0.');
    hash.iterations = iterations;
  } else {
    if (value !== '12' && value !== '64') return fault('Number of salt bytes must be 12 or 64.');
    hash.saltBytes = value === '12' ? 12 : 64;
  }
  return null;
}

function isAlgorithm(name: string): name is HashAlgorithm {
  return name === 'argon2id' || name === 'sha512-pbkdf2' || name === 'sha512';
}

function contradiction(flags: Flags): PasswdRefusal | null {
  if (flags.create && flags.delete) return fault('-c and -D cannot be used together.');
  if (flags.create && flags.upgrade) return fault('-c and -U cannot be used together.');
  if (flags.delete && flags.upgrade) return fault('-D and -U cannot be used together.');
  if (flags.batch && flags.delete) return fault('-b and -D cannot be used together.');
  return null;
}

function commandOf(flags: Flags, words: readonly string[]): PasswdCommand | PasswdRefusal {
  const [file = '', username = '', password = ''] = words;
  if (flags.upgrade) {
    if (words.length !== 1) return fault('-U argument given but password file missing.');
    return { kind: 'upgrade', file, hash: flags.hash };
  }
  if (flags.delete) {
    if (words.length !== 2) return fault('-D argument given but password file or username missing.');
    return { kind: 'delete', file, username };
  }
  if (words.length !== (flags.batch ? 3 : 2)) {
    if (!flags.create) return { kind: 'usage' };
    const missing = flags.batch ? 'password file, username, or password' : 'password file or username';
    return fault(`-c argument given but ${missing} missing.`);
  }
  const { create, hash } = flags;
  return { kind: 'set', file, username, password: flags.batch ? password : null, create, hash };
}

/** @returns why no file can have the name, not even one that was written by hand; null if it can */
export function characterFault(username: string): string | null {
  if (username.includes(':')) return "Error: Username must not contain the ':' character.";
  return /[\u0000-\u001f\u007f-\u009f]/.test(username)
    ? 'Error: Username must not contain control characters.'
    : null;
}

/** @returns the reason why a password file cannot hold this name; null for a good one */
export function usernameFault(username: string): string | null {
  if (username === '') return 'Error: Username must not be empty.';
  const fault = characterFault(username);
  if (fault !== null) return fault;
  if (username.startsWith('#')) return "Error: Username must not begin with the '#' character.";
  if (username.trim() !== username) return 'Error: Username must not begin or end with a space.';
  return null;
}
