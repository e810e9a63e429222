/**
 * The three password hashes of a Mosquitto `password_file`: reading, checking and making them.
 *
 *   $6$SALT$HASH                                sha512         SHA-512(password, salt), one pass; not crypt(3)'s $6$
 *   $7$ITERATIONS$SALT$HASH                     sha512-pbkdf2  PBKDF2 with HMAC-SHA-512
 *   $argon2id$v=19$m=KIB,t=PASSES,p=LANES$S$H   argon2id       the usual encoded form, base64 without padding
 *
 * The one file of `auth` that may use node:crypto. The costly hashes run on libuv's thread pool, never on the
 * event loop; `HashQueue` sees to it that they do not fill that pool.
 */
import * as crypto from 'node:crypto';
import { assertNever } from '../base/assert.js';

/** The names that `mosquitto_passwd -H` takes. */
export type HashAlgorithm = 'sha512' | 'sha512-pbkdf2' | 'argon2id';

interface Argon2Cost {
  memoryKib: number;
  passes: number;
  lanes: number;
}

/** A salted hash, with the algorithm and cost with which a password is checked against it. */
export type PasswordHash = { salt: Buffer; hash: Buffer } & (
  | { algorithm: 'sha512' }
  | { algorithm: 'sha512-pbkdf2'; iterations: number }
  | ({ algorithm: 'argon2id' } & Argon2Cost)
);

/** Bytes of a new hash; hashes of types 6 and 7 all have this length. */
const HASH_BYTES = 64;
/** Bytes of a salt of types 6 and 7: as Mosquitto up to 2.0 writes them, and as 2.1 does. */
export const SALT_BYTES_2_0 = 12;
export const SALT_BYTES_2_1 = 64;
/** The iterations that Mosquitto 2.1 writes [mosq: mosquitto_passwd -I]. */
export const DEFAULT_ITERATIONS = 1000;
const ARGON2_COST: Argon2Cost = { memoryKib: 47104, passes: 1, lanes: 1 };

const INT32_MAX = 0x7fffffff;
/** 4 GiB: more than a small machine can spare for one login. */
const ARGON2_MEMORY_MAX_KIB = 4 * 1024 * 1024;

/** Which salts a `$6$` or `$7$` hash may have: those of Mosquitto's password files, or any, as in dynamic security. */
type Salts = 'known salts' | 'any salt';

/** @returns the hash, or the reason why the text is not a hash */
export function parsePasswordHash(text: string, salts: Salts = 'known salts'): PasswordHash | string {
  const fields = text.split('$');
  if (fields.shift() !== '') return 'it is not hashed';
  switch (fields.shift()) {
    case '6':
      return parseSha512(fields, salts);
    case '7':
      return parsePbkdf2(fields, salts);
    case 'argon2id':
      return parseArgon2id(fields);
    default:
      return 'its hash is not of type $6$, $7$ or $argon2id$';
  }
}

function parseSha512(fields: string[], salts: Salts): PasswordHash | string {
  if (fields.length !== 2) return 'a $6$ hash is written $6$SALT$HASH';
  const decoded = decodeSaltAndHash(fields[0]!, fields[1]!, salts);
  return typeof decoded === 'string' ? decoded : { algorithm: 'sha512', ...decoded };
}

function parsePbkdf2(fields: string[], salts: Salts): PasswordHash | string {
  if (fields.length !== 3) return 'a $7$ hash is written $7$ITERATIONS$SALT$HASH';
  const iterations = parseCount(fields[0]!, INT32_MAX);
  if (iterations === null) return 'its number of iterations is not valid';
  const decoded = decodeSaltAndHash(fields[1]!, fields[2]!, salts);
  return typeof decoded === 'string' ? decoded : { algorithm: 'sha512-pbkdf2', iterations, ...decoded };
}

function decodeSaltAndHash(
  saltText: string,
  hashText: string,
  salts: Salts,
): { salt: Buffer; hash: Buffer } | string {
  const salt = decodeBase64(saltText);
  const isKnownLength = salt?.length === SALT_BYTES_2_0 || salt?.length === SALT_BYTES_2_1;
  if (salt === null || (salts === 'known salts' && !isKnownLength)) {
    return `its salt is not ${SALT_BYTES_2_0} or ${SALT_BYTES_2_1} bytes in base64`;
  }
  const hash = decodeBase64(hashText);
  if (hash === null || hash.length !== HASH_BYTES) return `its hash is not ${HASH_BYTES} bytes in base64`;
  return { salt, hash };
}

/** Least salt and hash that Argon2 knows, in bytes [RFC 9106, 3.1]. */
const ARGON2_SALT_MIN = 8;
const ARGON2_HASH_MIN = 4;

function parseArgon2id(fields: string[]): PasswordHash | string {
  const [version, cost, saltText, hashText] = fields;
  if (fields.length !== 4 || version !== 'v=19') {
    return 'an argon2id hash is written $argon2id$v=19$m=KIB,t=PASSES,p=LANES$SALT$HASH';
  }
  const numbers = /^m=(\d+),t=(\d+),p=(\d+)$/.exec(cost!);
  const memoryKib = parseCount(numbers?.[1] ?? '', ARGON2_MEMORY_MAX_KIB);
  const passes = parseCount(numbers?.[2] ?? '', INT32_MAX);
  const lanes = parseCount(numbers?.[3] ?? '', 255);
  if (memoryKib === null || passes === null || lanes === null || memoryKib < 8 * lanes) {
    return 'its argon2id parameters are not valid';
  }
  const salt = decodeBase64(padded(saltText!));
  const hash = decodeBase64(padded(hashText!));
  if (salt === null || salt.length < ARGON2_SALT_MIN) return 'its salt is not valid base64';
  if (hash === null || hash.length < ARGON2_HASH_MIN) return 'its hash is not valid base64';
  return { algorithm: 'argon2id', memoryKib, passes, lanes, salt, hash };
}

/** A decimal number from 1 to `max`. */
function parseCount(text: string, max: number): number | null {
  if (!/^\d{1,10}$/.test(text)) return null;
  const value = Number(text);
  return value >= 1 && value <= max ? value : null;
}

/** Strict base64: `Buffer.from` alone skips characters that are not base64. */
function decodeBase64(text: string): Buffer | null {
  const bytes = Buffer.from(text, 'base64');
  return text !== '' && bytes.toString('base64') === text ? bytes : null;
}

function padded(text: string): string {
  return text + '='.repeat((4 - (text.length % 4)) % 4);
}

/** The hash in the encoded form of a password file. */
export function formatPasswordHash(stored: PasswordHash): string {
  const salt = stored.salt.toString('base64');
  const hash = stored.hash.toString('base64');
  switch (stored.algorithm) {
    case 'sha512':
      return `$6$${salt}$${hash}`;
    case 'sha512-pbkdf2':
      return `$7$${stored.iterations}$${salt}$${hash}`;
    case 'argon2id': {
      const cost = `m=${stored.memoryKib},t=${stored.passes},p=${stored.lanes}`;
      return `$argon2id$v=19$${cost}$${unpadded(salt)}$${unpadded(hash)}`;
    }
    default:
      return assertNever(stored);
  }
}

function unpadded(base64: string): string {
  return base64.replace(/=+$/, '');
}

/** Compares in constant time. Rejects if the hash is argon2id and this machine has no argon2; see `argon2Fault`. */
export async function verifyPassword(stored: PasswordHash, password: Uint8Array): Promise<boolean> {
  const computed = await computeHash(stored, password);
  return crypto.timingSafeEqual(computed, stored.hash);
}

/**
 * A hash that no password matches and that takes as long to check as `like`. It is checked for unknown users, so that
 * the time of the answer does not show which users exist.
 */
export function decoyHash(like: PasswordHash): PasswordHash {
  return { ...like, salt: crypto.randomBytes(like.salt.length), hash: crypto.randomBytes(like.hash.length) };
}

/** Of this process alone, so that a digest tells nobody anything. */
const DIGEST_KEY = crypto.randomBytes(32);

/** Tells in no time whether a password is one that was seen before; never what is checked instead of the hash. */
export function passwordDigest(username: string, password: Uint8Array): string {
  const name = Buffer.from(username);
  const hmac = crypto
    .createHmac('sha256', DIGEST_KEY)
    .update(`${name.length} `)
    .update(name)
    .update(password);
  return hmac.digest('base64');
}

export interface HashOptions {
  algorithm: HashAlgorithm;
  /** Of sha512-pbkdf2. */
  iterations?: number;
  /** Of sha512 and sha512-pbkdf2; Mosquitto before 2.1 reads only 12. */
  saltBytes?: typeof SALT_BYTES_2_0 | typeof SALT_BYTES_2_1;
}

/** A new hash with a random salt. */
export async function createPasswordHash(password: Uint8Array, options: HashOptions): Promise<PasswordHash> {
  const made = emptyHash(options);
  return { ...made, hash: await computeHash(made, password) };
}

function emptyHash({ algorithm, iterations, saltBytes }: HashOptions): PasswordHash {
  const hash = Buffer.alloc(HASH_BYTES);
  const salt = crypto.randomBytes(saltBytes ?? SALT_BYTES_2_1);
  switch (algorithm) {
    case 'sha512':
      return { algorithm, salt, hash };
    case 'sha512-pbkdf2':
      return { algorithm, iterations: iterations ?? DEFAULT_ITERATIONS, salt, hash };
    case 'argon2id':
      return { algorithm, ...ARGON2_COST, salt: crypto.randomBytes(SALT_BYTES_2_1), hash };
    default:
      return assertNever(algorithm);
  }
}

/** Hashes the password with the salt, cost and length of `like`. */
async function computeHash(like: PasswordHash, password: Uint8Array): Promise<Buffer> {
  switch (like.algorithm) {
    case 'sha512':
      return crypto.createHash('sha512').update(password).update(like.salt).digest();
    case 'sha512-pbkdf2':
      return pbkdf2(password, like.salt, like.iterations, like.hash.length);
    case 'argon2id': {
      const argon2id = await loadArgon2id();
      return argon2id(password, { ...like, salt: like.salt, hashBytes: like.hash.length });
    }
    default:
      return assertNever(like);
  }
}

function pbkdf2(password: Uint8Array, salt: Buffer, iterations: number, hashBytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    crypto.pbkdf2(password, salt, iterations, hashBytes, 'sha512', (error, hash) => {
      if (error === null) resolve(hash);
      else reject(error);
    });
  });
}

type Argon2Parameters = Argon2Cost & { salt: Buffer; hashBytes: number };
type Argon2id = (password: Uint8Array, parameters: Argon2Parameters) => Promise<Buffer>;

let argon2id: Promise<Argon2id> | undefined;

/** Loads the package for the first argon2id hash only, because most password files have none. */
function loadArgon2id(): Promise<Argon2id> {
  argon2id ??= 'argon2' in crypto ? Promise.resolve(argon2idOfNode) : argon2idOfPackage();
  return argon2id;
}

/** @returns null if this machine can compute argon2id hashes, else the reason why not */
export async function argon2Fault(): Promise<string | null> {
  try {
    await loadArgon2id();
    return null;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return `argon2id needs Node.js 24.7 or later, or the package @node-rs/argon2 (${reason})`;
  }
}

/** `crypto.argon2` of Node 24.7 and later, which the types of Node 20 do not know. */
interface CryptoWithArgon2 {
  argon2(
    algorithm: 'argon2id',
    parameters: {
      message: Uint8Array;
      nonce: Uint8Array;
      memory: number;
      passes: number;
      parallelism: number;
      tagLength: number;
    },
    done: (error: Error | null, hash: Buffer) => void,
  ): void;
}

function argon2idOfNode(password: Uint8Array, parameters: Argon2Parameters): Promise<Buffer> {
  const { salt, hashBytes, memoryKib, passes, lanes } = parameters;
  const named = { message: password, nonce: salt, memory: memoryKib, passes, parallelism: lanes };
  return new Promise((resolve, reject) => {
    (crypto as unknown as CryptoWithArgon2).argon2(
      'argon2id',
      { ...named, tagLength: hashBytes },
      (error, hash) => {
        if (error === null || error === undefined) resolve(hash);
        else reject(error);
      },
    );
  });
}

/** `Algorithm.Argon2id` and `Version.V0x13` of the package: ambient enums, which isolated modules cannot read. */
const PACKAGE_ARGON2ID = 2;
const PACKAGE_VERSION_19 = 1;

async function argon2idOfPackage(): Promise<Argon2id> {
  const { hashRaw } = await import('@node-rs/argon2');
  return (password, { salt, hashBytes, memoryKib, passes, lanes }) =>
    hashRaw(password, {
      algorithm: PACKAGE_ARGON2ID,
      version: PACKAGE_VERSION_19,
      memoryCost: memoryKib,
      timeCost: passes,
      parallelism: lanes,
      outputLen: hashBytes,
      salt,
    });
}
