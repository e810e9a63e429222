import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { encodePacket } from '../../../src/mqtt/encode.js';
import { Framer } from '../../../src/mqtt/framer.js';
import { sentPacket } from '../../support/packets/packet-arbitraries.js';
import { bytes } from '../../support/packets/packet-bytes.js';
import { packetSamples } from '../../support/packets/packet-samples.js';

/** What a framer hands over, copied. */
class Frames {
  readonly frames: string[] = [];
  readonly framer: Framer;
  /** Stops after this many frames. */
  stopAfter = Number.POSITIVE_INFINITY;

  constructor(maximumPacketSize?: number) {
    this.framer = new Framer(
      (buffer, start, bodyStart, end) => {
        assert.ok(start < bodyStart && bodyStart <= end && end <= buffer.length);
        this.frames.push(Buffer.from(buffer.subarray(start, end)).toString('hex'));
        return this.frames.length < this.stopAfter;
      },
      maximumPacketSize === undefined ? {} : { maximumPacketSize },
    );
  }

  /** Feeds the stream in pieces, each in the same buffer, as a socket would. */
  feed(stream: Uint8Array, lengths: Iterable<number>): void {
    const shared = Buffer.alloc(70_000);
    let at = 0;
    for (const length of lengths) {
      const piece = stream.subarray(at, at + length);
      shared.fill(0xee);
      shared.set(piece);
      assert.equal(this.framer.push(shared, piece.length), undefined);
      at += piece.length;
    }
    assert.equal(at, stream.length);
  }
}

const stream = Buffer.concat(packetSamples.map((sample) => sample.bytes));
const expected = packetSamples.map((sample) => sample.bytes.toString('hex'));

function pieces(length: number): number[] {
  return Array.from({ length: Math.ceil(stream.length / length) }, () => length);
}

describe('a stream in pieces', () => {
  for (const length of [1, 2, 3, 5, 7, 64, 1000, 16_384, 65_536, 70_000]) {
    test(`of ${length} bytes`, () => {
      const collected = new Frames();
      collected.feed(stream, pieces(length));
      assert.deepEqual(collected.frames, expected);
      assert.equal(collected.framer.rest().length, 0);
    });
  }

  test('of any lengths, empty ones too', () => {
    const splits = fc.array(fc.integer({ min: 0, max: 300 }), { minLength: 1, maxLength: 50 });
    fc.assert(
      fc.property(fc.array(sentPacket, { maxLength: 20 }), splits, (packets, lengths) => {
        const encoded = packets.map(({ packet, version }) => encodePacket(packet, version));
        const whole = Buffer.concat(encoded);
        const collected = new Frames();
        const used: number[] = [];
        for (let left = whole.length, i = 0; left > 0; i += 1) {
          const next = Math.min(left, lengths[i % lengths.length]! || i % 2);
          used.push(next);
          left -= next;
        }
        collected.feed(whole, used);
        assert.deepEqual(
          collected.frames,
          encoded.map((frame) => frame.toString('hex')),
        );
      }),
      { numRuns: 300 },
    );
  });
});

describe('in place', () => {
  test('whole packets are handed over where they lie', () => {
    const seen: [Uint8Array, number, number, number][] = [];
    const framer = new Framer((...frame) => seen.push(frame) > 0);
    const buffer = bytes('c000 3003 "a" c000 40');
    framer.push(buffer, buffer.length);
    assert.deepEqual(
      seen.map(([where, ...offsets]) => [where === buffer, ...offsets]),
      [
        [true, 0, 2, 2],
        [true, 2, 4, 7],
        [true, 7, 9, 9],
      ],
    );
  });

  test('after a completed one it goes on in place', () => {
    const seen: [Uint8Array, number, number, number][] = [];
    const framer = new Framer((...frame) => seen.push(frame) > 0);
    framer.push(bytes('3003 00'), 3);
    const second = bytes("01 'a' c000");
    framer.push(second, second.length);
    assert.deepEqual(
      seen.map(([where, ...offsets]) => [where === second, ...offsets]),
      [
        [false, 0, 2, 5],
        [true, 2, 4, 4],
      ],
    );
  });
});

describe('limits', () => {
  // biome-ignore format: one packet a line
  const rows: [name: string, stream: string, maximumPacketSize: number | undefined, reasonCode: number | undefined][] = [
    ['a remaining length of five bytes', 'c0 8080808000', undefined, 0x81],
    ['a fourth length byte that announces a fifth', '30 ffffffff', undefined, 0x81],
    ['packet type 0 at its first byte', '00', undefined, 0x82],
    ['a length in more bytes than needed', 'c0 80808000', undefined, undefined],
    ['a packet of just the maximum', '3003 "a"', 5, undefined],
    ['a packet above it', '3004 "a"', 5, 0x95],
    ['a packet above it of which only the length has come', '30 ffffff7f', 1_000_000, 0x95],
    ['the largest packet that MQTT knows, no maximum set', '30 ffffff7f', undefined, undefined],
  ];
  for (const [name, encoded, maximumPacketSize, reasonCode] of rows) {
    const whole = bytes(encoded);
    test(`${name}, at once`, () => {
      const { framer } = new Frames(maximumPacketSize);
      assert.equal(framer.push(whole, whole.length)?.reasonCode, reasonCode);
    });
    test(`${name}, byte by byte`, () => {
      const { framer } = new Frames(maximumPacketSize);
      let seen: number | undefined;
      for (const byte of whole) seen ??= framer.push(Uint8Array.of(byte), 1)?.reasonCode;
      assert.equal(seen, reasonCode);
    });
  }

  test('the packets before a fault are handed over', () => {
    const collected = new Frames(5);
    const whole = bytes('c000 3003 "a" 3004 "ab" c000');
    assert.equal(collected.framer.push(whole, whole.length)?.reasonCode, 0x95);
    assert.deepEqual(collected.frames, ['c000', '3003000161']);
  });

  test('a maximum that is set while packets are handed over holds for the next one', () => {
    const framer: Framer = new Framer(() => {
      framer.maximumPacketSize = 4;
      return true;
    });
    const whole = bytes('3003 "a" 3003 "a"');
    assert.equal(framer.push(whole, whole.length)?.reasonCode, 0x95);
  });

  test('only the five-byte length is cut off without a DISCONNECT', () => {
    assert.equal(new Framer(() => true).push(bytes('c0 80808080'), 5)?.silent, true);
    assert.equal(new Framer(() => true, { maximumPacketSize: 2 }).push(bytes('3003'), 2)?.silent, false);
  });

  test('a packet that only claims to be large takes no more space than what has come of it', () => {
    const framers = Array.from({ length: 200 }, () => new Framer(() => true));
    const claimed = bytes("30 ffffff7f 0001 'a'");
    const before = process.memoryUsage().arrayBuffers;
    for (const framer of framers) framer.push(claimed, claimed.length);
    assert.ok(process.memoryUsage().arrayBuffers - before < 200 * 1024);
    assert.ok(framers.every((framer) => framer.rest().length === claimed.length));
  });
});

describe('stop', () => {
  test('nothing is handed over any more, and nothing is lost', () => {
    const collected = new Frames();
    collected.stopAfter = 2;
    const whole = bytes('c000 c000 3003 "a" 30');
    assert.equal(collected.framer.push(whole, whole.length), undefined);
    assert.equal(collected.framer.stopped, true);
    collected.framer.push(bytes('03 "b"'), 4);
    assert.deepEqual(collected.frames, ['c000', 'c000']);
    assert.equal(collected.framer.rest().toString('hex'), '30030001613003000162');
    assert.equal(collected.framer.rest().length, 0);
  });

  test('the rest does not change with the buffer it was read into', () => {
    const collected = new Frames();
    collected.stopAfter = 1;
    const whole = bytes('c000 3003 "a"');
    collected.framer.push(whole, whole.length);
    whole.fill(0);
    assert.equal(collected.framer.rest().toString('hex'), '3003000161');
  });

  test('at a packet that was completed', () => {
    const collected = new Frames();
    collected.stopAfter = 1;
    collected.framer.push(bytes('30'), 1);
    const second = bytes('03 "a" c000');
    collected.framer.push(second, second.length);
    assert.deepEqual(collected.frames, ['3003000161']);
    assert.equal(collected.framer.rest().toString('hex'), 'c000');
  });

  test('after resume it goes on where it was, even if it stops at every packet', () => {
    const collected = new Frames();
    collected.stopAfter = 0;
    collected.framer.push(stream, stream.length);
    for (let i = 0; collected.framer.stopped && i < 1000; i += 1) {
      if (collected.frames.length === expected.length) break;
      collected.framer.resume();
    }
    assert.deepEqual(collected.frames, expected);
  });

  test('resume reports what is wrong in the rest', () => {
    const collected = new Frames(5);
    collected.stopAfter = 1;
    const whole = bytes('c000 3004 "ab"');
    assert.equal(collected.framer.push(whole, whole.length), undefined);
    assert.equal(collected.framer.resume()?.reasonCode, 0x95);
  });
});
