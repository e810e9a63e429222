import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { DatabaseFormatError, readChunks } from '../../../src/mosquitto-db/chunk-reader.js';
import { writeChunks } from '../../../src/mosquitto-db/chunk-writer.js';
import { type Chunk, FILE_HEADER_LENGTH } from '../../../src/mosquitto-db/chunks.js';
import {
  flippedSample,
  readExpected,
  readSample,
  SAMPLE_NAMES,
} from '../../support/store/mosquitto-db-samples.js';

describe('samples of real brokers', () => {
  for (const name of SAMPLE_NAMES) {
    test(`${name} reads as expected, to the last byte`, () => {
      const file = readChunks(readSample(name));
      const [header, ...expected] = readExpected(name);
      assert.deepEqual(file.problems, []);
      assert.equal(file.version, header!.version);
      assert.equal(file.chunks.length, expected.length);
      file.chunks.forEach((chunk, index) => {
        assert.deepEqual(inSampleTerms(chunk, file.version), comparable(expected[index]!));
      });
    });
  }

  for (const name of SAMPLE_NAMES.filter((sample) => sample.startsWith('v6'))) {
    test(`${name} is written back byte for byte`, () => {
      const bytes = readSample(name);
      assert.ok(bytes.equals(writeChunks(readChunks(bytes).chunks)));
    });
  }
});

describe('machines of other kinds', () => {
  test('big-endian files are recognised by their ids', () => {
    for (const name of ['v6-2.0.11-sessions.db', 'v6-2.1.2-all.db']) {
      const { chunks } = readChunks(readSample(name));
      assert.deepEqual(readChunks(asBigEndian(writeChunks(chunks))), { version: 6, chunks, problems: [] });
    }
  });

  test('the shorter structures of 32-bit x86 are read', () => {
    const { chunks } = readChunks(readSample('v6-2.0.11-sessions.db'));
    const short = joinFrames(
      frames(writeChunks(chunks)).map(({ type, body }) => {
        if (type === 1) return { type, body: body.subarray(0, 12) };
        if (type === 6) return { type, body: Buffer.concat([body.subarray(0, 20), body.subarray(24)]) };
        return { type, body };
      }),
    );
    assert.deepEqual(readChunks(short), { version: 6, chunks, problems: [] });
  });

  test('a 32-bit disconnect time of version 3 is read', () => {
    const client = Buffer.concat([Buffer.from([0, 1, 0x63]), Buffer.from([0, 9]), Buffer.from([1, 2, 0, 0])]);
    const header = Buffer.from([0, 6, 0, 0, 0, client.length]);
    const file = readChunks(Buffer.concat([fileHeader(3), header, client]));
    assert.equal(file.chunks.length, 1);
    const [chunk] = file.chunks;
    assert.ok(chunk?.kind === 'client');
    assert.equal(chunk.disconnectTime, 513n);
    assert.equal(chunk.lastPacketId, 9);
  });

  test('version 2 has no disconnect time', () => {
    const client = Buffer.from([0, 1, 0x63, 0, 9]);
    const file = readChunks(Buffer.concat([fileHeader(2), Buffer.from([0, 6, 0, 0, 0, 5]), client]));
    assert.deepEqual(file.problems, []);
    assert.equal(file.chunks[0]?.kind, 'client');
  });
});

describe('what is no database', () => {
  const refused: [string, Uint8Array, RegExp][] = [
    ['text', Buffer.from('hello, this is a text file'), /not a mosquitto\.db/],
    ['three bytes', Buffer.from([0, 0xb5, 0]), /not a mosquitto\.db/],
    ['the magic alone', readSample('v3-1.4.8-all.db').subarray(0, 15), /ends within its header/],
    ['version 1', fileHeader(1), /version 1 /],
    ['version 7', fileHeader(7), /version 7 /],
  ];
  for (const [what, bytes, message] of refused) {
    test(`${what} is refused`, () => {
      assert.throws(
        () => readChunks(bytes),
        (error) => error instanceof DatabaseFormatError && message.test(error.message),
      );
    });
  }

  test('an empty file has no chunks', () => {
    assert.deepEqual(readChunks(new Uint8Array(0)), { version: 6, chunks: [], problems: [] });
  });
});

describe('damage', () => {
  test('a file cut off anywhere gives the chunks before the cut', () => {
    for (const name of SAMPLE_NAMES) {
      const bytes = readSample(name);
      const whole = readChunks(bytes);
      const ends = frameEnds(bytes, whole.version);
      for (let length = FILE_HEADER_LENGTH; length < bytes.length; length += 1) {
        const { chunks, problems } = readChunks(bytes.subarray(0, length));
        const complete = ends.filter((end) => end <= length).length;
        assert.equal(chunks.length, complete, `${name} cut at ${length}`);
        const headerLength = whole.version >= 5 ? 8 : 6;
        const cutWithinBody =
          length - (complete === 0 ? FILE_HEADER_LENGTH : ends[complete - 1]!) >= headerLength;
        assert.equal(problems.length, cutWithinBody ? 1 : 0, `${name} cut at ${length}`);
      }
    }
  });

  test('a chunk whose parts do not add up is skipped, the next ones are read', () => {
    const { chunks } = readChunks(readSample('v6-2.0.11-sessions.db'));
    const damaged = frames(writeChunks(chunks));
    damaged[3]!.body.writeUInt16BE(60_000, 26); // topic length of a message
    const file = readChunks(joinFrames(damaged));
    assert.equal(file.problems.length, 1);
    assert.deepEqual(file.chunks, chunks.toSpliced(3, 1));
  });

  test('unknown chunk types are skipped and counted', () => {
    const { chunks } = readChunks(readSample('v6-2.0.11-retained.db'));
    const foreign = { type: 99, body: Buffer.from('something of a later version') };
    const file = readChunks(joinFrames([foreign, ...frames(writeChunks(chunks))]));
    assert.equal(file.problems.length, 1);
    assert.deepEqual(file.chunks, chunks);
  });

  test('flipped bits never make it throw anything but a refusal', () => {
    fc.assert(
      fc.property(flippedSample, (bytes) => {
        try {
          readChunks(bytes);
        } catch (error) {
          assert.ok(error instanceof DatabaseFormatError);
        }
      }),
      { numRuns: 500 },
    );
  });
});

/** A chunk with the names that the expected files use. */
function inSampleTerms(chunk: Chunk, version: number): Record<string, unknown> {
  switch (chunk.kind) {
    case 'config':
      return {
        chunk: 'CFG',
        last_db_id: Number(chunk.lastMessageId),
        shutdown: Number(chunk.shutdown),
        dbid_size: chunk.messageIdSize,
      };
    case 'message':
      return {
        chunk: 'BASE_MSG',
        store_id: Number(chunk.messageId),
        source_mid: chunk.sourcePacketId,
        qos: chunk.qos,
        retain: chunk.retain,
        source_id: text(chunk.sourceClientId),
        topic: text(chunk.topic),
        payload: text(chunk.payload),
        ...(version >= 4 && { source_username: text(chunk.sourceUsername), source_port: chunk.sourcePort }),
        ...(version >= 5 && { expiry_time: Number(chunk.expiryTime), props: hex(chunk.properties) }),
      };
    case 'clientMessage':
      return {
        chunk: 'CLIENT_MSG',
        store_id: Number(chunk.messageId),
        mid: chunk.packetId,
        qos: chunk.qos,
        state: chunk.state,
        retain: chunk.retain,
        dup: chunk.dup,
        direction: chunk.direction,
        clientid: text(chunk.clientId),
        ...(version >= 5 && { props: hex(chunk.properties) }),
      };
    case 'retain':
      return { chunk: 'RETAIN', store_id: Number(chunk.messageId) };
    case 'subscription':
      return {
        chunk: 'SUB',
        qos: chunk.qos,
        clientid: text(chunk.clientId),
        topic: text(chunk.filter),
        ...(version >= 5 && { identifier: chunk.subscriptionId, options: chunk.options }),
      };
    case 'client':
      return {
        chunk: 'CLIENT',
        last_mid: chunk.lastPacketId,
        clientid: text(chunk.clientId),
        ...(version >= 5
          ? {
              session_expiry_time: Number(chunk.sessionExpiryTime),
              session_expiry_interval: chunk.sessionExpiryInterval,
              username: text(chunk.username),
            }
          : { disconnect_t: Number(chunk.disconnectTime) }),
        ...(version >= 6 && { listener_port: chunk.listenerPort }),
      };
  }
}

/** Fields that say nothing of the content: lengths, padding, a packet id that no version uses. */
function comparable(expected: Record<string, unknown>): Record<string, unknown> {
  const fields = { ...expected };
  for (const name of ['len', 'pad', 'payloadlen']) delete fields[name];
  if (fields.chunk === 'BASE_MSG') delete fields.mid;
  return fields;
}

function text(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return `hex:${hex(bytes)}`;
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

function fileHeader(version: number): Buffer {
  const header = Buffer.alloc(FILE_HEADER_LENGTH);
  header.write('\x00\xb5\x00mosquitto db', 'latin1');
  header.writeUInt32BE(version, 19);
  return header;
}

interface TestFrame {
  type: number;
  body: Buffer;
}

/** The chunks of a version 6 file, uninterpreted. */
function frames(file: Uint8Array): TestFrame[] {
  const bytes = Buffer.from(file);
  const found: TestFrame[] = [];
  for (let offset = FILE_HEADER_LENGTH; offset < bytes.length; ) {
    const length = bytes.readUInt32BE(offset + 4);
    found.push({ type: bytes.readUInt32BE(offset), body: bytes.subarray(offset + 8, offset + 8 + length) });
    offset += 8 + length;
  }
  return found;
}

function joinFrames(parts: TestFrame[]): Buffer {
  return Buffer.concat([
    fileHeader(6),
    ...parts.flatMap(({ type, body }) => {
      const header = Buffer.alloc(8);
      header.writeUInt32BE(type, 0);
      header.writeUInt32BE(body.length, 4);
      return [header, body];
    }),
  ]);
}

/** Where each chunk of a file ends. */
function frameEnds(bytes: Buffer, version: number): number[] {
  const typeLength = version >= 5 ? 4 : 2;
  const ends: number[] = [];
  for (let offset = FILE_HEADER_LENGTH; offset < bytes.length; ) {
    offset += typeLength + 4 + bytes.readUInt32BE(offset + typeLength);
    ends.push(offset);
  }
  return ends;
}

/** The same file as a big-endian machine would have written it. */
function asBigEndian(file: Uint8Array): Buffer {
  const hostFields: Record<number, number[]> = { 1: [0], 2: [0, 8], 3: [0], 4: [0], 6: [0] };
  return joinFrames(
    frames(file).map(({ type, body }) => {
      for (const offset of hostFields[type] ?? []) body.subarray(offset, offset + 8).reverse();
      return { type, body };
    }),
  );
}
