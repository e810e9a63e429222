/** A session with a storage: what is in memory, and what is sent only when it is stored. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Qos } from '../../../src/mqtt/packets.js';
import { Publication } from '../../../src/mqtt/publication.js';
import type { Session } from '../../../src/session/session.js';
import { testSession } from '../../support/brokers/sessions.js';
import { TestPeer } from '../../support/brokers/test-peer.js';
import { MemoryStorage } from '../../support/store/memory-storage.js';

function deliver(session: Session, qos: Qos, ...payloads: string[]): void {
  for (const payload of payloads) {
    const fields = { topic: 't', payload: Buffer.from(payload), qos, retain: false };
    session.deliver(Publication.create(fields), qos, false, null, null);
  }
}

/** A session with a storage and a client; `settle` tells that everything up to now is stored. */
function storedSession(sendMaximum: number) {
  const waiting: (() => void)[] = [];
  const { session, drops } = testSession({ maxQueuedMessages: 0 }, 4, (callback) => waiting.push(callback));
  const storage = new MemoryStorage();
  session.storeIn(storage);
  session.expiryInterval = 60;
  const peer = new TestPeer(sendMaximum);
  session.attach(peer, 0);
  const settle = (count = waiting.length): void => {
    for (const callback of waiting.splice(0, count)) callback();
  };
  return { session, drops, storage, peer, settle, waiting };
}

describe('QoS 2', () => {
  test('leaves when it is stored, in order, and counts as in flight until then', () => {
    const { session, peer, settle } = storedSession(2);
    deliver(session, 2, 'a', 'b', 'c');
    assert.deepEqual(peer.takeShort(), []);
    assert.deepEqual([session.outbound.inflightCount, session.outbound.queuedCount], [2, 1]);
    settle(1);
    assert.deepEqual(peer.takeShort(), ['a#1']);
    settle();
    assert.deepEqual(peer.takeShort(), ['b#2']);
  });

  test('that is stored out of order still leaves in order', () => {
    const { session, peer, waiting } = storedSession(3);
    deliver(session, 2, 'a', 'b');
    waiting[1]!();
    assert.deepEqual(peer.takeShort(), []);
    waiting[0]!();
    assert.deepEqual(peer.takeShort(), ['a#1', 'b#2']);
  });

  test('that the client does not take makes room for what waits', () => {
    const { session, drops, peer, settle } = storedSession(1);
    peer.payloadMax = 3;
    deliver(session, 2, 'large');
    deliver(session, 1, 'ok');
    settle();
    assert.deepEqual(peer.takeShort(), ['ok#2']);
    assert.deepEqual(drops, ['too large']);
  });

  test('that was not sent before the client went comes when it is back', () => {
    const { session, settle } = storedSession(5);
    deliver(session, 2, 'a');
    session.detach(0);
    const early = new TestPeer();
    session.attach(early, 0);
    settle();
    assert.deepEqual(early.takeShort(), ['a#1']);
    session.detach(0);
    const late = new TestPeer();
    session.attach(late, 0);
    assert.deepEqual(late.takeShort(), ['a#1!']);
  });
});

test('QoS 2 reaches a client that comes back to its session and lets it end with the connection', () => {
  const { session, settle } = storedSession(5);
  session.detach(0);
  deliver(session, 2, 'queued');
  session.expiryInterval = 0;
  const peer = new TestPeer();
  session.attach(peer, 0);
  deliver(session, 2, 'live');
  settle();
  assert.deepEqual(peer.takeShort(), ['queued#1', 'live#2']);
});

describe('QoS 1 behind QoS 2 that is not stored yet', () => {
  test('leaves behind it', () => {
    const { session, peer, settle } = storedSession(5);
    deliver(session, 2, 'a');
    deliver(session, 1, 'b');
    assert.deepEqual(peer.takeShort(), []);
    settle();
    deliver(session, 1, 'c');
    assert.deepEqual(peer.takeShort(), ['a#1', 'b#2', 'c#3']);
  });

  test('leaves behind it out of a queue, too', () => {
    const { session, settle } = storedSession(5);
    session.detach(0);
    deliver(session, 2, 'a');
    deliver(session, 1, 'b');
    const peer = new TestPeer();
    session.attach(peer, 0);
    settle();
    assert.deepEqual(peer.takeShort(), ['a#1', 'b#2']);
  });
});

describe('a long queue', () => {
  for (const [sendMaximum, inFlight] of [
    [500, 500],
    [5000, 1024],
    [0xffff, 256], // as many as it likes
  ] as const) {
    test(`puts ${inFlight} in flight at once for a client that takes ${sendMaximum}`, () => {
      const { session } = testSession({ maxQueuedMessages: 0, maxInflightMessages: 0 });
      session.storeIn(new MemoryStorage());
      session.expiryInterval = 60;
      deliver(session, 1, ...Array.from({ length: 1500 }, (_, i) => `m${i}`));
      const peer = new TestPeer(sendMaximum);
      session.attach(peer, 0);
      assert.equal(session.outbound.inflightCount, inFlight);
      assert.equal(peer.takeShort().length, inFlight);
      session.outbound.puback(1);
      session.outbound.pump(0);
      assert.deepEqual(peer.takeShort(), [`m${inFlight}#${inFlight + 1}`]);
    });
  }

  test('is read as the client goes on, in order and whole', () => {
    const { session, peer, storage } = storedSession(1);
    const payloads = Array.from({ length: 1000 }, (_, i) => `m${i}`);
    deliver(session, 1, ...payloads);
    assert.equal(session.outbound.queuedCount, 999);
    for (const [i, payload] of payloads.entries()) {
      assert.deepEqual(peer.takeShort(), [`${payload}#${i + 1}`]);
      session.outbound.puback(i + 1);
      session.outbound.pump(0);
    }
    assert.deepEqual(
      [session.outbound.queuedCount, session.outbound.pendingBytes, storage.outgoing.entries.length],
      [0, 0, 0],
    );
  });

  test('of which something cannot be read goes on with what can, and its room comes back', () => {
    const { session, drops } = testSession({ maxQueuedMessages: 300, maxInflightMessages: 0 });
    const storage = new MemoryStorage();
    session.storeIn(storage);
    session.expiryInterval = 60;
    deliver(session, 1, ...Array.from({ length: 300 }, (_, i) => `m${i}`));
    storage.outgoing.entries.splice(150, 100); // damaged
    const peer = new TestPeer(0xffff);
    session.attach(peer, 0);
    assert.equal(peer.takeShort().length, 200);
    assert.deepEqual([session.outbound.queuedCount, session.outbound.inflightCount], [0, 200]);
    session.detach(0);
    deliver(session, 1, ...Array.from({ length: 300 }, (_, i) => `n${i}`));
    assert.deepEqual(drops, []);
  });
});

test('QoS 2 of the client that waits for PUBREL is taken up again', () => {
  const { session, storage } = storedSession(1);
  const publication = Publication.create({ topic: 't', payload: Buffer.from('x'), qos: 2, retain: false });
  session.inbound.receive(7, publication);
  session.inbound.receive(8, publication);
  session.inbound.release(8);
  const again = testSession().session;
  again.restore(storage, storage.contents(false), 0, false);
  assert.equal(again.inbound.find(8), undefined);
  assert.equal(Buffer.from(again.inbound.release(7)!.payload()).toString(), 'x');
  assert.equal(storage.incoming.entries.length, 0);
});
