/**
 * Bytes from nowhere: whatever comes, decoding ends and answers with a packet or with what is wrong. The seed is in
 * the test's name, so that a failure can be repeated.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodePacket, type PacketOrigin } from '../../../src/mqtt/decode.js';
import { encodePacket } from '../../../src/mqtt/encode.js';
import { Framer } from '../../../src/mqtt/framer.js';
import { isPacketError } from '../../../src/mqtt/packet-error.js';
import type { ProtocolVersion } from '../../../src/mqtt/packets.js';
import { malformedConnects, malformedPackets } from '../../support/packets/malformed-packets.js';
import { packetSamples } from '../../support/packets/packet-samples.js';
import { Random } from '../../support/random.js';

const runMs = 600;
const runsMin = 1000;

const versions: readonly ProtocolVersion[] = [3, 4, 5];
const senders: readonly PacketOrigin[] = ['client', 'server'];
const seed = Date.now() >>> 0;

const reasonCodes = new Set([0x81, 0x82, 0x84, 0x85, 0x90, 0x94]);

/** Decodes the bytes as the body of a packet with this first byte. What is taken can be written again. */
function decodeBody(
  firstByte: number,
  body: Uint8Array,
  version: ProtocolVersion,
  origin: PacketOrigin,
): void {
  const buffer = new Uint8Array(body.length + 1);
  buffer[0] = firstByte;
  buffer.set(body, 1);
  const result = decodePacket(buffer, 0, 1, buffer.length, version, origin);
  if (isPacketError(result)) {
    assert.ok(reasonCodes.has(result.reasonCode), `${result.reasonCode}: ${result.message}`);
    assert.ok(result.message.length > 0 && result.message.length < 300);
    assert.ok(!/[^ -~]/.test(result.message), 'a message that would break the log');
  } else {
    encodePacket(result, version);
  }
}

/** Runs `once` again and again for a while, and often on a slow machine, too. */
function forAWhile(seedOfTest: number, once: (random: Random) => void): void {
  const random = new Random(seedOfTest);
  const end = performance.now() + runMs;
  for (let runs = 0; runs < runsMin || performance.now() < end; runs += 1) once(random);
}

function randomBytes(random: Random, length: number): Uint8Array {
  // Mostly small values: large ones are soon longer than the packet.
  return Uint8Array.from({ length }, () => (random.below(2) === 0 ? random.below(8) : random.below(256)));
}

test(`random bytes, seed ${seed}`, () => {
  forAWhile(seed, (random) => {
    const body = randomBytes(random, random.below(60));
    decodeBody(random.below(256), body, random.pick(versions), random.pick(senders));
  });
});

test(`changed packets, seed ${seed}`, () => {
  const originals = [...packetSamples, ...malformedConnects, ...malformedPackets].filter(
    (original) => original.bytes.length < 126,
  );
  forAWhile(seed, (random) => {
    const { bytes, version, origin } = random.pick(originals);
    const body = change(random, bytes.subarray(2));
    const firstByte = random.below(20) === 0 ? random.below(256) : bytes[0]!;
    decodeBody(firstByte, body, version ?? random.pick(versions), origin);
  });
});

/** Changes, removes, doubles or adds a few bytes. */
function change(random: Random, original: Uint8Array): Uint8Array {
  let bytes = [...original];
  for (let i = random.below(4); i >= 0; i -= 1) {
    const at = random.below(bytes.length + 1);
    const kind = random.below(5);
    if (kind === 0) bytes[at] = random.below(256);
    else if (kind === 1) bytes.splice(at, 1 + random.below(4));
    else if (kind === 2) bytes.splice(at, 0, ...randomBytes(random, 1 + random.below(4)));
    else if (kind === 3) bytes.splice(at, 0, ...bytes.slice(at, at + random.below(10)));
    else bytes = bytes.slice(0, at);
  }
  return Uint8Array.from(bytes, (byte) => byte ?? 0);
}

test(`a stream of random bytes in random pieces, seed ${seed}`, () => {
  forAWhile(seed, (random) => {
    const version = random.pick(versions);
    const framer = new Framer(
      (buffer, start, bodyStart, end) => {
        decodePacket(buffer, start, bodyStart, end, version, 'client');
        return random.below(20) > 0;
      },
      { maximumPacketSize: 1000 },
    );
    for (let i = random.below(20); i >= 0; i -= 1) {
      const piece = randomBytes(random, random.below(200));
      const error = framer.stopped ? framer.resume() : framer.push(piece, piece.length);
      if (error !== undefined) {
        assert.ok([0x81, 0x82, 0x95].includes(error.reasonCode));
        return;
      }
    }
  });
});
