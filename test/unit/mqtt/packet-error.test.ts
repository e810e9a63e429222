import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isPacketError, PacketError } from '../../../src/mqtt/packet-error.js';

test('a fault as a line of the log', () => {
  const rows: [message: string, line: string][] = [
    ['RESERVED packet.', 'Protocol error from id$&: RESERVED packet.'],
    ['Invalid QoS in PUBLISH from {id}, disconnecting.', 'Invalid QoS in PUBLISH from id$&, disconnecting.'],
    [
      'Empty subscription string from {address}, disconnecting.',
      'Empty subscription string from ::1, disconnecting.',
    ],
  ];
  for (const [message, line] of rows) {
    assert.equal(new PacketError(0x81, message).logLine('id$&', '::1'), line);
  }
});

test('only a fault is one', () => {
  assert.ok(isPacketError(new PacketError(0x81, 'what')));
  for (const other of [undefined, null, 0, {}, new Error('what')]) assert.ok(!isPacketError(other));
});
