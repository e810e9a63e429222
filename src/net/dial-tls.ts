/** The client's side of a TLS connection, with certificates or a pre-shared key. */
import { isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import { type ConnectionOptions, connect } from 'node:tls';

export interface TlsTarget {
  /** As Node takes them: authorities, certificate, key, versions, ciphers. */
  options: ConnectionOptions;
  /** Do not compare the host's name with the certificate; it must still come from a trusted authority. */
  anyHostName?: boolean;
  preSharedKey?: { identity: string; key: Buffer };
  /** Given each line for a key log file. */
  onKeyLog?: ((line: Buffer) => void) | undefined;
}

/** @throws the TLS library's error */
export function secure(stream: Duplex, host: string, target: TlsTarget): Promise<Duplex> {
  const options: ConnectionOptions = { ...target.options, socket: stream, host };
  // A name goes into the handshake so that the server can choose its certificate; an address must not [RFC 6066, 3].
  if (isIP(host) === 0) options.servername = host;
  if (target.anyHostName === true) options.checkServerIdentity = () => undefined;
  const psk = target.preSharedKey;
  if (psk !== undefined) {
    options.pskCallback = () => ({ identity: psk.identity, psk: psk.key });
    // There is no certificate whose name could be checked.
    options.checkServerIdentity = () => undefined;
  }
  return new Promise((resolve, reject) => {
    const socket = connect(options);
    if (target.onKeyLog !== undefined) socket.on('keylog', target.onKeyLog);
    socket.once('error', reject);
    socket.once('secureConnect', () => {
      socket.off('error', reject);
      resolve(socket);
    });
  });
}
