/** The codec: finding frames, decoding and encoding each kind of packet, and checking topics. */

import { isValidUtf8 } from '../../src/base/utf8.js';
import { decodePacket } from '../../src/mqtt/decode.js';
import { encodePacket } from '../../src/mqtt/encode.js';
import { Framer } from '../../src/mqtt/framer.js';
import { topicMatchesFilter } from '../../src/topic/topic-filter.js';
import { isValidTopicName } from '../../src/topic/topic-name.js';
import { type PacketSample, packetSamples } from '../support/packets/packet-samples.js';
import { type Benchmark, isProgram, report } from './harness.js';

const publishesInChunk = 1000;

export function run(): void {
  report('framer, a PUBLISH of 64 bytes', framing());
  report('decode', coding(decoding));
  report('encode', coding(encoding));
  report('texts', texts());
}

/** 1000 frames in one chunk, and the same cut into reads of several sizes. */
function framing(): Benchmark[] {
  const flags = { qos: 0, retain: false, dup: false, packetId: 0 } as const;
  const payload = Buffer.alloc(64, 'x');
  const publish = encodePacket(
    { type: 'publish', topic: 'bench/0001', payload, ...flags, properties: {} },
    4,
  );
  const chunk = Buffer.concat(Array.from({ length: publishesInChunk }, () => publish));
  return [chunk.length, 65_536, 1400, 100, 1].map((readLength) => {
    let bodies = 0;
    const framer = new Framer((_buffer, _start, bodyStart, end) => {
      bodies += end - bodyStart;
      return true;
    });
    const reads: Buffer[] = [];
    for (let at = 0; at < chunk.length; at += readLength) reads.push(chunk.subarray(at, at + readLength));
    return {
      name: readLength === chunk.length ? 'all in one read' : `in reads of ${readLength} bytes`,
      operations: publishesInChunk,
      once: () => {
        bodies = 0;
        for (let i = 0; i < reads.length; i += 1) framer.push(reads[i]!, reads[i]!.length);
        return bodies;
      },
    };
  });
}

const inARow = 100;

/** One benchmark for each packet type and version, from the samples of the tests. */
function coding(once: (sample: PacketSample) => () => number): Benchmark[] {
  return samples().map((sample) => ({ name: sample.name, operations: inARow, once: once(sample) }));
}

function samples(): PacketSample[] {
  return packetSamples.filter(
    ({ name, version }) => version !== 3 && !/bytes|without|empty|again|retained|refuses|bridge/.test(name),
  );
}

function decoding({ bytes, version, origin }: PacketSample): () => number {
  const bodyStart = bytes.length < 130 ? 2 : 3;
  return () => {
    let count = 0;
    for (let i = 0; i < inARow; i += 1) {
      count += decodePacket(bytes, 0, bodyStart, bytes.length, version, origin) === undefined ? 0 : 1;
    }
    return count;
  };
}

function encoding({ packet, version }: PacketSample): () => number {
  return () => {
    let length = 0;
    for (let i = 0; i < inARow; i += 1) length += encodePacket(packet, version).length;
    return length;
  };
}

function texts(): Benchmark[] {
  const topic = Buffer.from('home/living-room/lamp/brightness');
  const german = Buffer.from('haus/küche/kühlschrank/temperatur');
  const repeat = (name: string, once: () => boolean): Benchmark => ({
    name,
    operations: inARow,
    once: () => {
      let count = 0;
      for (let i = 0; i < inARow; i += 1) if (once()) count += 1;
      return count;
    },
  });
  return [
    repeat('UTF-8 check, 32 bytes ASCII', () => isValidUtf8(topic, 0, topic.length)),
    repeat('UTF-8 check, 35 bytes', () => isValidUtf8(german, 0, german.length)),
    repeat('topic name check, 32 bytes ASCII', () => isValidTopicName(topic, 0, topic.length)),
    repeat('topic name check, 35 bytes', () => isValidTopicName(german, 0, german.length)),
    repeat('match a filter with +', () => topicMatchesFilter('home/kitchen/lamp', 'home/+/lamp')),
    repeat('match a filter with #', () => topicMatchesFilter('home/kitchen/lamp', 'home/#')),
  ];
}

if (isProgram(import.meta.url)) run();
