/** One packet, handshake or request that would end a thread: it costs its own connection at most. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { type Broker, startBroker } from '../support/brokers/broker.js';
import { skipWithout } from '../support/brokers/debian.js';
import { startFallible } from '../support/brokers/fallible-broker.js';
import { afterTest, makeFolder } from '../support/cleanup.js';
import { ask } from '../support/clients/http-client.js';
import { connectPacket } from '../support/clients/packet-socket.js';
import { RawClient } from '../support/clients/raw-client.js';
import { makeCertificates, openssl } from '../support/network/certificates.js';
import { freePort } from '../support/network/free-port.js';
import { until, within } from '../support/within.js';

/** No worker has died, and main has not failed. */
function expectNobodyDied({ log }: Broker): void {
  assert.deepEqual(
    log.filter((line) => /died and is being replaced|The broker failed/.test(line)),
    [],
  );
}

async function expectServed(t: TestContext, broker: Broker): Promise<void> {
  await (await RawClient.connect(t, broker, 5)).disconnect();
  expectNobodyDied(broker);
}

function secure(t: TestContext, port: number, options: ConnectionOptions): TLSSocket {
  const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ...options });
  afterTest(t, () => socket.destroy());
  socket.on('error', () => {});
  return socket;
}

test('certificates with an empty subject, of clients and authorities', {
  skip: skipWithout('/usr/bin/openssl'),
}, async (t) => {
  const folder = makeFolder(t);
  const { server } = makeCertificates(folder);
  const client = { certificate: join(folder, 'nobody.crt'), key: join(folder, 'nobody.key') };
  const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  openssl('req', '-x509', ...ec, '-keyout', client.key, '-out', client.certificate, '-subj', '/');
  const [mqtts, https, webSockets] = [await freePort(), await freePort(), await freePort()];
  const tls = `certfile ${server.certificate}\nkeyfile ${server.key}\nrequire_certificate true\ncafile ${client.certificate}`;
  const broker = await startBroker(t, {
    workers: 1,
    config: [
      'allow_anonymous true\nlistener {port} 127.0.0.1',
      `listener ${mqtts} 127.0.0.1\n${tls}\nuse_subject_as_username true`,
      `listener ${https} 127.0.0.1\nprotocol http_api\n${tls}`,
      `listener ${webSockets} 127.0.0.1\nprotocol websockets\n${tls}\nuse_identity_as_username true`,
    ].join('\n'),
  });
  const shown = {
    cert: readFileSync(client.certificate),
    key: readFileSync(client.key),
    rejectUnauthorized: false,
  };
  for (const port of [mqtts, webSockets]) {
    const socket = secure(t, port, shown);
    // Its name is empty, which is none to be let in under.
    socket.write(
      port === mqtts
        ? Buffer.from('101000044d5154540402000000046e616d65', 'hex')
        : 'GET / HTTP/1.1\r\nHost: x\r\n\r\n',
    );
    await new Promise((resolve) => socket.once('close', resolve).resume());
  }
  const { status } = await ask(https, '/api/v1/version', { tls: shown });
  assert.equal(status, 200);
  await expectServed(t, broker);
});

test('a group whose filter fills two bytes of length, on another worker', async (t) => {
  const broker = await startBroker(t, { workers: 3 });
  const filter = `$share/${'g'.repeat(0xffff - '$share//t'.length)}/t`;
  const members: RawClient[] = [];
  for (let i = 0; i < 6; i += 1) {
    const member = await RawClient.connect(t, broker, 5);
    await member.subscribe(filter, 1);
    members.push(member);
  }
  const will = { topic: 't', payload: Buffer.from('will'), qos: 1 as const, retain: false, properties: {} };
  const gone = await RawClient.connect(t, broker, 5, { will });
  const publisher = await RawClient.connect(t, broker, 5);
  for (let i = 0; i < 12; i += 1) assert.equal(await publisher.publish('t', `${i}`), 0);
  gone.destroy();
  let received = 0;
  for (const member of members) count(member).catch(() => {}); // until the test ends
  await until(() => received === 13, '13 messages for the group');
  expectNobodyDied(broker);

  async function count(member: RawClient): Promise<void> {
    for (;;) {
      const packet = await member.next();
      if (packet.type !== 'publish') continue;
      received += 1;
      if (packet.qos > 0) member.sendAck('puback', packet.packetId);
    }
  }
});

test('an id of 65,535 bytes whose QoS 2 messages go to sessions that other workers store', async (t) => {
  const broker = await startBroker(t, {
    workers: 3,
    config: 'persistence true\npersistence_location {folder}',
  });
  const expiry = { sessionExpiryInterval: 100 };
  const subscribers: RawClient[] = [];
  for (let i = 0; i < 4; i += 1) {
    const subscriber = await RawClient.connect(t, broker, 5, { clientId: `s${i}`, properties: expiry });
    await subscriber.subscribe('t', 2);
    subscribers.push(subscriber);
  }
  const clientId = 'i'.repeat(0xffff);
  const publisher = await RawClient.connect(t, broker, 5, { clientId, properties: expiry });
  assert.equal(await publisher.publish('t', 'x', { qos: 2 }), 0);
  for (const subscriber of subscribers) await subscriber.expectPublish('t', 'x');
  await expectServed(t, broker);
});

const mount = `mounted/${'m'.repeat(100)}/`;

for (const version of [3, 4, 5] as const) {
  test(`topics that are too long behind mount_point, version ${version}`, async (t) => {
    const broker = await startBroker(t, {
      workers: 2,
      config: `allow_anonymous true\nlistener {port} 127.0.0.1\nmount_point ${mount}`,
    });
    for (const topic of ['w'.repeat(0xffff - mount.length + 1), `w${'/'.repeat(199)}`]) {
      const will = { topic, payload: Buffer.of(), qos: 1 as const, retain: true, properties: {} };
      const client = await RawClient.open(t, broker, version);
      client.send(connectPacket(version, { will }));
      if (version === 5) await client.expectPacket('connack', { reasonCode: 0x90 });
      await client.expectClosed();

      const subscriber = await RawClient.connect(t, broker, version);
      subscriber.sendSubscribe(topic, 1);
      await subscriber.expectPacket('suback', { reasonCodes: [{ 3: 0, 4: 0x80, 5: 0x8f }[version]] });
      await broker.waitForLog(/A filter of test-\S+ is refused: with mount_point before it/);
      await subscriber.expectSilence();
    }
    // The longest ones that fit.
    const topic = 'w'.repeat(0xffff - mount.length);
    const will = { topic, payload: Buffer.from('x'), qos: 0 as const, retain: false, properties: {} };
    const dying = await RawClient.connect(t, broker, version, { will });
    const subscriber = await RawClient.connect(t, broker, version);
    await subscriber.subscribe(topic);
    dying.destroy();
    await subscriber.expectPublish(topic, 'x');
    await expectServed(t, broker);
  });
}

test('requests to $CONTROL that are JSON of any shape', async (t) => {
  const broker = await startBroker(t, { workers: 1, config: 'enable_control_api true' });
  const topic = '$CONTROL/broker/v1';
  const client = await RawClient.connect(t, broker, 5);
  const unknown = 'Unknown command';
  for (const [request, command, error] of [
    ['{"commands":[{"command":{"toString":1,"valueOf":1}}]}', unknown, 'Missing command'],
    ['{"commands":[{"command":["listPlugins"]}]}', unknown, 'Missing command'],
    ['{"commands":[null]}', unknown, 'Command not an object'],
    ['{"commands":[{"__proto__":{"command":"listPlugins"}}]}', unknown, 'Missing command'],
    ['{"commands":["listPlugins"]}', unknown, 'Command not an object'],
    [
      '{"commands":[{"command":"x","correlationData":{"toString":1}}]}',
      'x',
      'Invalid correlationData data type.',
    ],
  ]) {
    client.sendPublish(topic, request!);
    const { payload } = await client.expectPacket('publish', { topic: `${topic}/response` });
    assert.deepEqual(JSON.parse(Buffer.from(payload).toString()), { responses: [{ command, error }] });
  }
  for (const request of ['{"commands":{"length":3}}', '[]', '7', '"x"', 'true']) {
    client.sendPublish(topic, request);
    const { payload } = await client.expectPacket('publish', { topic: `${topic}/response` });
    assert.deepEqual(JSON.parse(Buffer.from(payload).toString()), {
      responses: [{ command: unknown, error: 'Invalid/missing commands' }],
    });
  }
  // Of such a topic there is none for the answer.
  client.sendPublish(`$CONTROL/${'c'.repeat(0xffff - '$CONTROL/'.length)}`, '{}');
  client.sendPublish(`$CONTROL/${'c/'.repeat(199)}`, '{}');
  await client.expectSilence();
  await expectServed(t, broker);
});

test('workers that die close together are replaced, and nothing of a link between them is given away', async (t) => {
  const { broker, fallOne } = await startFallible(t, 4);
  for (let round = 0; round < 4; round += 1) {
    const clients: RawClient[] = [];
    for (let i = 0; i < 8; i += 1) clients.push(await RawClient.connect(t, broker, 4));
    for (let i = 0; i < 4; i += 1) {
      clients.push(await RawClient.connect(t, broker, 4)); // only a worker with a connection can be asked to fall
      await fallOne();
    }
    for (const client of clients) client.destroy();
    await (await RawClient.connect(t, broker, 4)).disconnect();
  }
  assert.deepEqual(
    broker.log.filter((line) => line.includes('DataCloneError')),
    [],
  );
});

test('a client over TLS that is gone before it reaches the worker of its session', {
  skip: skipWithout('/usr/bin/openssl'),
}, async (t) => {
  const folder = makeFolder(t);
  const { server } = makeCertificates(folder);
  const broker = await startBroker(t, {
    workers: 2,
    config: `allow_anonymous true\nlistener {port} 127.0.0.1\ncertfile ${server.certificate}\nkeyfile ${server.key}`,
  });
  const clientId = Buffer.from('moving');
  // MQTT 3.1.1, clean session off.
  const connectBytes = Buffer.concat([
    Buffer.of(0x10, 12 + clientId.length, 0, 4),
    Buffer.from('MQTT'),
    Buffer.of(4, 0, 0, 0, 0, clientId.length),
    clientId,
  ]);
  for (let i = 0; i < 200; i += 1) {
    const socket = secure(t, broker.port, {});
    await within(20_000, new Promise<void>((resolve) => socket.once('secureConnect', resolve)), () => 'TLS');
    socket.write(connectBytes);
    if (i % 2 === 0) socket.destroy();
    else socket.end();
  }
  const last = secure(t, broker.port, {});
  last.write(connectBytes);
  const connack = await new Promise<Buffer>((resolve) => last.once('data', resolve));
  assert.equal(connack[0], 0x20);
  expectNobodyDied(broker);
});
