import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isPacketError } from '../../../src/mqtt/packet-error.js';
import {
  type MalformedPacket,
  malformedConnects,
  malformedPackets,
} from '../../support/malformed-packets.js';
import { decodeWhole } from '../../support/packet-bytes.js';

function check(row: MalformedPacket): void {
  const result = decodeWhole(row.bytes, row.version ?? 4, row.sender);
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
