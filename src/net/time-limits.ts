/** How long a client may take, whatever it speaks. */

/** Milliseconds for a handshake (the header of a proxy, TLS, WebSockets), as for a CONNECT. */
export const HANDSHAKE_MS = 30_000;

/** Milliseconds that a client is given, once it is to go, to take the last bytes, and to answer a close frame. */
export const LINGER_MS = 5000;
