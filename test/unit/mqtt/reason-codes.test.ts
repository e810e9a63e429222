import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PacketType } from '../../../src/mqtt/packets.js';
import {
  isReasonCodeAllowed,
  ReasonCode,
  reasonText,
  toConnectReturnCode,
} from '../../../src/mqtt/reason-codes.js';

test('every reason code has a text', () => {
  for (const [name, code] of Object.entries(ReasonCode)) {
    assert.notEqual(reasonText(code), 'Unknown reason', name);
  }
  assert.equal(reasonText(0x87), 'Not authorized');
  assert.equal(reasonText(0x03), 'Unknown reason');
});

test('reason codes as the return codes of older versions', () => {
  const rows: [reasonCode: number, returnCode: number][] = [
    [ReasonCode.success, 0],
    [ReasonCode.unsupportedProtocolVersion, 1],
    [ReasonCode.clientIdentifierNotValid, 2],
    [ReasonCode.serverUnavailable, 3],
    [ReasonCode.serverBusy, 3],
    [ReasonCode.badUserNameOrPassword, 4],
    [ReasonCode.notAuthorized, 5],
    [ReasonCode.banned, 5],
    [ReasonCode.packetTooLarge, 5],
  ];
  for (const [reasonCode, returnCode] of rows) {
    assert.equal(toConnectReturnCode(reasonCode), returnCode, reasonText(reasonCode));
  }
  for (const code of Object.values(ReasonCode)) {
    const returnCode = toConnectReturnCode(code);
    assert.ok(code < 0x80 ? returnCode === 0 : returnCode >= 1 && returnCode <= 5);
  }
});

/** How many codes the tables of the standard list, and one that is not among them. */
test('which codes may stand on which packet', () => {
  const rows: [type: keyof typeof PacketType, count: number, notAllowed: number][] = [
    ['connack', 22, 0x8b],
    ['puback', 10, 0x92],
    ['pubrec', 10, 0x01],
    ['pubrel', 2, 0x10],
    ['pubcomp', 2, 0x80],
    ['suback', 12, 0x11],
    ['unsuback', 7, 0x97],
    ['disconnect', 29, 0x8c],
    ['auth', 3, 0x8c],
    ['publish', 0, 0x00],
  ];
  for (const [type, count, notAllowed] of rows) {
    const allowed = Array.from({ length: 256 }, (_, code) => code).filter((code) =>
      isReasonCodeAllowed(PacketType[type], code),
    );
    assert.equal(allowed.length, count, type);
    assert.ok(!allowed.includes(notAllowed), type);
    assert.ok(allowed.every((code) => reasonText(code) !== 'Unknown reason'));
  }
});
