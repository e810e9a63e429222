import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { MessagePort } from 'node:worker_threads';
import { Publication } from '../../../src/mqtt/publication.js';
import { WINDOW_BYTES } from '../../../src/routing/link.js';
import type { LinkMessage } from '../../../src/routing/messages.js';
import { RecordFlag } from '../../../src/routing/wire.js';
import { congest, TestPort, testLink } from '../../support/brokers/links.js';

const small = Publication.create({ topic: 'small', payload: Buffer.alloc(10), qos: 0, retain: false });

function bytesOf(messages: LinkMessage[]): number {
  return messages.reduce((sum, message) => sum + (message.kind === 'batch' ? message.records.length : 0), 0);
}

describe('a link between two workers', () => {
  test('sends what a turn brings as one batch, of exactly its size', () => {
    const { link, port, flush } = testLink(1);
    for (let i = 0; i < 10; i += 1) link.publish(small, RecordFlag.deliver, '');
    assert.deepEqual(port.posted, []);
    flush();
    const [batch, ...more] = port.take();
    assert.ok(batch?.kind === 'batch' && more.length === 0);
    assert.equal(batch.records.buffer.byteLength, batch.records.length);
    assert.equal(batch.records.length % 10, 0);
  });

  test('keeps control messages in their order among the publishes', () => {
    const { link, port, flush } = testLink(1);
    link.publish(small, RecordFlag.deliver, '');
    link.control({ kind: 'confirmed', sequence: 1 });
    link.publish(small, RecordFlag.deliver, '');
    link.control({ kind: 'confirmed', sequence: 2 });
    flush();
    const kinds = port.take().map(({ kind }) => kind);
    assert.deepEqual(kinds, ['batch', 'confirmed', 'batch', 'confirmed']);
  });

  test('is congested beyond its window, until half of it has been worked off', () => {
    let relieved = 0;
    const end = testLink(1, () => {
      relieved += 1;
    });
    congest(end);
    const sent = bytesOf(end.port.take());
    assert.ok(sent > WINDOW_BYTES);
    const tillRelief = sent - WINDOW_BYTES / 2;
    end.link.credit(tillRelief - 1);
    assert.deepEqual([end.link.congested, relieved], [true, 0]);
    end.link.credit(1);
    assert.deepEqual([end.link.congested, relieved], [false, 1]);
    end.link.credit(1000);
    assert.equal(relieved, 1);
  });

  test('reports work in a few credits a window, none of it twice or never', () => {
    const { link, port } = testLink(1);
    let workedOff = 0;
    for (let i = 0; i < 10_000; i += 1) {
      const bytes = 1 + ((i * 7919) % 3000);
      link.workedOff(bytes);
      workedOff += bytes;
    }
    let reported = 0;
    const credits = port.take();
    for (const message of credits) reported += message.kind === 'credit' ? message.bytes : Number.NaN;
    assert.ok(
      reported <= workedOff && workedOff - reported < WINDOW_BYTES / 2,
      'a rest that frees the sender',
    );
    assert.ok(credits.length <= Math.ceil((workedOff / WINDOW_BYTES) * 8));
  });

  test('waits for each batch by itself, whichever is stored first', () => {
    const { link, port, flush } = testLink(1);
    const stored: number[] = [];
    for (const number of [1, 2, 3]) {
      link.publish(small, RecordFlag.deliver, '');
      const waits = link.whenStored(
        () => stored.push(number),
        () => stored.push(-number),
      );
      assert.ok(waits);
      if (number !== 1) flush(); // the first two share a batch
    }
    const [first, second] = port.take().map((sent) => (sent.kind === 'batch' ? sent.awaited : 0));
    link.stored(second!);
    assert.deepEqual(stored, [3]);
    link.stored(first!);
    assert.deepEqual(stored, [3, 1, 2]);
    assert.throws(() => link.stored(first!), /is confirmed once/);
  });

  test('tells those who wait for a batch that it was passed on and lost', () => {
    const { link, port, flush } = testLink(1);
    const ends: string[] = [];
    for (const name of ['a', 'b']) {
      link.publish(small, RecordFlag.deliver, '');
      link.whenStored(
        () => ends.push(`${name} stored`),
        () => ends.push(`${name} lost`),
      );
      flush();
    }
    const [first, second] = port.take().map((sent) => (sent.kind === 'batch' ? sent.awaited : 0));
    link.lost(first!);
    link.stored(second!);
    link.hold();
    assert.deepEqual(ends, ['a lost', 'b stored']);
  });

  test('to a dead worker holds what is for its successor, and forgets what was sent', () => {
    let relieved = 0;
    const { link, port, flush } = testLink(1, () => {
      relieved += 1;
    });
    const outcomes: string[] = [];
    const send = (name: string) => {
      link.publish(small, RecordFlag.deliver, '');
      link.whenStored(
        () => outcomes.push(`${name} stored`),
        () => outcomes.push(`${name} failed`),
      );
    };
    send('sent');
    flush();
    send('collected');
    link.hold();
    assert.deepEqual([outcomes, link.congested], [['sent failed'], true]);
    flush();
    send('held');
    flush();
    link.control({ kind: 'confirmed', sequence: 1 });
    assert.equal(port.take().length, 1, 'nothing but what had been sent');

    const successor = new TestPort();
    link.attach(successor as unknown as MessagePort);
    link.control({ kind: 'caught-up' });
    assert.equal(relieved, 0);
    link.open();
    assert.deepEqual([link.congested, relieved], [false, 1]);
    send('later');
    flush();
    const arrived = successor.take();
    assert.deepEqual(
      arrived.map(({ kind }) => kind),
      ['caught-up', 'batch', 'batch', 'batch'],
    );
    for (const message of arrived) if (message.kind === 'batch') link.stored(message.awaited);
    assert.deepEqual(outcomes.slice(1), ['collected stored', 'held stored', 'later stored']);
  });

  test('whose successor dies, too, holds what comes after that', () => {
    const { link, flush } = testLink(1);
    const outcomes: string[] = [];
    link.hold();
    link.publish(small, RecordFlag.deliver, '');
    link.whenStored(
      () => outcomes.push('stored'),
      () => outcomes.push('failed'),
    );
    flush();
    link.attach(new TestPort() as unknown as MessagePort);
    link.open();
    link.hold();
    assert.deepEqual([outcomes, link.congested], [['failed'], true]);
  });

  test('two ends never come to a standstill', () => {
    const sender = testLink(1);
    const receiver = testLink(0);
    let delivered = 0;
    for (let round = 0; round < 20; round += 1) {
      congest(sender);
      while (sender.link.congested) {
        const batches = sender.port.take();
        assert.ok(batches.length > 0, 'all is worked off, and still the sender waits');
        for (const message of batches) {
          if (message.kind !== 'batch') continue;
          delivered += message.records.length;
          receiver.link.workedOff(message.records.length);
        }
        for (const message of receiver.port.take()) {
          if (message.kind === 'credit') sender.link.credit(message.bytes);
        }
      }
    }
    assert.ok(delivered > 10 * WINDOW_BYTES);
  });
});
