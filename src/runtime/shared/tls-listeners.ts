/** The listeners of a worker whose clients speak TLS, with the certificates and keys that are in force now. */
import { X509Certificate } from 'node:crypto';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { TlsSession } from '../../auth/authenticator.js';
import { parsePskFile } from '../../auth/psk-file.js';
import { assert } from '../../base/assert.js';
import { isTls } from '../../config/listener-tls.js';
import type { ListenerSettings, Settings } from '../../config/settings.js';
import type { SocketOrigin } from '../../net/socket-transport.js';
import { TlsAcceptor } from '../../net/tls-acceptor.js';
import { certificatesIn, revocationListsIn, tlsOptions } from '../../net/tls-context.js';
import type { Trust } from '../../net/tls-identity.js';
import type { FileTexts } from '../../routing/messages.js';

export interface TlsEvents {
  /** The handshake is done, and nothing was read of the socket yet. */
  secured: (socket: TLSSocket, origin: SocketOrigin, session: TlsSession) => void;
  failed: (origin: SocketOrigin, reason: string) => void;
  /** An exception that nobody expected came of a handshake; `failed` follows. @throws if the thread has to fall */
  faulted: (origin: SocketOrigin, error: unknown) => void;
  /** [mosq: --tls-keylog] */
  keylog: ((line: Buffer) => void) | null;
}

export class TlsListeners {
  readonly #events: TlsEvents;
  /** By listener. */
  #acceptors: (TlsAcceptor | null)[];

  constructor(settings: Settings, files: FileTexts, events: TlsEvents) {
    this.#events = events;
    this.#acceptors = this.#acceptorsFor(settings, files);
  }

  /** For connections from now on; handshakes that go on end as they began. */
  replace(settings: Settings, files: FileTexts): void {
    this.#acceptors = this.#acceptorsFor(settings, files);
  }

  isFor(listener: number): boolean {
    return this.#acceptors[listener] != null;
  }

  /** @param stream the encrypted side */
  accept(stream: Duplex, origin: SocketOrigin): void {
    this.#acceptors[origin.listener]!.accept(stream, origin);
  }

  #acceptorsFor(settings: Settings, files: FileTexts): (TlsAcceptor | null)[] {
    return settings.listeners.map((listener) => (isTls(listener) ? this.#acceptor(listener, files) : null));
  }

  #acceptor(listener: ListenerSettings, files: FileTexts): TlsAcceptor {
    const options = tlsOptions(listener, files);
    assert(!('fault' in options), 'main has checked the TLS options');
    const { cafile, capath, crlfile, disableClientCertDateChecks } = listener;
    const trust: Trust = {
      authorities: [cafile, capath].flatMap((file) =>
        file === undefined ? [] : authoritiesIn(files.get(file)!),
      ),
      anyDate: disableClientCertDateChecks,
      revocations: crlfile === undefined ? null : revocationListsIn(files.get(crlfile)!),
    };
    return new TlsAcceptor({
      options,
      keys: listener.pskHint === undefined ? null : keysOf(listener, files),
      trust,
      secured: this.#events.secured,
      failed: this.#events.failed,
      faulted: this.#events.faulted,
      keylog: this.#events.keylog,
    });
  }
}

/** Passes over files in a folder that are no certificates, as the library does. */
function authoritiesIn(text: string): X509Certificate[] {
  return certificatesIn(text).flatMap((block) => {
    try {
      return [new X509Certificate(block)];
    } catch {
      return [];
    }
  });
}

function keysOf({ pskFile }: ListenerSettings, files: FileTexts): ReadonlyMap<string, Buffer> {
  if (pskFile === undefined) return new Map();
  const parsed = parsePskFile(pskFile, files.get(pskFile)!);
  assert(parsed.ok, 'main has checked the PSK file');
  return parsed.keys;
}
