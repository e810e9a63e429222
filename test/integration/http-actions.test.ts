/** What a POST below `/api/v1/` does, on any worker, and who may have it done. */
import assert from 'node:assert/strict';
import { appendFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { onPort, writePasswords, writeSecret } from '../support/brokers/access-files.js';
import { isReference, startBroker } from '../support/brokers/broker.js';
import { makeFolder } from '../support/cleanup.js';
import { ask, type HttpQuestion } from '../support/clients/http-client.js';
import { RawClient } from '../support/clients/raw-client.js';
import { freePort } from '../support/network/free-port.js';

const skip = isReference ? 'Mosquitto 2.0.11 has no such paths' : false;

const ACL = `user admin
topic readwrite /api/#
user guard
topic read /api/#
topic write /api/v1/clients/+/disconnect
`;

test('actions over HTTP', { skip }, async (t) => {
  const folder = makeFolder(t);
  const mqtt = await freePort();
  const open = await freePort();
  const passwords = await writePasswords(folder, { admin: 'secret', guard: 'secret' });
  const broker = await startBroker(t, {
    config: `worker_threads 2
per_listener_settings true
persistence true
persistence_location ${folder}/
autosave_interval 0
listener ${mqtt} 127.0.0.1
allow_anonymous true
listener ${open} 127.0.0.1
protocol http_api
allow_anonymous true
listener {port} 127.0.0.1
protocol http_api
password_file ${passwords}
acl_file ${writeSecret(folder, 'acl', ACL)}
connection elsewhere
address 127.0.0.1:1
topic bridged/# out
local_clientid elsewhere
start_type automatic`,
  });
  const here = onPort(broker, mqtt);
  const post = async (path: string, question: HttpQuestion = {}, port = broker.port) => {
    const { status, body } = await ask(port, `/api/v1/${path}`, {
      method: 'POST',
      as: 'admin:secret',
      ...question,
    });
    return { status, said: status === 200 ? JSON.parse(body) : body.trimEnd() };
  };

  await t.test('disconnect: DISCONNECT 0x98, the session stays; on each of the workers', async () => {
    for (const id of ['a/b', 'c', 'd']) {
      const client = await RawClient.connect(t, here, 5, {
        clientId: id,
        properties: { sessionExpiryInterval: 100 },
      });
      await client.subscribe('x', 1);
      const path = `clients/${encodeURIComponent(id)}/disconnect`;
      const counts = { subscriptions: 1, queued: 0 };
      assert.deepEqual(await post(path), { status: 200, said: { done: true, connected: true, ...counts } });
      assert.equal((await client.expectPacket('disconnect')).reasonCode, 0x98);
      await client.expectClosed();
      assert.deepEqual(await post(path), { status: 200, said: { done: false, connected: false, ...counts } });
    }
    await broker.waitForLog(/Client c \[127\.0\.0\.1:\d+\] disconnected: administrative action\./);
    await broker.waitForLog(
      /The user admin asks over HTTP from 127\.0\.0\.1: POST \/api\/v1\/clients\/c\/disconnect/,
    );
    assert.equal((await post('clients/nobody/disconnect')).status, 404);
  });

  await t.test(
    'end-session: first only said, then done; the delayed will goes out [MQTT-3.1.2-8]',
    async () => {
      const watcher = await RawClient.connect(t, here, 5, { clientId: 'watcher' });
      await watcher.subscribe('will', 0);
      const leaving = await RawClient.connect(t, here, 5, {
        clientId: 'leaving',
        properties: { sessionExpiryInterval: 100 },
        will: {
          topic: 'will',
          payload: Buffer.from('gone'),
          qos: 0,
          retain: false,
          properties: { willDelayInterval: 90 },
        },
      });
      await leaving.subscribe('x', 1);
      leaving.destroy();
      await broker.waitForLog(/Client leaving \[.*\] (disconnected|closed)/);
      await watcher.publish('x', 'waits', { qos: 1 });
      const counts = { connected: false, subscriptions: 1, queued: 1 };
      const dry = await post('clients/leaving/end-session?dryRun=true');
      assert.deepEqual(dry.said, { done: false, ...counts });
      assert.deepEqual((await post('clients/leaving/end-session')).said, { done: true, ...counts });
      assert.equal(Buffer.from((await watcher.expectPacket('publish')).payload).toString(), 'gone');
      assert.equal((await post('clients/leaving/end-session')).status, 404);
      const back = await RawClient.connect(t, here, 5, { clientId: 'leaving', cleanStart: false });
      assert.equal(back.connack!.sessionPresent, false);
      // A client that is there is disconnected by it.
      assert.equal((await post('clients/watcher/end-session')).said.done, true);
      assert.equal((await watcher.expectPacket('disconnect')).reasonCode, 0x98);
    },
  );

  await t.test("a bridge of the broker's own is not touched, and a wrong parameter is named", async () => {
    const bridge = await post('clients/elsewhere/end-session');
    assert.deepEqual(
      [bridge.status, /is a bridge of this broker/.test(bridge.said)],
      [400, true],
      bridge.said,
    );
    assert.deepEqual(await post('clients/c/end-session?dryRun=maybe'), {
      status: 400,
      said: "dryRun is 'maybe'; one of true, false is right.",
    });
  });

  await t.test('save and reload', async () => {
    const saved = join(folder, 'mosquitto.db');
    assert.equal(existsSync(saved), false);
    assert.deepEqual(await post('store/save'), { status: 200, said: { done: true } });
    assert.equal(existsSync(saved), true);
    appendFileSync(join(broker.folder, 'broker.conf'), '\nmax_queued_messages 7\n');
    const { said } = await post('config/reload');
    const texts = said.lines.map(({ text }: { text: string }) => text);
    assert.equal(texts[0], 'Reloading config.', texts.join('\n'));
    assert.ok(
      texts.some((text: string) => text.includes('max_queued_messages')),
      texts.join('\n'),
    );
  });

  await t.test('who may not', async () => {
    const path = 'clients/c/disconnect';
    assert.equal((await post(path, { as: 'guard:secret' })).status, 200);
    assert.equal((await post('clients/c/end-session', { as: 'guard:secret' })).status, 401);
    assert.equal((await post('store/save', { as: 'guard:secret' })).status, 401);
    assert.equal((await post(path, { as: 'guard:wrong' })).status, 401);
    const anonymous = { status: 403, said: 'An action needs a user with a password.' };
    for (const as of ['', 'anybody:at all']) {
      const question = as === '' ? { headers: { Authorization: '' } } : { as };
      assert.deepEqual(await post(path, question, open), anonymous, as);
    }
    const foreign = { status: 403, said: 'Pages of other sites cannot act here.' };
    for (const headers of [
      { Origin: 'http://evil.example' },
      { Origin: 'null' },
      { 'Sec-Fetch-Site': 'cross-site' },
      { 'Sec-Fetch-Site': 'same-site' },
    ] as Record<string, string>[]) {
      assert.deepEqual(await post(path, { headers }), foreign, JSON.stringify(headers));
    }
    assert.equal((await post(path, { headers: { Origin: `http://127.0.0.1:${broker.port}` } })).status, 200);
    assert.equal((await post('status')).status, 405);
    const described = JSON.parse(
      (await ask(broker.port, '/api/v1/openapi.json', { as: 'admin:secret' })).body,
    );
    assert.deepEqual(
      Object.entries(described.paths as Record<string, object>).flatMap(([name, methods]) =>
        'post' in methods ? [name] : [],
      ),
      ['/clients/{id}/disconnect', '/clients/{id}/end-session', '/store/save', '/config/reload'],
    );
  });
});
