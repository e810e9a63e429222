/** DISCONNECT, AUTH, and what the end of a connection leaves behind. */
import assert from 'node:assert/strict';
import { ReasonCode } from '../../src/mqtt/reason-codes.js';
import { packetBytes } from '../support/packets/packet-bytes.js';
import { runStatements, statement } from './statement.js';

statement({ v3: '', v4: '3.14.1-1', v5: '3.14.1-1' }, 'DISCONNECT with flags is a fault', async (scene) => {
  const client = await scene.connect();
  client.send('e100');
  await scene.expectFault(client, ReasonCode.malformedPacket);
});

statement(
  { v5: '3.14.2-1 3.14.4-1 3.14.4-2 4.13.1-1' },
  'the broker says why, and then nothing more',
  async (scene) => {
    const client = await scene.connect();
    // Faults in one segment with packets that would be answered.
    client.send(Buffer.from(`c000${'00'}00${'c000c000'}`, 'hex'));
    await client.expectPacket('pingresp');
    await client.expectPacket('disconnect', { reasonCode: ReasonCode.protocolError });
    await client.expectClosed();
  },
);

statement(
  { v5: '3.14.2-2 3.14.2-3 3.14.2-4' },
  'DISCONNECT of the broker has neither session expiry nor anything that makes it larger',
  async (scene) => {
    const client = await scene.connect({
      properties: { sessionExpiryInterval: 60, maximumPacketSize: 20, requestProblemInformation: 1 },
    });
    client.send('0000');
    const { properties } = await client.expectPacket('disconnect', { reasonCode: ReasonCode.protocolError });
    assert.deepEqual(properties, {});
    await client.expectClosed();
  },
);

statement({ v5: '3.14.2-1' }, 'DISCONNECT with a code that is none of its own', async (scene) => {
  for (const code of ['05', '10', 'ff']) {
    const client = await scene.connect();
    client.send(packetBytes(0xe0, code));
    await client.expectPacket('disconnect', { reasonCode: ReasonCode.protocolError });
    await client.expectClosed();
  }
});

statement(
  { v5: '3.14.2-1' },
  'raising the session expiry from 0 is a protocol error; lowering and setting it is not',
  async (scene) => {
    const raised = await scene.connect();
    raised.send({ type: 'disconnect', reasonCode: 0, properties: { sessionExpiryInterval: 10 } });
    await raised.expectPacket('disconnect', { reasonCode: ReasonCode.protocolError });
    await raised.expectClosed();
    const options = scene.lasting(scene.id);
    const lowered = await scene.connect(options);
    lowered.send({ type: 'disconnect', reasonCode: 0, properties: { sessionExpiryInterval: 0 } });
    await lowered.expectClosed();
    const back = await scene.connect(options);
    assert.equal(back.connack!.sessionPresent, false);
    back.send({ type: 'disconnect', reasonCode: 0, properties: { sessionExpiryInterval: 5000 } });
    await back.expectClosed();
    assert.equal((await scene.connect(options)).connack!.sessionPresent, true);
  },
);

statement({ v5: '3.15.1-1' }, 'AUTH with flags is malformed', async (scene) => {
  const client = await scene.connect();
  client.send(packetBytes(0xf1, '19 04 15 "m"'));
  await scene.expectFault(client, ReasonCode.malformedPacket);
});

statement(
  { v5: '3.15.2-1 4.12.0-6 4.12.1-2' },
  'authenticating again without a method in CONNECT ends the connection, and no AUTH comes',
  async (scene) => {
    for (const auth of ['', '00 04 15 "m"', '18 04 15 "m"', '19 04 15 "m"', '19 08 15 "m" 16 "d"']) {
      const client = await scene.connect();
      client.send(packetBytes(0xf0, auth));
      await client.expectPacket('disconnect', { reasonCode: ReasonCode.protocolError });
      await client.expectClosed();
    }
  },
);

statement(
  { v3: '', v4: '2.2.2-2 4.8.0-1', v5: '4.13.1-1' },
  'AUTH before MQTT 5.0, and packets of a server',
  async (scene) => {
    const packets = ['20020000', '9003000100', 'b0020001', 'd000'];
    if (!scene.isV5) packets.push('f000');
    for (const packet of packets) {
      const client = await scene.connect();
      client.send(packet);
      await scene.expectFault(client, ReasonCode.protocolError);
    }
  },
);

statement(
  { v3: '', v4: '4.8.0-1', v5: '4.13.1-1' },
  'a fault ends its own connection only',
  async (scene) => {
    const bystander = await scene.connect();
    const client = await scene.connect();
    client.send('3600');
    await scene.expectFault(client, ReasonCode.malformedPacket);
    await bystander.expectSilence();
  },
);

statement(
  { v3: '', v4: '4.8.0-2' },
  'a message that there is no memory for ends the connection, for a moment',
  async (scene) => {
    // The broker looks once a second whether more waits than may.
    const away = await scene.connectLasting(scene.id);
    await away.subscribe(scene.id, 1);
    await away.disconnect();
    for (let isShort = false; !isShort; ) {
      const publisher = await scene.connect();
      for (let packetId = 1; packetId <= 20 && !isShort; packetId += 1) {
        publisher.sendPublish(scene.id, 'x'.repeat(1000), { qos: 1, packetId });
        isShort = (await publisher.next('PUBACK, or the end').catch(() => undefined)) === undefined;
      }
      if (isShort) await publisher.expectClosed();
    }
    // What waited is gone with its session.
    await (await scene.connect({ clientId: scene.id })).expectSilence();
    for (let isTaken = false; !isTaken; ) {
      const publisher = await scene.connect();
      publisher.sendPublish(scene.id, 'x', { qos: 1, packetId: 1 });
      isTaken = (await publisher.next('PUBACK, or the end').catch(() => undefined)) !== undefined;
    }
  },
  { config: 'memory_limit 20000\nmax_queued_messages 0' },
);

runStatements(import.meta.url);
