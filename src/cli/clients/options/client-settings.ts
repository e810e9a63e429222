/**
 * The settings of mosquitto_pub, mosquitto_sub and mosquitto_rr with their defaults. The option table fills them in,
 * `finishSettings` checks the options against each other.
 */
import type { ProtocolVersion, Qos, SubscriptionRequest } from '../../../mqtt/packets.js';
import type { SocksProxy } from '../../../net/dial-socks5.js';
import type { PropertyCommand, PropertyOption } from './property-option.js';
import { UsageError } from './usage-error.js';

export type ProgramName = 'mosquitto_pub' | 'mosquitto_sub' | 'mosquitto_rr';

/** The source of a payload. */
export type MessageSource =
  | { kind: 'text'; payload: Buffer }
  | { kind: 'empty' }
  | { kind: 'file'; path: string }
  | { kind: 'stdin' }
  | { kind: 'stdin-lines' };

export interface TlsSettings {
  caFile: string | undefined;
  caPath: string | undefined;
  useOsCerts: boolean;
  certFile: string | undefined;
  keyFile: string | undefined;
  keyForm: string | undefined;
  engine: string | undefined;
  engineKeyPasswordSha1: string | undefined;
  ciphers: string | undefined;
  version: string | undefined;
  alpn: string | undefined;
  /** Do not check the server's certificate. */
  insecure: boolean;
  keyLogFile: string | undefined;
  /** Hexadecimal. */
  psk: string | undefined;
  pskIdentity: string | undefined;
  /** Set by `mqtts` and `wss` URLs. */
  urlWantsTls: boolean;
  /** Ignore all of these. */
  off: boolean;
}

export interface WillSettings {
  topic: string | undefined;
  payload: Buffer | undefined;
  qos: Qos;
  retain: boolean;
}

/** Seconds, or never. */
export type SessionExpiry = number | 'never';

export interface ClientSettings {
  readonly program: ProgramName;
  host: string;
  /** `undefined` = the transport's own. */
  port: number | undefined;
  unixSocket: string | undefined;
  bindAddress: string | undefined;
  proxy: SocksProxy | undefined;
  webSocket: boolean;
  noDelay: boolean;
  readonly tls: TlsSettings;

  version: ProtocolVersion;
  clientId: string | undefined;
  idPrefix: string | undefined;
  cleanSession: boolean;
  sessionExpiry: SessionExpiry | undefined;
  /** Seconds. */
  keepAlive: number;
  username: string | undefined;
  password: Buffer | undefined;
  inFlightMax: number;
  readonly will: WillSettings;
  readonly properties: Record<PropertyCommand, PropertyOption[]>;

  qos: Qos;
  debug: boolean;
  quiet: boolean;

  /** mosquitto_pub uses the last one, mosquitto_sub all of them. */
  readonly topics: string[];
  message: MessageSource | undefined;
  retain: boolean;
  repeat: number;
  repeatDelayMs: number;

  responseTopic: string | undefined;
  readonly unsubscribeFilters: string[];
  readonly filterOut: string[];
  messageCount: number | undefined;
  timeoutSeconds: number | undefined;
  exitAfterSubscribing: boolean;
  noRetained: boolean;
  retainedOnly: boolean;
  removeRetained: boolean;
  retainAsPublished: boolean;
  retainHandling: SubscriptionRequest['retainHandling'];
  /** Percent. */
  randomFilter: number | undefined;

  /** The text of `-F`. The printer compiles it, so a command that prints no messages does not load the compiler. */
  format: string | undefined;
  verbose: boolean;
  noNewline: boolean;
  pretty: boolean;
  watch: boolean;
  messageRate: boolean;
  latency: boolean;
}

/** Messages in flight at once, if `-M` is not given. */
export const IN_FLIGHT_DEFAULT = 20;

export function defaultSettings(program: ProgramName): ClientSettings {
  return {
    program,
    host: 'localhost',
    port: undefined,
    unixSocket: undefined,
    bindAddress: undefined,
    proxy: undefined,
    webSocket: false,
    noDelay: false,
    tls: {
      caFile: undefined,
      caPath: undefined,
      useOsCerts: false,
      certFile: undefined,
      keyFile: undefined,
      keyForm: undefined,
      engine: undefined,
      engineKeyPasswordSha1: undefined,
      ciphers: undefined,
      version: undefined,
      alpn: undefined,
      insecure: false,
      keyLogFile: undefined,
      psk: undefined,
      pskIdentity: undefined,
      urlWantsTls: false,
      off: false,
    },
    version: program === 'mosquitto_rr' ? 5 : 4,
    clientId: undefined,
    idPrefix: undefined,
    cleanSession: true,
    sessionExpiry: undefined,
    keepAlive: 60,
    username: undefined,
    password: undefined,
    inFlightMax: IN_FLIGHT_DEFAULT,
    will: { topic: undefined, payload: undefined, qos: 0, retain: false },
    properties: { connect: [], publish: [], subscribe: [], unsubscribe: [], disconnect: [], will: [] },
    qos: 0,
    debug: false,
    quiet: false,
    topics: [],
    message: undefined,
    retain: false,
    repeat: 1,
    repeatDelayMs: 0,
    responseTopic: undefined,
    unsubscribeFilters: [],
    filterOut: [],
    messageCount: undefined,
    timeoutSeconds: undefined,
    exitAfterSubscribing: false,
    noRetained: false,
    retainedOnly: false,
    removeRetained: false,
    retainAsPublished: false,
    retainHandling: 0,
    randomFilter: undefined,
    format: undefined,
    verbose: false,
    noNewline: false,
    pretty: false,
    watch: false,
    messageRate: false,
    latency: false,
  };
}

/**
 * Checks the options against each other.
 * @throws UsageError
 */
export function checkSettings(settings: ClientSettings): void {
  checkWill(settings);
  checkSession(settings);
  if (!settings.tls.off) checkTls(settings.tls);
  if (settings.program === 'mosquitto_pub') checkPublish(settings);
  else if (settings.program === 'mosquitto_sub') checkSubscribe(settings);
  else checkRequest(settings);
}

function checkWill({ will }: ClientSettings): void {
  if (will.topic !== undefined) return;
  if (will.payload !== undefined) fail('Will payload given, but no will topic given.');
  if (will.retain) fail('Will retain given, but no will topic given.');
}

function checkSession({ version, cleanSession, sessionExpiry, clientId }: ClientSettings): void {
  if (clientId !== undefined) return;
  if (version !== 5) {
    if (!cleanSession) fail('You must provide a client id if you are using the -c option.');
  } else if (sessionExpiry === 'never' || (sessionExpiry === undefined && !cleanSession)) {
    fail('You must provide a client id if you are using an infinite session expiry interval.');
  }
}

function checkTls(tls: TlsSettings): void {
  if ((tls.certFile === undefined) !== (tls.keyFile === undefined)) {
    fail('Both certfile and keyfile must be provided if one of them is set.');
  }
  if (tls.keyForm !== undefined && tls.keyFile === undefined) {
    fail('If keyform is set, keyfile must be also specified.');
  }
  if (tls.engineKeyPasswordSha1 !== undefined && (tls.engine === undefined || tls.keyForm === undefined)) {
    fail('when using tls-engine-kpass-sha1, both tls-engine and keyform must also be provided.');
  }
  if (tls.psk === undefined) return;
  if (tls.caFile !== undefined || tls.caPath !== undefined) {
    fail('Only one of --psk or --cafile/--capath may be used at once.');
  }
  if (tls.pskIdentity === undefined) fail('--psk-identity required if --psk used.');
}

function checkPublish({ topics, message }: ClientSettings): void {
  if (topics.length > 0 && message !== undefined) return;
  throw new UsageError('Error: Both topic and message must be supplied.', 'usage');
}

function checkSubscribe(settings: ClientSettings): void {
  if (settings.topics.length === 0 && settings.unsubscribeFilters.length === 0) {
    fail('You must specify a topic to subscribe to (-t) or unsubscribe from (-U).');
  }
  if (settings.noRetained && settings.retainedOnly) {
    throw new UsageError("\nError: Combining '-R' and '--retained-only' makes no sense.", 'none');
  }
}

function checkRequest({ topics, message, responseTopic }: ClientSettings): void {
  if (topics.length === 0 || message === undefined || responseTopic === undefined) {
    fail('All of topic, message, and response topic must be supplied.');
  }
}

function fail(message: string): never {
  throw new UsageError(`Error: ${message}`, 'one-blank-line');
}
