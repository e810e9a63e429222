/** Receive maximum in both directions: how much is on its way unacknowledged. */
import assert from 'node:assert/strict';
import { ReasonCode } from '../../src/mqtt/reason-codes.js';
import { packetBytes } from '../support/packets/packet-bytes.js';
import { runStatements, statement } from './statement.js';

function hex16(value: number): string {
  return value.toString(16).padStart(4, '0');
}

statement(
  { v5: '3.3.4-9 4.9.0-1 4.9.0-2' },
  'the broker has no more unacknowledged than the receive maximum of the client',
  async (scene) => {
    for (const receiveMaximum of [1, 3]) {
      const client = await scene.connect({ properties: { receiveMaximum } });
      await client.subscribe(`${scene.id}/${receiveMaximum}`, 2);
      const publisher = await scene.connect();
      const ids: number[] = [];
      for (let i = 0; i < 8; i += 1)
        await publisher.publish(`${scene.id}/${receiveMaximum}`, `${i}`, { qos: 1 });
      for (let i = 0; i < receiveMaximum; i += 1) {
        ids.push((await client.expectPublish(`${scene.id}/${receiveMaximum}`, `${i}`)).packetId);
      }
      await client.expectSilence();
      // Each acknowledgement lets one more come.
      for (let i = receiveMaximum; i < 8; i += 1) {
        client.sendAck('puback', ids.shift()!);
        ids.push((await client.expectPublish(`${scene.id}/${receiveMaximum}`, `${i}`)).packetId);
        await client.expectSilence();
      }
    }
  },
);

statement(
  { v5: '3.3.4-9 4.9.0-2' },
  'QoS 2 takes its place until PUBCOMP, or a PUBREC of 0x80 or more',
  async (scene) => {
    const client = await scene.connect({ properties: { receiveMaximum: 1 } });
    await client.subscribe(scene.id, 2);
    const publisher = await scene.connect();
    for (const payload of ['a', 'b', 'c']) await publisher.publish(scene.id, payload, { qos: 2 });
    const a = await client.expectPublish(scene.id, 'a');
    client.sendAck('pubrec', a.packetId);
    await client.expectPacket('pubrel', { packetId: a.packetId });
    await client.expectSilence();
    client.sendAck('pubcomp', a.packetId);
    const b = await client.expectPublish(scene.id, 'b');
    client.sendAck('pubrec', b.packetId, ReasonCode.unspecifiedError);
    await client.expectPublish(scene.id, 'c');
  },
);

statement(
  { v5: '3.3.4-10 4.9.0-3' },
  'everything else goes on while nothing more may be sent',
  async (scene) => {
    const client = await scene.connect({ properties: { receiveMaximum: 1 } });
    await client.subscribe(`${scene.id}/1`, 1);
    await client.subscribe(`${scene.id}/0`, 0);
    const publisher = await scene.connect();
    await publisher.publish(`${scene.id}/1`, 'first');
    await publisher.publish(`${scene.id}/1`, 'second');
    await client.expectPublish(`${scene.id}/1`, 'first');
    await client.expectSilence();
    await publisher.publish(`${scene.id}/0`, 'QoS 0');
    await client.expectPublish(`${scene.id}/0`, 'QoS 0', { qos: 0 });
    assert.equal(await client.publish('elsewhere', 'x'), ReasonCode.noMatchingSubscribers);
    assert.equal(await client.publish('elsewhere', 'x', { qos: 2 }), 0);
    await client.subscribe(`${scene.id}/2`, 2);
    await client.unsubscribe(`${scene.id}/2`);
  },
);

statement(
  { v5: '3.3.4-9 4.4.0-1' },
  'the receive maximum of a new connection holds for what is sent again, too',
  async (scene) => {
    const client = await scene.connectLasting(scene.id);
    await client.subscribe(scene.id, 1);
    const publisher = await scene.connect();
    for (const payload of ['a', 'b', 'c']) await publisher.publish(scene.id, payload);
    client.destroy();
    const back = await scene.connectLasting(scene.id, { properties: { receiveMaximum: 1 } });
    for (const payload of ['a', 'b', 'c']) {
      const { packetId } = await back.expectPublish(scene.id, payload);
      await back.expectSilence();
      back.sendAck('puback', packetId);
    }
  },
);

statement(
  { v5: '3.3.4-9' },
  'a client may take more than the broker would by itself',
  async (scene) => {
    const client = await scene.connect({ properties: { receiveMaximum: 10 } });
    await client.subscribe(scene.id, 1);
    const plain = await scene.connect();
    await plain.subscribe(scene.id, 1);
    const publisher = await scene.connect();
    for (let i = 0; i < 10; i += 1) await publisher.publish(scene.id, `${i}`);
    for (let i = 0; i < 10; i += 1) await client.expectPublish(scene.id, `${i}`);
    for (let i = 0; i < 2; i += 1) await plain.expectPublish(scene.id, `${i}`);
    await plain.expectSilence();
  },
  { config: 'max_inflight_messages 2' },
);

statement(
  { v5: '4.9.0-1 4.13.1-1' },
  'more unacknowledged than the broker announced, and no end of it, ends the connection with 0x93',
  async (scene) => {
    const client = await scene.connect();
    assert.equal(client.connack!.properties.receiveMaximum, 2);
    for (const packetId of [1, 2]) {
      client.sendPublish(scene.id, 'x', { qos: 2, packetId });
      await client.expectPacket('pubrec', { packetId });
    }
    // QoS 1 that is acknowledged at once, and what was sent again, do not count.
    assert.equal(await client.publish(scene.id, 'x', { packetId: 3 }), ReasonCode.noMatchingSubscribers);
    client.sendPublish(scene.id, 'x', { qos: 2, packetId: 2, dup: true });
    await client.expectPacket('pubrec', { packetId: 2 });
    client.sendPublish(scene.id, 'x', { qos: 2, packetId: 4 });
    await client.expectPacket('pubrec', { packetId: 4, reasonCode: 0 });
    await scene.expectFault(client, ReasonCode.receiveMaximumExceeded);
  },
  { config: 'max_inflight_messages 2' },
);

statement(
  { v5: '4.9.0-1 4.13.1-1' },
  'a client that goes on sending without releasing is closed when it has sent twice its maximum',
  async (scene) => {
    for (const client of [await scene.connect(), await scene.connectLasting(scene.id)]) {
      for (let packetId = 1; packetId <= 9; packetId += 1) {
        client.sendPublish(scene.id, 'x', { qos: 2, packetId });
        await client.expectPacket('pubrec', { packetId, reasonCode: 0 });
      }
      client.sendPublish(scene.id, 'x', { qos: 2, packetId: 10 });
      await scene.expectFault(client, ReasonCode.receiveMaximumExceeded);
    }
  },
  { config: 'max_inflight_messages 5' },
);

statement(
  { v5: '4.9.0-1' },
  'a burst beyond what the broker announced, which the client goes on to release, is served',
  async (scene) => {
    const watcher = await scene.connect();
    await watcher.subscribe(scene.id, 0);
    const client = await scene.connect();
    const ids = Array.from({ length: 40 }, (_, i) => i + 1);
    const burst = ids.map((packetId) =>
      packetBytes(0x34, `"${scene.id}" ${hex16(packetId)} 00 '${packetId}'`),
    );
    client.send(Buffer.concat(burst));
    for (const packetId of ids) await client.expectPacket('pubrec', { packetId, reasonCode: 0 });
    for (const packetId of ids) client.sendAck('pubrel', packetId);
    for (const packetId of ids) await client.expectPacket('pubcomp', { packetId, reasonCode: 0 });
    for (const packetId of ids) await watcher.expectPublish(scene.id, `${packetId}`);
  },
  { config: 'max_inflight_messages 2' },
);

statement(
  { v5: '4.9.0-1' },
  'PUBREL gives the client room again',
  async (scene) => {
    const client = await scene.connect();
    for (let packetId = 1; packetId < 12; packetId += 1) {
      assert.equal(await client.publish(scene.id, 'x', { qos: 2, packetId }), 0);
    }
  },
  { config: 'max_inflight_messages 2' },
);

runStatements(import.meta.url);
