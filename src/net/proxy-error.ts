/** What a SOCKS5 proxy did not do. Apart from the dialling, which is only loaded if a proxy is used. */

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
