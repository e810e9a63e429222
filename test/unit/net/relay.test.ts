/** The two ends of a relayed connection fall over a message that they do not know: it is a mistake of ours. */
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { test } from 'node:test';
import type { MessagePort } from 'node:worker_threads';
import { AssertionError } from '../../../src/base/assert.js';
import type { TransportUser } from '../../../src/broker/ports.js';
import { RelayPump, RelayTransport } from '../../../src/net/relay.js';

test('an unknown message is not taken for a known one', () => {
  const socketSide = new EventEmitter() as unknown as MessagePort;
  new RelayPump(socketSide, { write: () => true, pause: () => {}, resume: () => {}, end: () => {} });
  const connectionSide = new EventEmitter() as unknown as MessagePort;
  new RelayTransport(connectionSide, { listener: 0, remoteAddress: '127.0.0.1', remotePort: 1 }).serve(
    {} as TransportUser,
  );
  for (const port of [socketSide, connectionSide]) {
    assert.throws(() => port.emit('message', { kind: 'unknown' }), AssertionError);
  }
});
