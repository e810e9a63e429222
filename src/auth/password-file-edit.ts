/**
 * Changes to the text of a `password_file`, as `mosquitto_passwd` makes them: comments, blank lines and the order
 * of the users stay as they are.
 */
import { parsePasswordHash, SALT_BYTES_2_0, SALT_BYTES_2_1 } from './password-hash.js';

/** The number, from 1, of a line that is neither a user nor a comment. If there is one, nothing is changed. */
export interface CorruptLine {
  corruptLine: number;
}

interface UserLine {
  username: string;
  /** The part of the line after the colon. */
  secret: string;
}

/**
 * Replaces the user's hash in its line, or adds the user as the last line.
 *
 * @param hash in the encoded form of the file
 */
export function setPassword(
  text: string,
  { username, hash }: { username: string; hash: string },
): { text: string; added: boolean } | CorruptLine {
  let added = true;
  const edited = editUsers(text, (user) => {
    if (user.username !== username) return user.line;
    added = false;
    return `${username}:${hash}`;
  });
  if (typeof edited !== 'string') return edited;
  return { text: added ? `${withLineEnd(edited)}${username}:${hash}\n` : edited, added };
}

export function removeUser(text: string, username: string): { text: string; found: boolean } | CorruptLine {
  let found = false;
  const edited = editUsers(text, (user) => {
    if (user.username !== username) return user.line;
    found = true;
    return null;
  });
  return typeof edited === 'string' ? { text: edited, found } : edited;
}

/**
 * Hashes every password that is in plain text; hashed ones stay as they are.
 *
 * @param hash returns a password's hash in the encoded form of the file
 */
export async function hashPlainPasswords(
  text: string,
  hash: (password: string) => Promise<string>,
): Promise<{ text: string } | CorruptLine> {
  const hashes = new Map<string, string>();
  for (const { secret } of usersOf(text)) {
    if (typeof parsePasswordHash(secret) === 'string') hashes.set(secret, '');
  }
  for (const secret of hashes.keys()) hashes.set(secret, await hash(secret));
  const edited = editUsers(text, (user) => {
    const hashed = hashes.get(user.secret);
    return hashed === undefined ? user.line : `${user.username}:${hashed}`;
  });
  return typeof edited === 'string' ? { text: edited } : edited;
}

/**
 * The salt length for new hashes in this file. If all salts of the file have the old length, the file may belong to
 * a Mosquitto before 2.1, which reads no other length.
 */
export function fittingSaltBytes(text: string): typeof SALT_BYTES_2_0 | typeof SALT_BYTES_2_1 {
  let salts = 0;
  for (const { secret } of usersOf(text)) {
    const stored = parsePasswordHash(secret);
    if (typeof stored === 'string') continue;
    if (stored.salt.length !== SALT_BYTES_2_0) return SALT_BYTES_2_1;
    salts += 1;
  }
  return salts > 0 ? SALT_BYTES_2_0 : SALT_BYTES_2_1;
}

function* usersOf(text: string): Generator<UserLine> {
  for (const line of text.split('\n')) {
    const user = parseLine(line);
    if (typeof user === 'object') yield user;
  }
}

/** @param edit returns the line's replacement, or null to remove the line */
function editUsers(
  text: string,
  edit: (user: UserLine & { line: string }) => string | null,
): string | CorruptLine {
  const kept: string[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    const user = parseLine(line);
    if (user === 'corrupt') return { corruptLine: index + 1 };
    const edited = user === 'nothing' ? line : edit({ ...user, line });
    if (edited !== null) kept.push(edited);
  }
  return kept.join('\n');
}

function parseLine(line: string): UserLine | 'nothing' | 'corrupt' {
  if (line.startsWith('#') || line.trim() === '') return 'nothing';
  const colon = line.indexOf(':');
  const username = line.slice(0, Math.max(colon, 0)).trim();
  const secret = line.slice(colon + 1).trim();
  return username === '' || secret === '' ? 'corrupt' : { username, secret };
}

function withLineEnd(text: string): string {
  return text === '' || text.endsWith('\n') ? text : `${text}\n`;
}
