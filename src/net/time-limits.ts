/** How long the other side of a connection may take, whatever it speaks. */

/** Milliseconds for a handshake (the header of a proxy, TLS, WebSockets), as for a CONNECT. */
export const HANDSHAKE_MS = 30_000;

/** Milliseconds that the other side is given, when the connection is to end, for the last bytes and a close frame. */
export const LINGER_MS = 5000;
