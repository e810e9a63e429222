/** The errors of a SOCKS5 proxy. Apart from the dialling, which is loaded only if a proxy is used. */

/**
 * - `not-allowed`: it wants another name, password or way of authentication, or its rules forbid the connection;
 * - `unreachable`: it could not reach the server;
 * - `failed`: everything else.
 */
export type ProxyErrorKind = 'not-allowed' | 'unreachable' | 'failed';

export class ProxyError extends Error {
  override readonly name = 'ProxyError';
  readonly kind: ProxyErrorKind;

  constructor(kind: ProxyErrorKind, message: string) {
    super(message);
    this.kind = kind;
  }
}
