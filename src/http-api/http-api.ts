/**
 * Listeners with `protocol http_api`: the broker's state in JSON, and the files of `http_dir` [mosq: HTTP API].
 *
 *   connection ──► TLS, as for any listener ──► method ──► who is it ──► may it read the path ──► API or file
 *                                               405        401           401                      404
 *                                                 ├──► /healthz, /readyz: anybody may ask
 *                                                 └──► POST: which page ──► who ──► may it write the path ──► action
 *                                                            403            401     401 or 403                404
 *
 * All of it is on main, which knows the state and has no messages to carry. The requests are few and cheap: files are
 * read and passwords hashed off this thread, and `CONNECTIONS_MAX` bounds the rest. Loaded only if a listener asks
 * for it.
 */
import { closeSync } from 'node:fs';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { AclRequest } from '../auth/acl-check.js';
import type { DynamicSecurityTables } from '../auth/dynamic-security/tables.js';
import type { InputGuard } from '../broker/input-guard.js';
import type { Admission, AdmittedLogin, Handover } from '../broker/ports.js';
import { isTls } from '../config/listener-tls.js';
import type { ListenerSettings, Settings } from '../config/settings.js';
import type { Log, LogType } from '../log/log.js';
import * as lines from '../log/mosquitto-lines.js';
import { ReasonCode } from '../mqtt/reason-codes.js';
import { socketOf } from '../net/descriptor.js';
import { RelayStream, RelayTransport } from '../net/relay.js';
import type { SocketOrigin } from '../net/socket-transport.js';
import type { FileTexts, PassedConnection } from '../routing/messages.js';
import { ClientAccess } from '../runtime/shared/client-access.js';
import { writeTlsKeylog } from '../runtime/shared/tls-keylog.js';
import { TlsListeners } from '../runtime/shared/tls-listeners.js';
import { cLibraryErrorText } from '../system/system-error.js';
import { findAction, runAction } from './actions.js';
import { whatHangs, whatIsNotReady } from './health.js';
import { sendFile } from './http-files.js';
import { type HttpConnection, HttpServer, NOT_FOUND_BODY } from './http-server.js';
import { openApi } from './open-api.js';
import { findRoute, QuestionError, readQuestion } from './routes.js';
import type { BrokerView } from './view.js';

/** For the rules of access. */
const CLIENT_ID = 'http-api';

const API = '/api/v1/';

/** Of all HTTP listeners together, beside `max_connections`: they are for a few people and programs that watch. */
const CONNECTIONS_MAX = 100;

export interface HttpApiOptions {
  settings: Settings;
  files: FileTexts;
  /** Of dynamic security; `null` without it. */
  tables: DynamicSecurityTables | null;
  view: BrokerView;
  tlsKeylog: number | null;
  log: Log;
  guard: InputGuard;
  /** A connection of this listener is gone. */
  closed: (listener: number) => void;
}

/** What an answer says, but for files. */
interface Answer {
  status: number;
  body: string;
  type?: string;
  headers?: Readonly<Record<string, string>>;
}

const NOT_FOUND: Answer = { status: 404, body: NOT_FOUND_BODY };
const NOT_AUTHORISED: Answer = {
  status: 401,
  body: 'Not authorised\n',
  headers: { 'WWW-Authenticate': 'Basic realm="Mosquitto API", charset="UTF-8"' },
};

export class HttpApi {
  readonly #options: HttpApiOptions;
  readonly #access: ClientAccess;
  readonly #tls: TlsListeners;
  readonly #server: HttpServer;
  #settings: Settings;
  #open = 0;
  /** Whom a connection was let in as, by which header field: a page with twenty files takes one password hash. */
  readonly #admitted = new WeakMap<
    HttpConnection,
    { authorization: string | undefined; login: AdmittedLogin }
  >();
  /** Connections on which a request was refused, and the log says so. */
  readonly #logged = new WeakSet<HttpConnection>();

  constructor(options: HttpApiOptions) {
    const { settings, files, tables, tlsKeylog } = options;
    this.#options = options;
    this.#settings = settings;
    this.#access = new ClientAccess(ofHttpListeners(settings), files, tables);
    this.#tls = new TlsListeners(ofHttpListeners(settings), files, {
      secured: (socket, origin, session) => this.#server.accept(socket, origin, session),
      failed: (origin, reason) => this.#refused(origin, reason),
      faulted: (origin, error) => this.#faulted(origin, 'a TLS handshake', error),
      keylog: tlsKeylog === null ? null : (line) => writeTlsKeylog(tlsKeylog, line),
    });
    this.#server = new HttpServer({
      answer: (request, response, connection) => this.#answer(request, response, connection),
      closed: ({ listener }) => this.#closed(listener),
      faulted: (origin, error) => this.#faulted(origin, 'an HTTP request', error),
    });
  }

  /** @throws the error, if main has to fall over it */
  #faulted({ remoteAddress, remotePort }: SocketOrigin, what: string, error: unknown): void {
    this.#options.guard.caught(error, { from: `${remoteAddress}:${remotePort}`, what });
  }

  /** SIGHUP. Requests from now on are answered by the new rules, on open connections, too. */
  reload(settings: Settings, files: FileTexts): void {
    this.#settings = settings;
    this.#access.replace(ofHttpListeners(settings), files);
    this.#tls.replace(ofHttpListeners(settings), files);
  }

  close(): void {
    this.#server.close();
  }

  /** Takes up a connection that was accepted. */
  serve({ handover, listener, remoteAddress, remotePort }: PassedConnection): void {
    const origin = { listener, remoteAddress, remotePort };
    this.#open += 1;
    const stream = this.#openStream(handover, origin);
    if (stream === null) {
      this.#closed(listener);
      return;
    }
    try {
      this.#serveStream(stream, origin);
    } catch (error) {
      this.#faulted(origin, 'a new connection', error);
      stream.on('error', () => {});
      stream.destroy();
      this.#closed(listener);
    }
  }

  #serveStream(stream: Duplex, origin: SocketOrigin): void {
    const { listener, remoteAddress } = origin;
    if (this.#open > CONNECTIONS_MAX) {
      stream.on('error', () => {});
      stream.destroy();
      if (this.#settings.connectionMessages) {
        this.#options.log.write('notice', lines.maxConnectionsExceeded(remoteAddress));
      }
      this.#closed(listener);
    } else if (this.#tls.isFor(listener)) {
      this.#tls.accept(stream, origin);
    } else {
      this.#server.accept(stream, origin, null);
    }
  }

  /** @returns `null` if the peer is gone already */
  #openStream(handover: Handover, origin: SocketOrigin): Duplex | null {
    if (typeof handover !== 'number') return new RelayStream(new RelayTransport(handover, origin));
    const { socketPath } = this.#settings.listeners[origin.listener]!;
    try {
      return socketOf(handover, socketPath === undefined ? 'tcp' : 'unix').setNoDelay(); // answers are whole
    } catch {
      closeSync(handover);
      return null;
    }
  }

  #closed(listener: number): void {
    this.#open -= 1;
    this.#options.closed(listener);
  }

  /** A handshake of TLS has failed. */
  #refused({ listener, remoteAddress, remotePort }: SocketOrigin, reason: string): void {
    this.#closed(listener);
    if (!this.#settings.connectionMessages) return;
    const client = { clientId: null, address: remoteAddress, port: remotePort, reason };
    this.#options.log.write('notice', lines.clientDisconnected(client));
  }

  async #answer(
    request: IncomingMessage,
    response: ServerResponse,
    connection: HttpConnection,
  ): Promise<void> {
    response.setHeader('Access-Control-Allow-Origin', '*');
    try {
      const answer = await this.#answerTo(request, response, connection);
      if (answer !== null && !connection.isGone) send(response, answer);
    } catch (error) {
      if (connection.isGone) return;
      const text = `Error: The request for '${request.url}' over HTTP failed: ${cLibraryErrorText(error)}.`;
      this.#options.log.write('error', text);
      if (response.headersSent) response.destroy();
      else send(response, { status: 500, body: 'Internal error.\n' });
    }
  }

  /** @returns `null` if it was answered already */
  async #answerTo(
    request: IncomingMessage,
    response: ServerResponse,
    connection: HttpConnection,
  ): Promise<Answer | null> {
    const { method, headers } = request;
    if (method === 'POST') {
      const acted = await this.#act(request, response, connection);
      if (acted !== null) return acted;
    }
    if (method !== 'GET' && method !== 'HEAD') {
      return { status: 405, body: 'Invalid HTTP Method\n', headers: { Allow: 'GET, HEAD' } };
    }
    const path = pathOf(request.url!);
    if (path === null) return NOT_FOUND;
    if (isOurs(path)) response.removeHeader('Access-Control-Allow-Origin');
    if (path === '/healthz') return health(whatHangs(this.#options.view.condition()));
    if (path === '/readyz') return health(whatIsNotReady(this.#options.view.condition()));
    const refusal = await this.#refusalOf(path, headers.authorization, connection);
    if (refusal !== null) return refusal;
    if (path.startsWith('/api/')) return this.#api(path, queryOf(request.url!));
    if (path === '/metrics') return this.#metrics(headers.accept);
    return (await this.#file(path, request, response, connection)) ? null : NOT_FOUND;
  }

  /** A POST. @returns `null` if its path names no action */
  async #act(
    { url, headers }: IncomingMessage,
    response: ServerResponse,
    connection: HttpConnection,
  ): Promise<Answer | null> {
    const path = pathOf(url!);
    const found = path?.startsWith(API) ? findAction(path.slice(API.length)) : null;
    if (path === null || found === null) return null;
    response.removeHeader('Access-Control-Allow-Origin');
    if (isFromOtherSite(headers)) return { status: 403, body: 'Pages of other sites cannot act here.\n' };
    const refusal = await this.#refusalOf(path, headers.authorization, connection, 'write');
    if (refusal !== null) return refusal;
    const { username, voucher } = this.#admitted.get(connection)!.login.admission;
    // Without a password_file every name is let in.
    if (voucher.by === 'anonymous') return { status: 403, body: 'An action needs a user with a password.\n' };
    const { log, view } = this.#options;
    log.write(
      'notice',
      `The user ${username} asks over HTTP from ${connection.origin.remoteAddress}: POST ${path}`,
    );
    try {
      const done = await runAction(view, found, queryOf(url!));
      return done === null ? NOT_FOUND : json(done);
    } catch (error) {
      if (!(error instanceof QuestionError)) throw error;
      return { status: 400, body: `${error.message}\n` };
    }
  }

  /** @returns `null` if the client may do that with what the path names */
  async #refusalOf(
    path: string,
    authorization: string | undefined,
    connection: HttpConnection,
    request: AclRequest = 'read',
  ): Promise<Answer | null> {
    const { listener, remoteAddress } = connection.origin;
    if (authorization === undefined && !admitsWithoutPassword(this.#settings.listeners[listener]!)) {
      return NOT_AUTHORISED; // so a browser finds out that it has to ask for a password: no failure of anybody
    }
    const admission = await this.#admit(authorization, connection);
    if (!admission.admitted) {
      this.#options.log.write('notice', lines.loginRefused(CLIENT_ID, remoteAddress, admission.why));
      if (admission.reasonCode !== ReasonCode.serverBusy) return NOT_AUTHORISED;
      return { status: 503, body: 'Too busy.\n', headers: { 'Retry-After': '5' } };
    }
    const rights = this.#access.aclOf(listener, admission.username, admission.clientId);
    if (rights === null || (request === 'read' ? rights.canRead(path) : rights.canWrite(path))) return null;
    const why = `it may not ${request} '${path}': ${rights.explain(path, request).why}`;
    this.#sayOnce(connection, 'notice', lines.loginRefused(CLIENT_ID, remoteAddress, why));
    return NOT_AUTHORISED;
  }

  async #admit(authorization: string | undefined, connection: HttpConnection): Promise<Admission> {
    const before = this.#admitted.get(connection);
    if (before !== undefined && before.authorization === authorization) {
      if (await this.#access.isStillAdmitted(before.login)) return before.login.admission;
    }
    const { listener, remoteAddress } = connection.origin;
    const request = {
      clientId: CLIENT_ID,
      ...credentialsOf(authorization),
      authenticationMethod: undefined,
      identity: connection.tls?.identity,
      address: remoteAddress,
      isGone: () => connection.isGone,
    };
    const login = { listener, request };
    const admission = await this.#access.login(login);
    if (admission.admitted) this.#admitted.set(connection, { authorization, login: { login, admission } });
    return admission;
  }

  async #api(path: string, query: string): Promise<Answer> {
    const { view } = this.#options;
    if (!path.startsWith(API)) return NOT_FOUND;
    if (path === `${API}openapi.json`) return json(openApi(view.version));
    const found = findRoute(path.slice(API.length));
    if (found === null) return NOT_FOUND;
    const { route, id } = found;
    try {
      const answer = await route.answer(view, readQuestion(route.parameters, id, query));
      if (answer === null) return NOT_FOUND;
      return route.isText ? { status: 200, body: String(answer) } : json(answer);
    } catch (error) {
      if (!(error instanceof QuestionError)) throw error;
      return { status: 400, body: `${error.message}\n` };
    }
  }

  async #metrics(accept: string | undefined): Promise<Answer> {
    const { metricsPage } = await import('./metrics.js');
    const { condition, readings, startedAt, version } = this.#options.view;
    const now = condition();
    const isReady = whatIsNotReady(now).length === 0;
    const figures = { version, startedAt, isReady, readings: readings(), workers: now.workers };
    const page = await metricsPage(figures, accept);
    return { status: 200, ...page };
  }

  /** @returns whether there is one; that it cannot be read is for the log only */
  async #file(
    path: string,
    request: IncomingMessage,
    response: ServerResponse,
    connection: HttpConnection,
  ): Promise<boolean> {
    const folder = this.#settings.listeners[connection.origin.listener]!.httpDir;
    if (folder === undefined) return false;
    try {
      return await sendFile({ folder, path, request, response, progress: () => connection.progress() });
    } catch (error) {
      if (response.headersSent || (error as NodeJS.ErrnoException).code !== 'EACCES') throw error;
      const text = `Warning: '${path}' of http_dir "${folder}" cannot be read: ${cLibraryErrorText(error)}.`;
      this.#sayOnce(connection, 'warning', text);
      return false;
    }
  }

  /** Nothing slows these requests down, so that one connection could fill the log with them. */
  #sayOnce(connection: HttpConnection, type: LogType, text: string): void {
    if (!this.#logged.has(connection)) this.#options.log.write(type, text);
    this.#logged.add(connection);
  }
}

/**
 * What this thread needs of the settings: nothing is compiled for the listeners that workers serve. The client id is
 * the broker's own choice, so `clientid_prefixes` does not keep anybody out.
 */
function ofHttpListeners(settings: Settings): Settings {
  const others = { certfile: undefined, pskHint: undefined, passwordFile: undefined, aclFile: undefined };
  const listeners = settings.listeners.map((listener) =>
    listener.protocol === 'http_api' ? listener : { ...listener, ...others },
  );
  return { ...settings, listeners, clientidPrefixes: undefined };
}

function admitsWithoutPassword(listener: ListenerSettings): boolean {
  const { allowAnonymous, useIdentityAsUsername, useSubjectAsUsername } = listener;
  return allowAnonymous || (isTls(listener) && (useIdentityAsUsername || useSubjectAsUsername));
}

/** Decoded, without what follows a `?`. @returns `null` if it is no path */
function pathOf(url: string): string | null {
  const [written] = url.replace(/^https?:\/\/[^/?]*/i, '').split('?', 1); // proxies may send the whole URL
  try {
    const path = decodeURIComponent(written!);
    return path.startsWith('/') ? path : null;
  } catch {
    return null;
  }
}

/**
 * Mosquitto lets the pages of all sites read what it answers. What it does not have stays unreadable for them: clients,
 * topics and log lines are for those who watch the broker.
 */
function isOurs(path: string): boolean {
  if (path === '/metrics') return true;
  const found = path.startsWith(API) ? findRoute(path.slice(API.length)) : null;
  return found !== null && found.route.isForAllSites !== true;
}

/** A browser says which page a request comes from; other programs do not, and know the password by themselves. */
function isFromOtherSite({ origin, host, 'sec-fetch-site': site }: IncomingHttpHeaders): boolean {
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return true;
  return origin !== undefined && origin.replace(/^https?:\/\//, '') !== host;
}

/** What follows the first `?`. */
function queryOf(url: string): string {
  const at = url.indexOf('?');
  return at === -1 ? '' : url.slice(at + 1);
}

/** Of the scheme Basic [RFC 7617]; others are as good as none. */
function credentialsOf(authorization = ''): { username: string | undefined; password: Buffer | undefined } {
  const encoded = /^basic +([a-z0-9+/=_-]+) *$/i.exec(authorization)?.[1];
  if (encoded === undefined) return { username: undefined, password: undefined };
  const bytes = Buffer.from(encoded, 'base64');
  const colon = bytes.indexOf(':');
  if (colon === -1) return { username: bytes.toString(), password: undefined };
  return { username: bytes.toString('utf8', 0, colon), password: bytes.subarray(colon + 1) };
}

/** @param reasons why it is not well, clauses */
function health(reasons: readonly string[]): Answer {
  if (reasons.length === 0) return { status: 200, body: 'ok\n' };
  return { status: 503, body: `${reasons.join('\n')}\n` };
}

function json(value: unknown): Answer {
  return { status: 200, body: JSON.stringify(value), type: 'application/json' };
}

function send(response: ServerResponse, { status, body, type, headers }: Answer): void {
  response.writeHead(status, {
    'Content-Type': type ?? 'text/plain; charset=utf-8',
    'Content-Length': Buffer.byteLength(body),
    'Cache-Control': 'no-store',
    ...headers,
  });
  response.end(body);
}
