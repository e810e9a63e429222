/** Sessions: what they keep, how long they last, and when they begin anew. */
import assert from 'node:assert/strict';
import { runStatements, statement } from './statement.js';

statement(
  { v4: '3.2.2-1 3.2.2-2 3.2.2-3 3.1.2-4', v5: '3.2.2-2 3.2.2-3 3.1.2-4 3.1.2-5 3.1.2-6' },
  'session present tells whether a session goes on',
  async (scene) => {
    const present = async (cleanStart: boolean): Promise<boolean> => {
      const client = await scene.connect(scene.lasting(scene.id, { cleanStart }));
      await client.disconnect();
      return client.connack!.sessionPresent;
    };
    assert.equal(await present(false), false, 'there was none');
    assert.equal(await present(false), true, 'it goes on although it is empty');
    assert.equal(await present(true), false, 'it was dropped');
    // A clean session of MQTT 3.1.1 ends with its connection; in 5.0 that is the expiry's business.
    assert.equal(await present(false), scene.isV5);
  },
);

statement({ v3: '' }, 'MQTT 3.1 has no session present flag', async (scene) => {
  for (let i = 0; i < 2; i += 1) {
    const client = await scene.open();
    client.send(Buffer.from('10 0f 0006 4d5149736470 03 00 0000 0001 7a'.replaceAll(' ', ''), 'hex'));
    assert.equal((await client.expectPacket('connack', { reasonCode: 0 })).sessionPresent, false);
    await client.disconnect();
  }
});

statement(
  { v3: '', v4: '3.1.2-4 3.1.2-5 4.1.0-1 4.5.0-1', v5: '3.1.2-5 3.1.2-23 4.1.0-1 4.5.0-1' },
  'a session keeps its subscriptions, and messages above QoS 0 for its client',
  async (scene) => {
    const client = await scene.connectLasting(scene.id);
    await client.subscribe(`${scene.id}/#`, 2);
    await client.disconnect();
    const publisher = await scene.connect();
    publisher.sendPublish(`${scene.id}/0`, 'zero');
    await publisher.publish(`${scene.id}/1`, 'one', { qos: 1 });
    await publisher.publish(`${scene.id}/2`, 'two', { qos: 2 });
    const back = await scene.connectLasting(scene.id);
    await back.expectPublish(`${scene.id}/1`, 'one', { qos: 1, dup: false });
    await back.expectPublish(`${scene.id}/2`, 'two', { qos: 2, dup: false });
    await publisher.publish(`${scene.id}/3`, 'live', { qos: 1 });
    await back.expectPublish(`${scene.id}/3`, 'live', { qos: 1 });
  },
);

statement(
  { v3: '', v4: '3.1.2-6 3.1.4-3', v5: '3.1.2-4 3.1.4-4' },
  'a clean start leaves nothing of the old session',
  async (scene) => {
    const old = await scene.connectLasting(scene.id);
    await old.subscribe(scene.id, 1);
    await old.disconnect();
    const publisher = await scene.connect();
    await publisher.publish(scene.id, 'waits');
    const clean = await scene.connect(scene.lasting(scene.id, { cleanStart: true }));
    await publisher.publish(scene.id, 'later');
    await clean.expectSilence();
    assert.equal(clean.connack!.sessionPresent, false);
  },
);

statement(
  { v3: '', v4: '3.1.2-6 3.1.3-2 4.1.0-2', v5: '4.1.0-2 3.1.3-2 3.1.2-6' },
  'a session that does not outlive its connection ends with it',
  async (scene) => {
    const first = await scene.connect({ clientId: scene.id });
    await first.subscribe(scene.id, 1);
    await first.disconnect();
    const second = await scene.connectLasting(scene.id);
    assert.equal(second.connack!.sessionPresent, false);
    const publisher = await scene.connect();
    await publisher.publish(scene.id, 'x');
    await second.expectSilence();
  },
);

statement(
  { v3: '', v4: '4.1.0-2 3.1.3-2', v5: '4.1.0-1 3.1.3-2' },
  'a session belongs to its client id, and lasts while the connection is open',
  async (scene) => {
    const client = await scene.connect({ clientId: scene.id });
    await client.subscribe(scene.id, 1);
    const other = await scene.connectLasting(`${scene.id}other`);
    assert.equal(other.connack!.sessionPresent, false);
    await other.publish(scene.id, 'x');
    await other.expectSilence();
    await client.expectPublish(scene.id, 'x');
  },
);

statement(
  { v5: '3.1.2-23 4.1.0-2' },
  'a session ends when its expiry interval is over, and not before',
  async (scene) => {
    const short = { clientId: scene.id, cleanStart: false, properties: { sessionExpiryInterval: 1 } };
    const long = await scene.connectLasting(`${scene.id}long`);
    await long.disconnect();
    const client = await scene.connect(short);
    await client.disconnect();
    await scene.broker.waitForLog(new RegExp(`Expiring client ${scene.id} due to timeout`));
    assert.equal((await scene.connect(short)).connack!.sessionPresent, false);
    assert.equal((await scene.connectLasting(`${scene.id}long`)).connack!.sessionPresent, true);
  },
);

statement(
  { v5: '3.1.2-23' },
  'an expiry of 0xFFFFFFFF is never; DISCONNECT may shorten it',
  async (scene) => {
    const never = {
      clientId: scene.id,
      cleanStart: false,
      properties: { sessionExpiryInterval: 0xffffffff },
    };
    const client = await scene.connect(never);
    client.send({ type: 'disconnect', reasonCode: 0, properties: { sessionExpiryInterval: 1 } });
    await client.expectClosed();
    await scene.broker.waitForLog(new RegExp(`Expiring client ${scene.id} due to timeout`));
    assert.equal((await scene.connect(never)).connack!.sessionPresent, false);
  },
);

statement(
  { v5: '3.1.2-5' },
  'a session that was taken up again has the expiry of the new connection',
  async (scene) => {
    const first = await scene.connectLasting(scene.id);
    await first.disconnect();
    const second = await scene.connect({ clientId: scene.id, cleanStart: false });
    assert.equal(second.connack!.sessionPresent, true);
    await second.disconnect();
    assert.equal((await scene.connectLasting(scene.id)).connack!.sessionPresent, false);
  },
);

statement(
  { v3: '', v4: '3.1.2-4', v5: '3.1.2-5' },
  'a client may come back with another version of the protocol',
  async (scene) => {
    const first = await scene.connectLasting(scene.id);
    await first.subscribe(scene.id, 1);
    await first.disconnect();
    const publisher = await scene.connect();
    await publisher.publish(scene.id, 'waits');
    const version = scene.version === 4 ? 5 : 4;
    const options = { clientId: scene.id, cleanStart: false };
    const second = await scene.connectAs(version, options);
    assert.equal(second.connack!.sessionPresent, true);
    await second.expectPublish(scene.id, 'waits', { qos: 1 });
  },
);

runStatements(import.meta.url);
