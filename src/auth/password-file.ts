/**
 * `password_file`: `USERNAME:HASH` a line [mosq: password_file].
 *
 * Strict, as in Mosquitto 2.1: one line that cannot be used refuses the whole file. If the broker started without
 * some of its users, only these users would notice.
 */
import { encodingWarning, type FileProblem, meaningfulLines, type NumberedLine } from './access-file.js';
import { decoyHash, type PasswordHash, parsePasswordHash } from './password-hash.js';

export interface PasswordEntry {
  username: string;
  stored: PasswordHash;
  /** The hash as written: shows after a reload whether the user's line has changed. */
  text: string;
  line: number;
}

export interface PasswordFile {
  file: string;
  users: ReadonlyMap<string, PasswordEntry>;
  /** The hash that is checked for unknown users, see `decoyHash`; null for a file without users. */
  decoy: PasswordHash | null;
}

export type PasswordFileResult =
  | { ok: true; passwords: PasswordFile; warnings: FileProblem[] }
  | { ok: false; errors: FileProblem[] };

/** Mosquitto's line if the file cannot be opened; the broker then ends with exit code 13. */
export function passwordFileUnopened(file: string): string {
  return `password-file: Error: Unable to open pwfile "${file}".`;
}

/** Bytes of an MQTT string. */
const USERNAME_MAX_BYTES = 65535;

export function parsePasswordFile(file: string, text: string): PasswordFileResult {
  const users = new Map<string, PasswordEntry>();
  const errors: FileProblem[] = [];
  const warnings: FileProblem[] = [];
  for (const numbered of meaningfulLines(text)) {
    if (!numbered.text.includes(':')) continue; // [mosq: password_file] such lines are skipped
    const entry = parseEntry(file, numbered);
    if ('message' in entry) {
      errors.push(entry);
    } else if (users.has(entry.username)) {
      errors.push({
        file,
        line: numbered.line,
        message: `password-file: Error: Duplicate user '${entry.username}' in password file '${file}'.`,
        advice: `The first one is in line ${users.get(entry.username)!.line}.`,
      });
    } else {
      users.set(entry.username, entry);
      const warning = encodingWarning(file, numbered);
      if (warning !== null) warnings.push(warning);
    }
  }
  if (errors.length > 0) return { ok: false, errors };
  return { ok: true, passwords: { file, users, decoy: decoyOf(users) }, warnings };
}

function parseEntry(file: string, { line, text }: NumberedLine): PasswordEntry | FileProblem {
  const colon = text.indexOf(':');
  const username = text.slice(0, colon).trim();
  const hashText = text.slice(colon + 1).trim();
  if (colon === 0) {
    // Mosquitto shows the whole line; a hash has no place in a log.
    return { file, line, message: `password-file: Error: Invalid line in password file '${file}': :` };
  }
  if (username === '') {
    return { file, line, message: `password-file: Error: Empty username in password file '${file}'.` };
  }
  if (Buffer.byteLength(username) > USERNAME_MAX_BYTES) {
    const shown = username.slice(0, 100);
    return {
      file,
      line,
      message: `password-file: Error: Invalid line in password file '${file}': ${shown}:`,
    };
  }
  const stored = hashText === '' ? 'it is missing' : parsePasswordHash(hashText);
  if (typeof stored !== 'string') return { username, stored, text: hashText, line };
  const advice =
    hashText === '' || hashText.startsWith('$')
      ? ''
      : ` Use mosquitto_passwd -U ${file} to hash plain passwords.`;
  return {
    file,
    line,
    message: `password-file: Error: Unable to decode line in password file '${file}'.`,
    advice: `The password of user '${username}' cannot be used: ${stored}.${advice}`,
  };
}

function decoyOf(users: ReadonlyMap<string, PasswordEntry>): PasswordHash | null {
  for (const { stored } of users.values()) return decoyHash(stored);
  return null;
}

/** Whether the file has argon2id hashes, so that the broker must be able to compute them. */
export function needsArgon2(passwords: PasswordFile): boolean {
  for (const { stored } of passwords.users.values()) if (stored.algorithm === 'argon2id') return true;
  return false;
}
