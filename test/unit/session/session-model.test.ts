/** A session against a model of what its client may expect, over random lives of the client and of the broker. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Qos } from '../../../src/mqtt/packets.js';
import { Publication } from '../../../src/mqtt/publication.js';
import { testSession } from '../../support/brokers/sessions.js';
import { TestPeer } from '../../support/brokers/test-peer.js';
import { MemoryStorage } from '../../support/store/memory-storage.js';

const MAX_QUEUED = 4;
const MAX_INFLIGHT = 3;

type Step =
  | { kind: 'deliver'; qos: Qos }
  | { kind: 'connect'; sendMaximum: number }
  | { kind: 'disconnect' }
  | { kind: 'crash' }
  | { kind: 'acknowledge'; which: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant('deliver' as const), qos: fc.constantFrom<Qos>(0, 1, 2) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('connect' as const),
      sendMaximum: fc.integer({ min: 1, max: 5 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('disconnect' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('crash' as const) }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('acknowledge' as const), which: fc.nat() }) },
);

/** What the client has of one message that it has not finished. */
interface Open {
  payload: string;
  qos: Qos;
  packetId: number;
  released: boolean;
  /** Sent on this connection. */
  here: boolean;
}

test('every message arrives in order, once where it is not resent, or is dropped for a reason', () => {
  fc.assert(
    fc.property(fc.boolean(), fc.array(step, { maxLength: 120, size: 'max' }), (isStored, steps) => {
      const limits = { maxQueuedMessages: MAX_QUEUED, maxInflightMessages: MAX_INFLIGHT };
      const storage = isStored ? new MemoryStorage() : null;
      let { session, drops } = testSession(limits);
      session.expiryInterval = 60;
      if (storage !== null) session.storeIn(storage);
      let peer: TestPeer | null = null;
      /** Unacknowledged, in the order of their first sending. */
      let open: Open[] = [];
      let waiting: { payload: string; qos: Qos; isOld: boolean }[] = [];
      let dropped = 0;

      /** Takes what the session sent and checks it against what has to come, and nothing else. */
      const receive = (qos0: string[]): void => {
        if (peer === null) return;
        const sent = peer.take();
        for (const packet of sent) {
          if ('pubrel' in packet) {
            const released = open.find(({ packetId }) => packetId === packet.pubrel);
            assert.ok(released?.released, 'PUBREL of something that was not received');
            released.here = true;
          } else if (packet.qos === 0) {
            assert.equal(packet.payload, qos0.shift());
          } else if (packet.dup && packet.payload === waiting[0]?.payload) {
            assert.ok(waiting.shift()?.isOld && packet.qos === 1);
            open.push({
              payload: packet.payload,
              qos: 1,
              packetId: packet.packetId,
              released: false,
              here: true,
            });
          } else if (packet.dup) {
            const again = open.find(({ packetId }) => packetId === packet.packetId);
            assert.ok(again !== undefined && !again.released && !again.here);
            assert.equal(again.payload, packet.payload);
            // After a kill QoS 1 and 2 may each be in their order, but not among each other [MQTT-4.6.0-6].
            const earlier = open.slice(0, open.indexOf(again)).filter(({ qos }) => qos === again.qos);
            assert.ok(
              earlier.every(({ here }) => here),
              'sent again before what was sent before it',
            );
            again.here = true;
          } else {
            const { payload, qos, packetId } = packet;
            assert.deepEqual({ payload, qos }, { payload: waiting[0]?.payload, qos: waiting[0]?.qos });
            assert.ok(!(waiting.shift()!.isOld && qos === 1), 'it may have been sent before');
            assert.ok(
              open.every(({ here }) => here),
              'new before old',
            );
            open.push({ payload, qos, packetId, released: false, here: true });
          }
        }
        assert.deepEqual(qos0, [], 'QoS 0 goes out at once');
        const unfinished = open.filter(({ here, released }) => here && !released).length;
        assert.ok(unfinished <= peer.sendMaximum, 'more in flight than the client takes');
        const here = open.filter((one) => one.here).length;
        const mayGo = here < peer.sendMaximum;
        assert.ok(
          !mayGo || (waiting.length === 0 && here === open.length),
          'something waits in an open window',
        );
      };

      /** The broker was killed: whatever may have been sent with QoS 1 waits in its order to be sent once more. */
      const sendAgain = (): void => {
        const again = open.filter(({ qos }) => qos === 1);
        open = open.filter(({ qos }) => qos === 2);
        waiting = [...again, ...waiting]
          .sort((a, b) => Number(a.payload) - Number(b.payload))
          .map(({ payload, qos }) => ({ payload, qos, isOld: true }));
      };

      let number = 0;
      let isSending = false;
      for (const next of steps) {
        switch (next.kind) {
          case 'deliver': {
            const payload = String(number++);
            const fields = { topic: 't', payload: Buffer.from(payload), qos: next.qos, retain: false };
            const online = peer !== null;
            if (next.qos > 0) {
              const here = open.filter((one) => one.here).length;
              const goes =
                peer !== null && waiting.length === 0 && here === open.length && here < peer.sendMaximum;
              const room = waiting.length < MAX_QUEUED + (online ? MAX_INFLIGHT : 0);
              if (goes || room) waiting.push({ payload, qos: next.qos, isOld: false });
              else dropped += 1;
            }
            session.deliver(Publication.create(fields), next.qos, false, null, null);
            receive(online && next.qos === 0 ? [payload] : []);
            break;
          }
          case 'connect':
          case 'disconnect':
            if (peer !== null) session.detach(0);
            if (peer !== null) isSending = waiting[0]?.isOld ?? false;
            if (next.kind === 'connect') isSending = true;
            peer = null;
            for (const one of open) one.here = false;
            if (next.kind === 'disconnect') break;
            peer = new TestPeer(next.sendMaximum);
            session.attach(peer, 0);
            receive([]);
            break;
          case 'crash':
            // The process ends; another one takes up what was stored.
            if (storage === null) break;
            ({ session, drops } = testSession(limits));
            session.expiryInterval = 60;
            session.restore(storage, storage.contents(isSending), 0, isSending);
            if (isSending) sendAgain();
            peer = null;
            dropped = 0;
            for (const one of open) one.here = false;
            break;
          case 'acknowledge': {
            if (peer === null) break;
            // A client may still acknowledge what an earlier connection brought.
            const candidates = open.filter(({ here, qos }) => here || qos === 1);
            const one = candidates[next.which % candidates.length];
            if (one === undefined) break;
            if (one.qos === 2 && !one.released) {
              one.released = true;
              assert.ok(session.outbound.pubrec(one.packetId, 0));
            } else {
              open = open.filter((other) => other !== one);
              assert.ok(
                one.qos === 1
                  ? session.outbound.puback(one.packetId)
                  : session.outbound.pubcomp(one.packetId),
              );
              session.outbound.pump(0);
            }
            receive([]);
          }
        }
        assert.equal(session.outbound.inflightCount, open.length);
        assert.equal(session.outbound.queuedCount, waiting.length);
        assert.equal(drops.length, dropped);
        if (storage !== null) assert.equal(storage.outgoing.entries.length, open.length + waiting.length);
      }
    }),
    { numRuns: 2000 },
  );
});
