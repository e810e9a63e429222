/** This broker fails over one input, as by a bug: that connection ends, with a log line and a counter, and no other. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { pathToFileURL } from 'node:url';
import { type Broker, startBroker } from '../support/brokers/broker.js';
import { skipWithout } from '../support/brokers/debian.js';
import { afterTest, makeFolder } from '../support/cleanup.js';
import { ask } from '../support/clients/http-client.js';
import { RawClient } from '../support/clients/raw-client.js';
import { makeCertificates } from '../support/network/certificates.js';
import { freePort } from '../support/network/free-port.js';
import { builtFolder } from '../support/project.js';

const preload = pathToFileURL(join(builtFolder, 'test', 'support', 'brokers', 'fault-on-input.js')).href;

function start(t: TestContext, config: string, workers = 1): Promise<Broker> {
  return startBroker(t, { workers, config, env: { NODE_OPTIONS: `--import ${preload}` } });
}

function faultLines({ log }: Broker): string[] {
  return log.filter((line) => line.includes('Error: Midge failed over'));
}

function deaths({ log }: Broker): string[] {
  return log.filter((line) => /died and is being replaced|The broker failed/.test(line));
}

const control = '$CONTROL/broker/v1';
const faultyRequest = JSON.stringify({ commands: [{ command: 'x', correlationData: 'FAULT-answer' }] });

test('a packet: DISCONNECT 0x83, one line with stack, client and type of packet, a counter', async (t) => {
  const broker = await start(t, 'enable_control_api true\nsys_interval 1');
  const bystander = await RawClient.connect(t, broker, 5);
  await bystander.subscribe('wills/#', 1);
  for (const version of [3, 4, 5] as const) {
    const will = {
      topic: `wills/${version}`,
      payload: Buffer.of(),
      qos: 1 as const,
      retain: false,
      properties: {},
    };
    const client = await RawClient.connect(t, broker, version, { clientId: `client-${version}`, will });
    // What stands before it in the same read has its effect, and what stands behind it has none.
    client.sendPublish('wills/before', `${version}`);
    client.sendPublish(control, faultyRequest);
    client.sendPublish('wills/behind', `${version}`);
    await bystander.expectPublish('wills/before', `${version}`);
    const { packetId } = await bystander.expectPublish(`wills/${version}`, '');
    bystander.sendAck('puback', packetId);
    if (version === 5) await client.expectPacket('disconnect', { reasonCode: 0x83 });
    await client.expectClosed();
    const line = await broker.waitForLog(
      new RegExp(`Error: Midge failed over a PUBLISH packet of client-${version} \\[127\\.0\\.0\\.1:\\d+\\]`),
    );
    assert.match(line, /: TypeError: a fault that a test wants \(answer\) \| at .*answerControl/s);
    await broker.waitForLog(
      new RegExp(`: Client client-${version} .* disconnected: implementation specific error\\.$`),
    );
  }
  await bystander.expectSilence();
  await bystander.subscribe('$SYS/broker/connections/faults');
  for (let count = ''; count !== '3'; ) {
    const packet = await bystander.next();
    if (packet.type === 'publish') count = Buffer.from(packet.payload).toString();
  }
  assert.deepEqual(deaths(broker), []);
});

test('of many faults a few lines a minute are written', async (t) => {
  const broker = await start(t, 'enable_control_api true');
  for (let i = 0; i < 40; i += 1) {
    const client = await RawClient.connect(t, broker, 5);
    client.sendPublish(control, faultyRequest);
    await client.expectPacket('disconnect', { reasonCode: 0x83 });
    await client.expectClosed();
  }
  assert.equal(faultLines(broker).length, 5);
  assert.deepEqual(deaths(broker), []);
});

test('a stored session whose client is cut off goes on', async (t) => {
  const broker = await start(
    t,
    'enable_control_api true\npersistence true\npersistence_location {folder}',
    2,
  );
  const expiry = { properties: { sessionExpiryInterval: 100 }, clientId: 'stored', cleanStart: false };
  const client = await RawClient.connect(t, broker, 5, expiry);
  await client.subscribe('t', 1);
  client.sendPublish(control, faultyRequest);
  await client.expectPacket('disconnect', { reasonCode: 0x83 });
  await client.expectClosed();
  const publisher = await RawClient.connect(t, broker, 5);
  for (let i = 0; i < 3; i += 1) assert.equal(await publisher.publish('t', `${i}`), 0);
  const again = await RawClient.connect(t, broker, 5, expiry);
  assert.equal(again.connack!.sessionPresent, true);
  for (let i = 0; i < 3; i += 1) await again.expectPublish('t', `${i}`);
  assert.deepEqual(deaths(broker), []);
});

test('a will that fails costs nobody anything', async (t) => {
  const broker = await start(t, '', 2);
  for (const topic of ['FAULT-will', 'FAULT-will/b']) {
    const will = { topic, payload: Buffer.from('x'), qos: 1 as const, retain: false, properties: {} };
    const client = await RawClient.connect(t, broker, 5, { clientId: topic, will });
    client.destroy();
    await broker.waitForLog(new RegExp(`Midge failed over the will of ${topic}`));
    await (await RawClient.connect(t, broker, 5)).disconnect();
  }
  assert.deepEqual(deaths(broker), []);
});

test('what all clients share was being changed: the worker falls', async (t) => {
  const broker = await start(t, '');
  const client = await RawClient.connect(t, broker, 5);
  client.sendSubscribe('a/FAULT-routes/+');
  await client.expectClosed();
  await broker.waitForLog(
    /Worker 0 died and is being replaced: TypeError: a fault that a test wants \(routes\)/,
  );
  assert.deepEqual(faultLines(broker), []);
  await (await RawClient.connect(t, broker, 5)).disconnect();
});

/** Everything that comes until the other side closes. */
async function answerOf(t: TestContext, port: number, request: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  afterTest(t, () => socket.destroy());
  return received(socket, request);
}

async function received(socket: Socket, request: string): Promise<string> {
  let text = '';
  socket.on('data', (bytes) => {
    text += bytes.toString('latin1');
  });
  socket.on('error', () => {});
  socket.write(request);
  await once(socket, 'close');
  return text;
}

test('handshakes and requests: TLS, PROXY, WebSockets, HTTP', {
  skip: skipWithout('/usr/bin/openssl'),
}, async (t) => {
  const { server } = makeCertificates(makeFolder(t));
  const [tls, proxy, webSockets, http] = [
    await freePort(),
    await freePort(),
    await freePort(),
    await freePort(),
  ];
  const broker = await start(
    t,
    [
      'allow_anonymous true\nlistener {port} 127.0.0.1\nmax_connections 5',
      `listener ${tls} 127.0.0.1\ncertfile ${server.certificate}\nkeyfile ${server.key}\nmax_connections 5`,
      `listener ${proxy} 127.0.0.1\nenable_proxy_protocol 1\nmax_connections 5`,
      `listener ${webSockets} 127.0.0.1\nprotocol websockets\nmax_connections 5`,
      `listener ${http} 127.0.0.1\nprotocol http_api\nmax_connections 5`,
    ].join('\n'),
  );
  const bystander = await RawClient.connect(t, broker, 5);
  for (let i = 0; i < 3; i += 1) {
    const socket = connectTls({
      host: '127.0.0.1',
      port: tls,
      rejectUnauthorized: false,
      servername: 'fault-tls.example',
    });
    afterTest(t, () => socket.destroy());
    assert.equal(await received(socket, ''), '');
    assert.equal(await answerOf(t, proxy, 'PROXY FAULT '), '');
    assert.equal(
      await answerOf(
        t,
        webSockets,
        'GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: FAULT-upgrade\r\n\r\n',
      ),
      '',
    );
    assert.equal(await answerOf(t, http, 'GET /FAULT-path HTTP/1.1\r\nHost: x\r\n\r\n'), '');
  }
  for (const what of ['a TLS handshake', 'a PROXY header', 'a WebSocket handshake', 'an HTTP request']) {
    await broker.waitForLog(new RegExp(`Midge failed over ${what} of 127\\.0\\.0\\.1:\\d+`));
  }
  // None of them counts as open any more.
  for (let i = 0; i < 4; i += 1) assert.equal((await ask(http, '/api/v1/version')).status, 200);
  await bystander.expectSilence();
  assert.deepEqual(deaths(broker), []);
});
