/** The client's side of a TLS connection, with certificates or a pre-shared key. */
import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import { type ConnectionOptions, connect, type DetailedPeerCertificate, type TLSSocket } from 'node:tls';

export interface TlsTarget {
  /** As Node takes them: authorities, certificate, key, versions, ciphers. */
  options: ConnectionOptions;
  /** Do not compare the host's name with the certificate; it must still come from a trusted authority. */
  anyHostName?: boolean;
  preSharedKey?: { identity: string; key: Buffer };
  /** The server has to staple proof that its certificate was not revoked. */
  requireOcsp?: boolean;
  /** Given each line for a key log file. */
  onKeyLog?: ((line: Buffer) => void) | undefined;
}

type OcspFault = typeof import('./ocsp-proof.js').ocspFault;

/** @throws the TLS library's error, or one whose message is a clause for people */
export async function secure(stream: Duplex, host: string, target: TlsTarget): Promise<Duplex> {
  const options = connectionOptions(stream, host, target);
  const ocspFault = target.requireOcsp === true ? (await import('./ocsp-proof.js')).ocspFault : null;
  return new Promise((resolve, reject) => {
    const socket = connect(options);
    if (target.onKeyLog !== undefined) socket.on('keylog', target.onKeyLog);
    let staple: Buffer | null = null;
    socket.on('OCSPResponse', (response: Buffer | null) => {
      staple = response;
    });
    socket.once('error', reject);
    socket.once('secureConnect', () => {
      const fault = ocspFault === null ? null : stapleFault(socket, staple, ocspFault);
      if (fault !== null) {
        reject(new Error(fault));
        socket.on('error', () => {}).destroy();
        return;
      }
      socket.off('error', reject);
      resolve(socket);
    });
  });
}

function connectionOptions(stream: Duplex, host: string, target: TlsTarget): ConnectionOptions {
  const options: ConnectionOptions & { requestOCSP?: boolean } = { ...target.options, socket: stream, host };
  // A name goes into the handshake so that the server can choose its certificate; an address must not [RFC 6066, 3].
  if (isIP(host) === 0) options.servername = host;
  if (target.anyHostName === true) options.checkServerIdentity = () => undefined;
  if (target.requireOcsp === true) options.requestOCSP = true;
  const psk = target.preSharedKey;
  if (psk !== undefined) {
    options.pskCallback = () => ({ identity: psk.identity, psk: psk.key });
    // There is no certificate whose name could be checked.
    options.checkServerIdentity = () => undefined;
  }
  return options;
}

/** @returns why the stapled OCSP response proves nothing; `null` if it proves that the certificate is valid */
function stapleFault(socket: TLSSocket, staple: Buffer | null, ocspFault: OcspFault): string | null {
  if (staple === null) return 'it shows no OCSP response for its certificate';
  // `getPeerX509Certificate` would not lead on to an authority that was not sent along.
  const shown = socket.getPeerCertificate(true) as Partial<DetailedPeerCertificate> | null;
  const issuerBytes: Buffer | undefined = shown?.issuerCertificate?.raw;
  if (shown?.raw === undefined || issuerBytes === undefined) {
    return 'the authority of its certificate is not known';
  }
  const certificate = new X509Certificate(shown.raw);
  const issuer = new X509Certificate(issuerBytes);
  return ocspFault(staple, { certificate, issuer, nowMs: Date.now() });
}
