import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { type ByteSink, FlushList, OutgoingBuffer } from '../../../src/mqtt/outgoing-buffer.js';

/** Takes bytes at once, or keeps the chunk until `drain`, as `takesAtOnce` says. */
class TestSink implements ByteSink {
  takesAtOnce = true;
  readonly taken: number[] = [];
  writes = 0;
  #kept: { chunk: Buffer; length: number; before: Buffer } | null = null;

  get isBusy(): boolean {
    return this.#kept !== null;
  }

  write(chunk: Buffer, length: number): boolean {
    assert.equal(this.#kept, null, 'nothing is written while the sink keeps a chunk');
    assert.ok(length > 0 && length <= chunk.length);
    this.writes += 1;
    if (this.takesAtOnce) {
      this.#take(chunk, length);
      return true;
    }
    this.#kept = { chunk, length, before: Buffer.from(chunk.subarray(0, length)) };
    return false;
  }

  /** The kept chunk is gone; the buffer is to be told. */
  drain(): void {
    const { chunk, length, before } = this.#kept!;
    assert.ok(chunk.subarray(0, length).equals(before), 'a chunk was used again while the sink had it');
    this.#kept = null;
    this.#take(chunk, length);
  }

  #take(chunk: Buffer, length: number): void {
    for (let i = 0; i < length; i += 1) this.taken.push(chunk[i]!);
  }
}

/** Calls what is scheduled when the test says that the turn of the event loop ends. */
class Turn {
  #scheduled: (() => void)[] = [];
  readonly list = new FlushList((flush) => this.#scheduled.push(flush));

  end(): void {
    const scheduled = this.#scheduled;
    this.#scheduled = [];
    for (const flush of scheduled) flush();
  }
}

type Step =
  | { kind: 'packet'; bytes: number }
  | { kind: 'turn' }
  | { kind: 'drain' }
  | { kind: 'block' | 'open' };

const sizes = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 1, max: 200 }) },
  { weight: 2, arbitrary: fc.integer({ min: 900, max: 5000 }) },
  { weight: 1, arbitrary: fc.integer({ min: 16_000, max: 70_000 }) },
);

const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('packet'), bytes: sizes }) },
  { weight: 4, arbitrary: fc.constant({ kind: 'turn' }) },
  { weight: 2, arbitrary: fc.constant({ kind: 'drain' }) },
  { weight: 1, arbitrary: fc.constantFrom({ kind: 'block' }, { kind: 'open' }) },
) as fc.Arbitrary<Step>;

describe('an outgoing buffer', () => {
  test('hands over every byte once and in order, however the sink takes them', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 50, size: 'max' }), (steps) => {
        const turn = new Turn();
        // Two buffers share the pool of chunks: one must not get what the other's sink still holds.
        const ends = [0, 1].map((which) => {
          const sink = new TestSink();
          return { which, sink, out: new OutgoingBuffer(sink, turn.list), sent: [] as number[] };
        });
        const drain = ({ sink, out }: (typeof ends)[number]): void => {
          if (!sink.isBusy) return;
          sink.drain();
          out.written();
        };
        for (const [i, next] of steps.entries()) {
          const end = ends[i % 2]!;
          if (next.kind === 'packet') {
            const packet = Uint8Array.from({ length: next.bytes }, (_, at) => (i * 31 + at) & 0xff);
            end.out.append(packet);
            for (const byte of packet) end.sent.push(byte);
          } else if (next.kind === 'turn') turn.end();
          else if (next.kind === 'drain') drain(end);
          else end.sink.takesAtOnce = next.kind === 'open';
          const unwritten = end.sent.length - end.sink.taken.length;
          assert.equal(end.out.waitingBytes, unwritten, 'bytes not yet taken');
          assert.equal(end.out.blocked, end.sink.isBusy);
        }
        for (const end of ends) {
          end.sink.takesAtOnce = true;
          drain(end);
          turn.end();
          assert.deepEqual(end.sink.taken, end.sent);
          assert.equal(end.out.bytesWritten, end.sent.length);
          assert.equal(end.out.waitingPackets, 0);
          assert.equal(end.out.chunk, null, 'an idle connection holds no chunk');
        }
      }),
    );
  });

  test('makes one write of a turn of the event loop', () => {
    const turn = new Turn();
    const sink = new TestSink();
    const out = new OutgoingBuffer(sink, turn.list);
    for (let i = 0; i < 50; i += 1) out.append(Uint8Array.of(i));
    turn.end();
    assert.deepEqual([sink.writes, sink.taken.length], [1, 50]);
    turn.end();
    assert.equal(sink.writes, 1);
  });

  test('counts the packets that wait for a peer that takes none', () => {
    const turn = new Turn();
    const sink = new TestSink();
    sink.takesAtOnce = false;
    const out = new OutgoingBuffer(sink, turn.list);
    out.append(Uint8Array.of(1));
    turn.end();
    assert.equal(out.waitingPackets, 0);
    out.append(Uint8Array.of(2));
    out.append(Uint8Array.of(3));
    turn.end();
    assert.equal(out.waitingPackets, 2);
    sink.takesAtOnce = true;
    sink.drain();
    out.written();
    assert.equal(out.waitingPackets, 0);
    assert.deepEqual(sink.taken, [1, 2, 3]);
  });

  test('takes nothing any more once it is closed', () => {
    const turn = new Turn();
    const sink = new TestSink();
    const out = new OutgoingBuffer(sink, turn.list);
    out.append(Uint8Array.of(1));
    out.close();
    out.append(Buffer.alloc(3000));
    turn.end();
    assert.equal(sink.writes, 0);
  });
});

test('a flush list flushes each buffer once, also one that comes while it flushes', () => {
  const turn = new Turn();
  const sink = new TestSink();
  const late = new OutgoingBuffer(sink, turn.list);
  const waking: ByteSink = {
    write: () => {
      late.append(Uint8Array.of(7));
      return true;
    },
  };
  const first = new OutgoingBuffer(waking, turn.list);
  first.append(Uint8Array.of(1));
  turn.end();
  assert.deepEqual(sink.taken, []);
  turn.end();
  assert.deepEqual(sink.taken, [7]);
});
