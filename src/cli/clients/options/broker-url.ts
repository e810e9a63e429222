/** The URLs of `-L` and `--proxy`, parsed as Mosquitto's clients parse them, which differs from browsers. */
import type { SocksProxy } from '../../../net/dial-socks5.js';
import { leadingInteger } from '../c-numbers.js';
import { textBytes } from './argument-text.js';
import type { ClientSettings } from './client-settings.js';
import { UsageError } from './usage-error.js';

interface Scheme {
  tls: boolean;
  webSocket: boolean;
  defaultPort: number;
}

const SCHEMES: ReadonlyMap<string, Scheme> = new Map([
  ['mqtt', { tls: false, webSocket: false, defaultPort: 1883 }],
  ['mqtts', { tls: true, webSocket: false, defaultPort: 8883 }],
  ['ws', { tls: false, webSocket: true, defaultPort: 1883 }],
  ['wss', { tls: true, webSocket: true, defaultPort: 8883 }],
]);

/**
 * `SCHEME://[USER[:PASSWORD]@]HOST[:PORT]/TOPIC`. Nothing is percent-decoded; the topic is all behind the first slash
 * and may be empty; user and password end at the first `@`.
 *
 * @returns the topic
 * @throws UsageError
 */
export function applyBrokerUrl(settings: ClientSettings, url: string): string {
  const [, name, rest] = /^([^:]*):\/\/(.*)$/s.exec(url) ?? [];
  const scheme = SCHEMES.get((name ?? '').toLowerCase());
  if (scheme === undefined || rest === undefined) throw new UsageError('Error: Unsupported URL scheme.');
  const slash = rest.indexOf('/');
  if (slash < 0) {
    throw new UsageError('Error: Invalid URL for -L argument specified - topic missing.', 'one-blank-line');
  }
  const { user, server } = splitUser(rest.slice(0, slash));
  if (user !== undefined) {
    const [username, password] = splitAtFirst(user, ':');
    settings.username = username;
    if (password !== undefined) settings.password = textBytes(password);
  }
  const [host, port] = splitAtFirst(server, ':');
  settings.host = host;
  settings.port = port === undefined ? scheme.defaultPort : portOf(port);
  settings.webSocket = scheme.webSocket;
  settings.tls.urlWantsTls = scheme.tls;
  return rest.slice(slash + 1);
}

function portOf(text: string): number {
  const port = leadingInteger(text);
  if (port < 0 || port > 65535) {
    throw new UsageError(`Error: Invalid port given: ${port}`, 'one-blank-line');
  }
  return port;
}

function splitUser(authority: string): { user: string | undefined; server: string } {
  const [user, server] = splitAtFirst(authority, '@');
  return server === undefined ? { user: undefined, server: user } : { user, server };
}

function splitAtFirst(text: string, separator: string): [string, string | undefined] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}

const PROXY_SCHEME = 'socks5h://';
const SOCKS_PORT_DEFAULT = 1080;

/**
 * `socks5h://[USER[:PASSWORD]@]HOST[:PORT]`; an IPv6 host stands in brackets.
 * @throws UsageError
 */
export function parseProxyUrl(url: string): SocksProxy {
  if (!url.startsWith(PROXY_SCHEME)) {
    throw new UsageError(`Error: Unsupported proxy protocol: ${url}`, 'one-blank-line');
  }
  const { user, server } = splitUser(url.slice(PROXY_SCHEME.length));
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d+))?$/.exec(server) ?? [];
  const host = bracketed ?? plain;
  const portNumber = Number(port ?? SOCKS_PORT_DEFAULT);
  if (host === undefined || portNumber < 1 || portNumber > 65535) throw invalidProxy();
  const [username, password, ...more] = user?.split(':') ?? [];
  if (more.length > 0) throw invalidProxy();
  return { host, port: portNumber, username: decodeOctets(username), password: decodeOctets(password) };
}

const OCTETS: Readonly<Record<string, string>> = { '%25': '%', '%3A': ':', '%3a': ':', '%40': '@' };

/** Three characters may be written as `%25`, `%3A` and `%40`; any other `%` is a mistake. */
function decodeOctets(text: string | undefined): string | undefined {
  return text?.replace(/%.{0,2}/gs, (octet) => {
    const character = OCTETS[octet];
    if (character === undefined) throw invalidProxy();
    return character;
  });
}

function invalidProxy(): UsageError {
  return new UsageError('Error: Invalid proxy.', 'one-blank-line');
}
