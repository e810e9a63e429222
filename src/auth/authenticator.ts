/**
 * The decisions for a CONNECT, in their order [mosq: password_file, allow_anonymous, use_*_as_username].
 *
 *   authentication method ──► client id prefix ──► identity from TLS ──► client id from username
 *     nobody handles one        else refused         admits at once,        (use_username_as_clientid)
 *                                                    password unread              │
 *   accepted ◄── anonymous allowed ◄── no password_file, or no username ◄─────────┘
 *   accepted ◄── password right    ◄── password_file and a username: it always decides;
 *                                      dynamic security decides about the users that it knows
 *
 * The packet itself was checked before, and an empty client id replaced. Repeated failures are slowed down.
 */
import { ReasonCode } from '../mqtt/reason-codes.js';
import { FailureLimiter, type FailureLimits } from './failure-limiter.js';
import { HashQueue } from './hash-queue.js';
import { LoginTurns } from './login-turns.js';
import type { PasswordEntry, PasswordFile } from './password-file.js';
import {
  DEFAULT_ITERATIONS,
  decoyHash,
  type PasswordHash,
  parsePasswordHash,
  passwordDigest,
  verifyPassword,
} from './password-hash.js';

/** A listener's demands on its clients. */
export interface ListenerAccess {
  /** Of this listener, with all defaults applied. */
  allowAnonymous: boolean;
  /** The global `password_file`, or the listener's own under `per_listener_settings`. */
  passwords: PasswordFile | null;
  /** Clients of dynamic security, which is asked before the password file; `null` = the listener has none. */
  users: DynamicUsers | null;
  /** Whether clients have TLS up to the listener or to its proxy; if not, the next two options have no effect. */
  tls: boolean;
  useIdentityAsUsername: boolean;
  useSubjectAsUsername: boolean;
  useUsernameAsClientid: boolean;
  /** One prefix, despite its name in `mosquitto.conf`; undefined = any client id. */
  clientidPrefixes: string | undefined;
  /** Whether repeated failures are slowed down. */
  delayFailedLogins: boolean;
}

/** The clients that dynamic security knows. */
export interface DynamicUsers {
  user(username: string): DynamicUser | undefined;
}

/** One of them. */
export interface DynamicUser {
  /** `null` = it cannot log in. */
  stored: PasswordHash | null;
  /** As written: shows whether the password has changed. */
  text: string;
  /** The only client id that may use the name; `null` = any. */
  clientid: string | null;
  disabled: boolean;
}

/** The identity that the TLS handshake has proved. */
export type TlsIdentity =
  | {
      kind: 'certificate';
      /** The first CN of the subject. */
      commonName: string | undefined;
      /** In RFC 2253 order: `CN=…,OU=…,O=…`. */
      subject: string;
    }
  | { kind: 'psk'; identity: string }
  /** From the header of a proxy; absent if the proxy has verified no certificate. */
  | { kind: 'proxy'; commonName: string | undefined };

/** The result of a TLS handshake. */
export interface TlsSession {
  /** OpenSSL's name, such as `TLSv1.3`. */
  protocol: string;
  cipher: string;
  /** The identity that it has proved. */
  identity: TlsIdentity | undefined;
}

export interface LoginRequest {
  /** Never empty: a client that sends no id has been assigned one. */
  clientId: string;
  username: string | undefined;
  password: Uint8Array | undefined;
  /** MQTT 5.0 Authentication Method. */
  authenticationMethod: string | undefined;
  identity: TlsIdentity | undefined;
  /** The IP address, or another name for the place that the client comes from. */
  address: string;
  /** Aborted when the connection is gone, so that no more work is done for it. */
  isGone: () => boolean;
}

/** The reason for which a client was admitted. */
export type Voucher =
  | { by: 'anonymous' }
  | { by: 'identity' }
  | { by: 'password'; entry: Pick<PasswordEntry, 'text'> };

export type LoginAnswer =
  | { admitted: true; clientId: string; username: string | undefined; voucher: Voucher }
  | {
      admitted: false;
      /** Of MQTT 5.0; `toConnectReturnCode` maps it to older versions. */
      reasonCode: number;
      /** For the log, never for the client: a clause such as `the password of user "x" is wrong`. */
      why: string;
    };

export interface AuthenticatorPorts {
  /** Milliseconds of a monotonic clock. */
  now(): number;
  wait(ms: number): Promise<void>;
}

/**
 * A username from one address that fails is made to wait before its password is looked at. That slows a device
 * with a wrong password and whoever guesses at one user, and nobody else behind the same address. A password that was
 * right before does not wait: whoever has it guesses at nothing.
 */
const USER_LIMITS: FailureLimits = {
  freeFailures: 5,
  firstDelayMs: 500,
  longestDelayMs: 2000,
  forgetMs: 30_000,
  keysMax: 4096,
};

/** An address that tries many names gets its refusals late; a successful login is not held back. */
const ADDRESS_LIMITS: FailureLimits = { ...USER_LIMITS, freeFailures: 50, longestDelayMs: 10_000 };

/** Attempts of one user from one address that wait for their turn; more are told that the server is busy. */
const TURNS_WAITING_MAX = 50;

/** Users of whom it is known which password was right last. */
const KNOWN_MAX = 10_000;

/** Characters of a username that go into a limiter's key. */
const KEY_USERNAME_MAX = 64;

export interface AuthenticatorOptions {
  /** Password hashes that are computed at the same time; each argon2id hash takes 46 MiB. */
  hashesRunningMax: number;
  /** Logins that may wait for a hash; further ones are refused with "server busy". */
  hashesWaitingMax: number;
}

const DEFAULT_OPTIONS: AuthenticatorOptions = { hashesRunningMax: 1, hashesWaitingMax: 10_000 };

export class Authenticator {
  readonly #ports: AuthenticatorPorts;
  readonly #hashes: HashQueue;
  readonly #userFailures = new FailureLimiter(USER_LIMITS);
  readonly #turns: LoginTurns;
  /** By username, a digest of the password that was right last. */
  readonly #known = new Map<string, string>();
  readonly #addressFailures = new FailureLimiter(ADDRESS_LIMITS);

  constructor(ports: AuthenticatorPorts, options: AuthenticatorOptions = DEFAULT_OPTIONS) {
    this.#ports = ports;
    this.#turns = new LoginTurns(this.#userFailures, ports, TURNS_WAITING_MAX);
    this.#hashes = new HashQueue({
      runningMax: options.hashesRunningMax,
      waitingMax: options.hashesWaitingMax,
    });
  }

  /**
   * Answers at once if no password is asked for and the client is admitted. The answer comes late if failures
   * have piled up; it never rejects for anything the client did.
   */
  login(access: ListenerAccess, request: LoginRequest): LoginAnswer | Promise<LoginAnswer> {
    const decided = decideWithoutPassword(access, request);
    return decided !== 'password' && decided.admitted ? decided : this.#answer(access, request, decided);
  }

  async #answer(
    access: ListenerAccess,
    request: LoginRequest,
    decided: LoginAnswer | 'password',
  ): Promise<LoginAnswer> {
    const answer = decided === 'password' ? await this.#loginWithPassword(access, request) : decided;
    const hasFailed = !answer.admitted && answer.reasonCode !== ReasonCode.serverBusy;
    if (hasFailed && access.delayFailedLogins) await this.#holdBack(request.address);
    return answer;
  }

  async #loginWithPassword(access: ListenerAccess, request: LoginRequest): Promise<LoginAnswer> {
    const username = request.username!;
    const isKnown = this.#isKnown(request);
    if (!access.delayFailedLogins) return this.#checkPassword(access, request, isKnown);
    const key = `${request.address} ${username.slice(0, KEY_USERNAME_MAX)}`;
    const hasTurn = isKnown || (await this.#turns.take(key, request.clientId, request.isGone));
    if (!hasTurn) return busy(`too many logins of user "${username}" from this address wait for their turn`);
    const answer = await this.#checkPassword(access, request, isKnown);
    // One that was known to be right says nothing of the others: they may be guesses.
    if (answer.admitted) {
      if (!isKnown) this.#userFailures.succeeded(key);
    } else if (answer.reasonCode === ReasonCode.notAuthorized) {
      this.#turns.failed(key, request.clientId);
    }
    return answer;
  }

  #isKnown({ username, password }: LoginRequest): boolean {
    const known = this.#known.get(username!);
    return known !== undefined && password !== undefined && known === passwordDigest(username!, password);
  }

  #remember({ username, password }: LoginRequest): void {
    this.#known.delete(username!);
    this.#known.set(username!, passwordDigest(username!, password!));
    if (this.#known.size > KNOWN_MAX) this.#known.delete(this.#known.keys().next().value!);
  }

  /**
   * After a reload: whether a connected client would still be let in as the one it is. Its password is only hashed
   * again if its entry in the password file has changed.
   *
   * @param admitted the answer that let it in
   */
  async isStillAdmitted(
    access: ListenerAccess,
    request: LoginRequest,
    admitted: LoginAnswer & { admitted: true },
  ): Promise<boolean> {
    const answer = decideWithoutPassword(access, request);
    if (answer !== 'password') return answer.admitted && answer.username === admitted.username;
    const entry = entryOf(access, request);
    if (entry === undefined || refusalOf(entry, request) !== null) return false;
    if (admitted.voucher.by === 'password' && admitted.voucher.entry.text === entry.text) return true;
    return (await this.#checkPassword(access, request, this.#isKnown(request))).admitted;
  }

  /** @param isKnown the password was right before: it is hashed all the same, but before those of others */
  async #checkPassword(
    access: ListenerAccess,
    request: LoginRequest,
    isKnown: boolean,
  ): Promise<LoginAnswer> {
    const username = request.username!;
    const entry = entryOf(access, request);
    const stored = entry?.stored ?? decoyOf(access);
    const { password } = request;
    if (password === undefined) return refused(`user "${username}" sent no password`);
    // Never right, even if the file has its hash [mosq: password_file].
    if (password.length === 0) return refused(`user "${username}" sent an empty password`);
    if (stored === null) return refused(`user "${username}" is unknown`);
    if (this.#hashes.isFull && !isKnown)
      return busy('too many logins are waiting for their password to be checked');
    const result = await this.#hashes.run(
      async () => (request.isGone() ? 'gone' : (await verifyPassword(stored, password)) ? 'right' : 'wrong'),
      { address: request.address, username, goesFirst: isKnown },
    );
    if (result === 'gone') return busy('the connection ended before its password was checked');
    if (entry === undefined) return refused(`user "${username}" is unknown`);
    if (result === 'wrong') return refused(`the password of user "${username}" is wrong`);
    const why = refusalOf(entry, request);
    if (why !== null) return refused(why);
    this.#remember(request);
    return admit(access, request, { by: 'password', entry });
  }

  async #holdBack(address: string): Promise<void> {
    const now = this.#ports.now();
    const turnMs = this.#addressFailures.takeTurn(address, now);
    this.#addressFailures.failed(address, now);
    if (turnMs > 0) await this.#ports.wait(turnMs);
  }
}

/** All decisions but the password's; `'password'` if the password decides. */
function decideWithoutPassword(access: ListenerAccess, request: LoginRequest): LoginAnswer | 'password' {
  if (request.authenticationMethod !== undefined) {
    const why = `nobody handles the authentication method "${request.authenticationMethod}"`;
    return { admitted: false, reasonCode: ReasonCode.badAuthenticationMethod, why };
  }
  if (access.clientidPrefixes !== undefined && !request.clientId.startsWith(access.clientidPrefixes)) {
    return refused(`the client id does not begin with "${access.clientidPrefixes}" (clientid_prefixes)`);
  }
  const fromTls = usernameFromTls(access, request.identity);
  if (fromTls !== null) {
    if (fromTls.username === undefined) {
      return { admitted: false, reasonCode: ReasonCode.badUserNameOrPassword, why: fromTls.why };
    }
    return admit(access, { ...request, username: fromTls.username }, { by: 'identity' });
  }
  if (access.useUsernameAsClientid && !request.username) {
    return refused('there is no username to use as client id (use_username_as_clientid)');
  }
  // With dynamic security an empty username is none [mosq: dynamic security].
  if (access.users !== null && request.username) return 'password';
  if (access.users === null && access.passwords !== null && request.username !== undefined) return 'password';
  // Without a password file this also holds for clients that do send a username [mosq: allow_anonymous].
  if (access.allowAnonymous) return admit(access, request, { by: 'anonymous' });
  return refused(
    request.username === undefined
      ? 'there is no username, and anonymous clients are not allowed'
      : 'there is no password_file to check the username against, and anonymous clients are not allowed',
  );
}

/** The user's entry: that of dynamic security, if it knows the name, else that of the password file. */
function entryOf(
  { users, passwords }: ListenerAccess,
  { username }: LoginRequest,
): DynamicUser | PasswordEntry | undefined {
  return users?.user(username!) ?? passwords?.users.get(username!);
}

/** Why a user may not come in even with the right password; `null` = it may. */
function refusalOf(entry: DynamicUser | PasswordEntry, { username, clientId }: LoginRequest): string | null {
  if (!('disabled' in entry)) return null;
  if (entry.disabled) return `user "${username}" is disabled`;
  if (entry.stored === null) return `user "${username}" has no password`;
  if (entry.clientid === null || entry.clientid === clientId) return null;
  return `user "${username}" may only use the client id "${entry.clientid}"`;
}

/** The hash that is checked for unknown users; `null` for a password file without users. */
function decoyOf({ users, passwords }: ListenerAccess): PasswordHash | null {
  if (users === null) return passwords!.decoy;
  dynamicDecoy ??= decoyHash(parsePasswordHash(LIKE_DYNAMIC) as PasswordHash);
  return dynamicDecoy;
}

/** A hash of the kind that dynamic security makes. */
const LIKE_DYNAMIC = `$7$${DEFAULT_ITERATIONS}$${'A'.repeat(16)}$${'A'.repeat(86)}==`;

let dynamicDecoy: PasswordHash | undefined;

/** @returns null if the username of the CONNECT packet counts */
function usernameFromTls(
  access: ListenerAccess,
  identity: TlsIdentity | undefined,
): { username: string } | { username: undefined; why: string } | null {
  if (!access.tls) return null;
  if (access.useIdentityAsUsername) {
    const username = identity?.kind === 'psk' ? identity.identity : identity?.commonName;
    return username
      ? { username }
      : { username: undefined, why: `there is no ${missing(identity)} to take as username` };
  }
  if (access.useSubjectAsUsername) {
    const username = identity?.kind === 'certificate' ? identity.subject : undefined;
    return username
      ? { username }
      : { username: undefined, why: 'there is no certificate to take the username from' };
  }
  return null;
}

function missing(identity: TlsIdentity | undefined): string {
  if (identity === undefined) return 'certificate';
  return identity.kind === 'proxy'
    ? 'common name of a verified certificate in the PROXY header'
    : 'common name in the certificate';
}

/** @param request with the effective username */
function admit(access: ListenerAccess, request: LoginRequest, voucher: Voucher): LoginAnswer {
  const { username } = request;
  const clientId = access.useUsernameAsClientid && username ? username : request.clientId;
  return { admitted: true, clientId, username, voucher };
}

/** Not a fault of the client, and not counted as a failure. */
function busy(why: string): LoginAnswer {
  return { admitted: false, reasonCode: ReasonCode.serverBusy, why };
}

function refused(why: string): LoginAnswer {
  return { admitted: false, reasonCode: ReasonCode.notAuthorized, why };
}
