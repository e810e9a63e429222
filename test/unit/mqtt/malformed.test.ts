import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isPacketError } from '../../../src/mqtt/packet-error.js';
import { Publication } from '../../../src/mqtt/publication.js';
import {
  type MalformedPacket,
  malformedConnects,
  malformedPackets,
} from '../../support/packets/malformed-packets.js';
import { decodeWhole } from '../../support/packets/packet-bytes.js';
import { readBytes } from '../../support/packets/publication.js';

function check(row: MalformedPacket): void {
  const result = decodeWhole(row.bytes, row.version ?? 4, row.origin);
  assert.ok(isPacketError(result), `taken as ${JSON.stringify(result)}`);
  const { reasonCode, message, silent, version, connackCode } = result;
  const expectedVersion = row.name.startsWith('CONNECT') ? row.version : undefined;
  assert.deepEqual(
    { reasonCode, silent, version, connackCode },
    {
      reasonCode: row.reasonCode,
      silent: row.silent,
      version: expectedVersion,
      connackCode: row.connackCode,
    },
    message,
  );
  assert.match(message, row.message);
}

describe('malformed CONNECT', () => {
  for (const row of malformedConnects) test(row.name, () => check(row));
});

describe('malformed packets', () => {
  for (const row of malformedPackets) test(row.name, () => check(row));
});

/** The topic is checked where it is looked up, a topic alias where the connection's aliases are known. */
const checkedLater = /(?:UTF-8|character or non-character) in topic|invalid topic|empty topic|neither topic/;

describe('malformed PUBLISH, read by offset', () => {
  const publishes = malformedPackets.filter(
    ({ bytes, origin }) => bytes[0]! >> 4 === 3 && origin === 'client',
  );
  for (const { name, bytes, version, reasonCode, message } of publishes) {
    if (checkedLater.test(message.source)) continue;
    test(name, () => assert.equal(readBytes(new Publication(), bytes, version!, 0), reasonCode));
  }
});
