/**
 * Preloaded into a broker under test (NODE_OPTIONS=--import): what a client sends makes functions of Node throw that
 * never do so, as a fault of ours would. So an exception comes out of the middle of the broker's own code, at the
 * place that the test wants:
 *
 *   FAULT-answer    in a correlationData: while the answer of $CONTROL is made
 *   FAULT-routes    in a filter with a wildcard: while the tree of filters is changed, which all clients share
 *   FAULT-later     the same, once there is the file FAULT_LATER_FILE
 *   FAULT-will      at the beginning of a will's topic: while it is published
 *   FAULT-upgrade   in the Upgrade field of a WebSocket handshake
 *   FAULT-path      in the path of an HTTP request
 *   FAULT-tls       the name that a TLS client asks for
 *   FAULT-proxy     in the header of a proxy
 */
import { existsSync } from 'node:fs';
import { ServerResponse } from 'node:http';
import { TLSSocket } from 'node:tls';

function isLater(): boolean {
  return existsSync(process.env.FAULT_LATER_FILE ?? '');
}

function fail(where: string): never {
  throw new TypeError(`a fault that a test wants (${where})`);
}

const { stringify } = JSON;
JSON.stringify = ((value: unknown, ...rest: []) => {
  const text = stringify(value, ...rest);
  return text?.includes('FAULT-answer') ? fail('answer') : text;
}) as typeof JSON.stringify;

const { split, toLowerCase, charCodeAt } = String.prototype;
String.prototype.split = function (this: string, ...args: [string]) {
  if (args[0] === '/' && String(this).includes('FAULT-routes')) fail('routes');
  if (args[0] === '/' && String(this).includes('FAULT-later') && isLater()) fail('later');
  return Reflect.apply(split, this, args);
} as typeof split;
String.prototype.toLowerCase = function (this: string) {
  return this.includes('FAULT-upgrade') ? fail('upgrade') : toLowerCase.call(this);
};
const seen = new Set<string>();
String.prototype.charCodeAt = function (this: string, at: number) {
  if (this.startsWith('FAULT-will')) {
    if (seen.has(String(this))) fail('will');
    seen.add(String(this)); // CONNECT has looked at it
  }
  return charCodeAt.call(this, at);
};

const { setHeader } = ServerResponse.prototype;
ServerResponse.prototype.setHeader = function (this: ServerResponse, ...args: [string, string]) {
  return this.req.url?.includes('FAULT-path') ? fail('path') : setHeader.apply(this, args);
} as typeof setHeader;

const { getProtocol } = TLSSocket.prototype;
TLSSocket.prototype.getProtocol = function (this: TLSSocket & { servername?: unknown }) {
  return this.servername === 'fault-tls.example' ? fail('tls') : getProtocol.call(this);
};

const { concat } = Buffer;
Buffer.concat = (list, length) => {
  const whole = concat(list, length);
  return whole.length < 200 && whole.includes('PROXY FAULT') ? fail('proxy') : whole;
};
