import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Qos } from '../../../src/mqtt/packets.js';
import { Publication } from '../../../src/mqtt/publication.js';
import type { SessionLimits } from '../../../src/session/outbound.js';
import type { Session } from '../../../src/session/session.js';
import { subscriptionTo, type TestSession, testSession } from '../../support/brokers/sessions.js';
import { TestPeer } from '../../support/brokers/test-peer.js';
import { assertGrowsLinearly } from '../../support/growth.js';

const now = Date.UTC(2024, 0);

function message(payload: string, expiresAt = 0): Publication {
  return Publication.create({ topic: 't', payload: Buffer.from(payload), qos: 2, retain: false, expiresAt });
}

function deliver(session: Session, qos: Qos, ...payloads: string[]): void {
  for (const payload of payloads) session.deliver(message(payload), qos, false, null, null);
}

/** A session that outlives its connections, and its first connection. */
function connected(limits: Partial<SessionLimits> = {}, sendMaximum = 20): TestSession & { peer: TestPeer } {
  const made = testSession(limits);
  made.session.expiryInterval = 3600;
  const peer = new TestPeer(sendMaximum);
  made.session.attach(peer, now);
  return { ...made, peer };
}

function reconnect(session: Session, sendMaximum = 20): TestPeer {
  const peer = new TestPeer(sendMaximum);
  session.detach(now);
  session.attach(peer, now);
  return peer;
}

describe('a client with very many messages in flight that comes back and takes one at a time', () => {
  test('costs in proportion to their number', () => {
    assertGrowsLinearly(2000, (count) => {
      const { session } = connected({ maxQueuedMessages: 0 }, 0xffff);
      for (let i = 0; i < count; i += 1) deliver(session, 1, 'x');
      return () => {
        const peer = reconnect(session, 1);
        for (let id = 1; id <= count; id += 1) {
          assert.deepEqual(peer.takeShort(), [`x#${id}!`]);
          assert.ok(session.outbound.puback(id));
          session.outbound.pump(now);
        }
        assert.equal(session.outbound.inflightCount, 0);
      };
    });
  });

  test('may acknowledge what has not been sent again', () => {
    const { session } = connected({}, 10);
    deliver(session, 1, 'a', 'b', 'c', 'd');
    const peer = reconnect(session, 1);
    assert.deepEqual(peer.takeShort(), ['a#1!']);
    assert.ok(session.outbound.puback(2));
    assert.ok(session.outbound.puback(1));
    session.outbound.pump(now);
    assert.deepEqual(peer.takeShort(), ['c#3!']);
  });

  test('is sent no more than it takes from its socket', () => {
    const { session } = connected({}, 10);
    deliver(session, 1, 'a', 'b');
    const peer = new TestPeer();
    peer.isBlocked = true;
    session.detach(now);
    session.attach(peer, now);
    assert.deepEqual(peer.takeShort(), []);
    peer.isBlocked = false;
    session.outbound.pump(now);
    assert.deepEqual(peer.takeShort(), ['a#1!', 'b#2!']);
  });
});

describe('delivery', () => {
  test('sends at once while the window is open, with packet ids from 1', () => {
    const { session, peer } = connected();
    deliver(session, 1, 'a');
    deliver(session, 2, 'b');
    deliver(session, 0, 'c');
    assert.deepEqual(peer.take(), [
      { payload: 'a', qos: 1, retain: false, dup: false, packetId: 1, identifiers: null },
      { payload: 'b', qos: 2, retain: false, dup: false, packetId: 2, identifiers: null },
      { payload: 'c', qos: 0, retain: false, dup: false, packetId: 0, identifiers: null },
    ]);
    assert.equal(session.outbound.inflightCount, 2);
  });

  test('passes on retain flag and subscription identifiers, also of what had to wait', () => {
    const { session, peer } = connected({}, 1);
    for (const payload of ['a', 'b']) session.deliver(message(payload), 1, true, [7, 8], null);
    session.outbound.puback(1);
    session.outbound.pump(now);
    for (const sent of peer.take()) {
      assert.ok('retain' in sent && sent.retain);
      assert.deepEqual(sent.identifiers, [7, 8]);
    }
  });

  test('queues beyond the window, sends on with every acknowledgement, in order', () => {
    const { session, peer } = connected({}, 2);
    deliver(session, 1, 'a', 'b', 'c', 'd');
    assert.deepEqual(peer.takeShort(), ['a#1', 'b#2']);
    assert.equal(session.outbound.queuedCount, 2);
    assert.ok(session.outbound.puback(2));
    session.outbound.pump(now);
    assert.deepEqual(peer.takeShort(), ['c#3']);
    assert.ok(session.outbound.puback(1));
    session.outbound.pump(now);
    assert.deepEqual(peer.takeShort(), ['d#4']);
  });

  test('QoS 0 does not wait behind the queue [mosq: delivery]', () => {
    const { session, peer } = connected({}, 1);
    deliver(session, 1, 'a', 'b');
    deliver(session, 0, 'c');
    assert.deepEqual(peer.takeShort(), ['a#1', 'c']);
  });

  test('what comes while others wait waits behind them, though the window has opened', () => {
    const { session, peer } = connected({}, 1);
    deliver(session, 1, 'a', 'b');
    session.outbound.puback(1);
    deliver(session, 1, 'c');
    session.outbound.pump(now);
    assert.deepEqual(peer.takeShort(), ['a#1', 'b#2']);
    session.outbound.puback(2);
    session.outbound.pump(now);
    assert.deepEqual(peer.takeShort(), ['c#3']);
  });

  test('max_inflight_bytes bounds the window, but one message may always go', () => {
    const { session, peer } = connected({ maxInflightBytes: 10 });
    deliver(session, 1, 'x'.repeat(50));
    deliver(session, 1, 'y');
    assert.deepEqual(peer.takeShort(), [`${'x'.repeat(50)}#1`]);
    session.outbound.puback(1);
    session.outbound.pump(now);
    assert.deepEqual(peer.takeShort(), ['y#2']);
    deliver(session, 1, 'z'.repeat(9));
    deliver(session, 1, 'w');
    assert.deepEqual(peer.takeShort(), ['zzzzzzzzz#3']);
  });

  test('[MQTT-3.1.2-24] a message larger than the client takes is dropped and counted, whatever its QoS', () => {
    for (const qos of [0, 1, 2] as const) {
      const { session, peer, drops } = connected();
      peer.payloadMax = 3;
      deliver(session, qos, 'large', 'ok');
      assert.deepEqual(peer.takeShort(), [qos === 0 ? 'ok' : 'ok#2']);
      assert.deepEqual(drops, ['too large']);
      assert.equal(session.outbound.inflightCount, qos === 0 ? 0 : 1);
    }
  });

  test('one of the queue that is too large is dropped and counted too, whatever its QoS', () => {
    for (const qos of [0, 1] as const) {
      const { session, drops } = connected({ queueQos0Messages: true });
      session.detach(now);
      deliver(session, qos, 'large', 'ok');
      const peer = new TestPeer();
      peer.payloadMax = 3;
      session.attach(peer, now);
      assert.deepEqual(peer.takeShort(), [qos === 0 ? 'ok' : 'ok#2']);
      assert.deepEqual(drops, ['too large']);
    }
  });
});

describe('acknowledgements', () => {
  test('QoS 1 ends with PUBACK', () => {
    const { session, peer } = connected();
    deliver(session, 1, 'a');
    assert.ok(session.outbound.puback(1));
    assert.equal(session.outbound.inflightCount, 0);
    assert.equal(session.outbound.pendingBytes, 0);
    assert.deepEqual(reconnectShort(session), []);
    assert.deepEqual(peer.takeShort(), ['a#1']);
  });

  test('QoS 2 goes PUBREC, PUBREL, PUBCOMP', () => {
    const { session, peer } = connected();
    deliver(session, 2, 'a');
    assert.ok(session.outbound.pubrec(1, 0));
    assert.equal(peer.takeShort()[0], 'a#1');
    assert.equal(session.outbound.inflightCount, 1);
    assert.ok(session.outbound.pubcomp(1));
    assert.equal(session.outbound.inflightCount, 0);
  });

  test('[MQTT-4.3.3-4] PUBREC with an error ends the message', () => {
    const { session, peer } = connected();
    deliver(session, 2, 'a');
    assert.ok(session.outbound.pubrec(1, 0x97));
    assert.deepEqual(peer.takeShort(), ['a#1']);
    assert.equal(session.outbound.inflightCount, 0);
  });

  test('that do not belong to the state of the message change nothing', () => {
    const { session } = connected();
    deliver(session, 1, 'a');
    deliver(session, 2, 'b');
    assert.deepEqual(
      [
        session.outbound.puback(9),
        session.outbound.puback(2),
        session.outbound.pubrec(1, 0),
        session.outbound.pubcomp(1),
        session.outbound.pubcomp(2),
      ],
      [false, false, false, false, false],
    );
    assert.ok(session.outbound.pubrec(2, 0));
    assert.ok(!session.outbound.puback(2));
    assert.equal(session.outbound.inflightCount, 2);
  });
});

function reconnectShort(session: Session): string[] {
  return reconnect(session).takeShort();
}

describe('a client that comes back', () => {
  test('[MQTT-4.4.0-1] gets what was in flight in its order, then what waited', () => {
    const { session, peer } = connected({}, 4);
    deliver(session, 1, 'a');
    deliver(session, 2, 'b', 'c');
    deliver(session, 1, 'd', 'e');
    session.outbound.pubrec(2, 0);
    session.detach(now);
    deliver(session, 1, 'f');
    peer.take();
    const again = new TestPeer(6);
    session.attach(again, now);
    assert.deepEqual(again.takeShort(), ['a#1!', 'PUBREL#2', 'c#3!', 'd#4!', 'e#5', 'f#6']);
  });

  test('gets it again and again until it acknowledges', () => {
    const { session } = connected();
    deliver(session, 2, 'a');
    for (let i = 0; i < 3; i += 1) assert.deepEqual(reconnectShort(session), ['a#1!']);
    assert.ok(session.outbound.pubrec(1, 0));
    for (let i = 0; i < 3; i += 1) assert.deepEqual(reconnectShort(session), ['PUBREL#1']);
    assert.ok(session.outbound.pubcomp(1));
    assert.deepEqual(reconnectShort(session), []);
  });

  test('[MQTT-3.3.4-9] is sent no more at once than its new receive maximum allows', () => {
    const { session } = connected({}, 5);
    deliver(session, 1, 'a', 'b', 'c', 'd');
    deliver(session, 2, 'e');
    const peer = reconnect(session, 2);
    assert.deepEqual(peer.takeShort(), ['a#1!', 'b#2!']);
    deliver(session, 1, 'f');
    const order = [1, 2, 3, 4].map((packetId) => {
      assert.ok(session.outbound.puback(packetId));
      session.outbound.pump(now);
      return peer.takeShort();
    });
    assert.deepEqual(order, [['c#3!'], ['d#4!'], ['e#5!'], ['f#6']]);
  });

  test('may acknowledge what it was sent on an earlier connection, before it is sent again', () => {
    for (const [acknowledged, left] of [
      [2, 'c#3!'],
      [3, 'b#2!'],
    ] as const) {
      const { session } = connected({}, 5);
      deliver(session, 1, 'a', 'b', 'c');
      const peer = reconnect(session, 1);
      assert.ok(session.outbound.puback(acknowledged));
      session.outbound.pump(now);
      assert.deepEqual(peer.takeShort(), ['a#1!']);
      assert.ok(session.outbound.puback(1));
      session.outbound.pump(now);
      assert.deepEqual(peer.takeShort(), [left]);
      assert.equal(session.outbound.inflightCount, 1);
    }
  });

  test('is not held up by a message that it does not take any more', () => {
    const { session, drops } = connected();
    deliver(session, 1, 'large', 'ok');
    session.detach(now);
    const peer = new TestPeer(1);
    peer.payloadMax = 3;
    session.attach(peer, now);
    assert.deepEqual(peer.takeShort(), ['ok#2!']);
    assert.deepEqual(drops, ['too large']);
    assert.equal(session.outbound.inflightCount, 1);
  });

  test('gets its packet ids from where they were', () => {
    const { session } = connected();
    deliver(session, 1, 'a');
    session.outbound.puback(1);
    const peer = reconnect(session);
    deliver(session, 1, 'b');
    assert.deepEqual(peer.takeShort(), ['b#2']);
  });
});

describe('packet ids', () => {
  test('wrap around at 65535 and skip 0 and what is in flight [MQTT-2.2.1-3]', () => {
    const { session, peer } = connected({}, 10);
    deliver(session, 1, 'stays');
    const ids: number[] = [];
    for (let i = 0; i < 65_540; i += 1) {
      deliver(session, 1, 'x');
      const [, id] = peer.takeShort().at(-1)!.split('#');
      ids.push(Number(id));
      assert.ok(session.outbound.puback(Number(id)));
    }
    assert.deepEqual(ids.slice(0, 3), [2, 3, 4]);
    assert.deepEqual(ids.slice(65_532, 65_537), [65_534, 65_535, 2, 3, 4]);
  });

  test('run out at 65535 messages in flight; the next waits', () => {
    const { session, peer } = connected({ maxQueuedMessages: 0 }, 0xffff);
    for (let i = 0; i < 65_536; i += 1) deliver(session, 1, '');
    assert.deepEqual([session.outbound.inflightCount, session.outbound.queuedCount], [0xffff, 1]);
    peer.take();
    session.outbound.puback(77);
    session.outbound.pump(now);
    assert.deepEqual(peer.takeShort(), ['#77']);
  });
});

describe('limits of the queue [mosq: mosquitto-conf 21]', () => {
  function queued(limits: Partial<SessionLimits>, online: boolean, messages: [Qos, string][]) {
    const { session, drops } = connected(limits, 1);
    if (online) deliver(session, 1, 'in flight');
    else session.detach(now);
    for (const [qos, payload] of messages) deliver(session, qos, payload);
    return { queued: session.outbound.queuedCount, dropped: drops.length };
  }

  const many = (qos: Qos, count: number): [Qos, string][] => Array.from({ length: count }, () => [qos, 'xx']);
  const five = { maxQueuedMessages: 5, maxInflightMessages: 3 };

  // biome-ignore format: one case a line
  const rows: [name: string, Partial<SessionLimits>, online: boolean, [Qos, string][], { queued: number; dropped: number }][] = [
    ['offline: max_queued_messages', five, false, many(1, 7), { queued: 5, dropped: 2 }],
    ['online: and max_inflight_messages more', five, true, many(2, 10), { queued: 8, dropped: 2 }],
    ['0: no limit', { ...five, maxQueuedMessages: 0 }, false, many(1, 2000), { queued: 2000, dropped: 0 }],
    ['bytes of payload', { maxQueuedBytes: 7 }, false, many(1, 5), { queued: 3, dropped: 2 }],
    ['bytes and messages, whichever is reached first', { maxQueuedBytes: 7, maxQueuedMessages: 2 }, false, many(1, 5), { queued: 2, dropped: 3 }],
    ['a message smaller than what is left of the bytes still goes in', { maxQueuedBytes: 5 }, false, [[1, 'xxx'], [1, 'xxx'], [1, 'xx']], { queued: 2, dropped: 1 }],
    ['offline: QoS 0 is not queued', five, false, many(0, 3), { queued: 0, dropped: 0 }],
    ['queue_qos0_messages: QoS 0 is not counted', { ...five, queueQos0Messages: true }, false, many(0, 9), { queued: 9, dropped: 0 }],
    ['queue_qos0_messages: accepted while QoS 1 and 2 are below the limit', { ...five, queueQos0Messages: true }, false, [...many(1, 4), ...many(0, 9), ...many(1, 1), ...many(0, 3)], { queued: 14, dropped: 3 }],
    ['queue_qos0_messages does not queue for a client that is online', { ...five, queueQos0Messages: true }, true, many(0, 9), { queued: 0, dropped: 0 }],
  ];
  for (const [name, limits, online, messages, expected] of rows) {
    test(name, () => assert.deepEqual(queued(limits, online, messages), expected));
  }

  test('the new message is dropped, older ones stay', () => {
    const { session } = connected({ maxQueuedMessages: 2 });
    session.detach(now);
    deliver(session, 1, 'a', 'b', 'c');
    assert.deepEqual(reconnectShort(session), ['a#1', 'b#2']);
  });

  test('what was in flight stays in addition', () => {
    const { session, drops } = connected({ maxQueuedMessages: 1 }, 2);
    deliver(session, 1, 'a', 'b');
    session.detach(now);
    deliver(session, 1, 'c', 'd');
    assert.deepEqual(drops, ['queue full']);
    assert.deepEqual(reconnectShort(session), ['a#1!', 'b#2!', 'c#3']);
  });

  test('room in the queue comes back as it empties', () => {
    const { session, peer, drops } = connected(
      { maxQueuedBytes: 2, maxQueuedMessages: 1, maxInflightMessages: 0 },
      1,
    );
    deliver(session, 1, 'a', 'bb', 'no');
    session.outbound.puback(1);
    session.outbound.pump(now);
    deliver(session, 1, 'cc');
    assert.deepEqual(drops, ['queue full']);
    session.outbound.puback(2);
    session.outbound.pump(now);
    assert.deepEqual(peer.takeShort(), ['a#1', 'bb#2', 'cc#3']);
  });

  test('messages queued offline are within the limit of the client that comes online', () => {
    const { session } = connected({ ...five, queueQos0Messages: true });
    session.detach(now);
    deliver(session, 0, 'a');
    deliver(session, 1, 'b');
    deliver(session, 0, 'c');
    assert.deepEqual(reconnectShort(session), ['a', 'b#1', 'c']);
    assert.deepEqual([session.outbound.queuedCount, session.outbound.pendingBytes], [0, 1]);
  });
});

describe('messages that expire', () => {
  test('are dropped from the queue when it is sent, and counted', () => {
    const { session, drops } = connected();
    session.detach(now);
    session.deliver(message('old', now + 1000), 1, false, null, null);
    session.deliver(message('young', now + 1001), 1, false, null, null);
    const peer = new TestPeer();
    session.attach(peer, now + 1000);
    assert.deepEqual(peer.takeShort(), ['young#2'], 'they use up their packet ids, as in Mosquitto');
    assert.deepEqual(drops, ['expired']);
    assert.equal(session.outbound.queuedCount, 0);
  });

  test('do not hold up what waits behind them', () => {
    const { session, peer } = connected({}, 1);
    deliver(session, 1, 'a');
    session.deliver(message('old', now + 1), 1, false, null, null);
    deliver(session, 1, 'b');
    session.outbound.puback(1);
    session.outbound.pump(now + 5);
    assert.deepEqual(peer.takeShort(), ['a#1', 'b#3']);
  });

  test('use up their packet ids as forbidden ones do, those of QoS 0 none', () => {
    const { session } = connected({ queueQos0Messages: true });
    session.detach(now);
    deliver(session, 1, 'a');
    session.deliver(message('old', now + 1), 0, false, null, null);
    session.rights = { canRead: (topic) => topic !== 'forbidden' };
    const fields = { topic: 'forbidden', payload: Buffer.from('x'), qos: 2, retain: false } as const;
    session.outbound.deliver(Publication.create(fields), 2, false, null, null);
    deliver(session, 1, 'b');
    const peer = new TestPeer();
    session.attach(peer, now + 5);
    assert.deepEqual(peer.takeShort(), ['a#1', 'b#3']);
  });

  test('are sent again once they were on their way [MQTT-4.4.0-1]', () => {
    const { session } = connected();
    session.deliver(message('a', now + 1), 1, false, null, null);
    session.detach(now);
    const peer = new TestPeer();
    session.attach(peer, now + 5000);
    assert.deepEqual(peer.takeShort(), ['a#1!']);
  });
});

describe('a session that ends', () => {
  test('[MQTT-4.8.2-5] gives back what came through shared subscriptions and was not acknowledged', () => {
    const { session } = connected({}, 2);
    session.expiryInterval = 0;
    const shared = subscriptionTo('$share/g/t', 1, session);
    const own = subscriptionTo('t', 1, session);
    for (const [payload, subscription] of [
      ['acknowledged', shared],
      ['in flight', shared],
      ['own', null],
      ['queued', shared],
    ] as const) {
      session.deliver(message(payload), 1, false, own.identifiers, subscription);
      if (payload === 'acknowledged') session.outbound.puback(1);
    }
    const back = session.outbound.takeBackShared();
    const payloads = back.map(({ publication }) => Buffer.from(publication.payload()).toString());
    assert.deepEqual(payloads, ['in flight', 'queued']);
    assert.ok(back.every(({ subscription }) => subscription === shared));
  });

  test('keeps nothing of what it sent, if it never resends it', () => {
    const { session } = connected();
    session.expiryInterval = 0;
    const publication = message('a');
    let copies = 0;
    publication.toOwned = () => {
      copies += 1;
      return publication;
    };
    session.deliver(publication, 1, false, null, null);
    assert.equal(copies, 0);
  });
});

describe('QoS 2 messages of the client', () => {
  test('wait from PUBLISH to PUBREL, and are released once', () => {
    const { session } = connected();
    session.inbound.receive(5, message('a'));
    session.inbound.receive(6, message('b'));
    assert.equal(session.inbound.receivedCount, 2);
    assert.equal(Buffer.from(session.inbound.find(5)!.payload()).toString(), 'a');
    assert.equal(Buffer.from(session.inbound.release(5)!.payload()).toString(), 'a');
    assert.equal(session.inbound.release(5), undefined);
    assert.equal(session.inbound.find(5), undefined);
    assert.equal(session.inbound.receivedCount, 1);
  });

  test('outlive the connection, but count for the receive maximum of theirs only [MQTT-3.3.4-7]', () => {
    const { session } = connected();
    for (const packetId of [100, 101]) session.inbound.receive(packetId, message('lost'));
    reconnect(session);
    assert.equal(session.inbound.receivedCount, 0);
    session.inbound.receive(1, message('new'));
    assert.equal(session.inbound.receivedCount, 1);
    assert.equal(Buffer.from(session.inbound.release(100)!.payload()).toString(), 'lost');
    assert.equal(Buffer.from(session.inbound.release(1)!.payload()).toString(), 'new');
    assert.equal(session.inbound.receivedCount, 0);
  });
});
