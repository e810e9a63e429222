/** What lies below `/api/v1/`: clients and retained messages of all workers, and what main knows itself. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { onPort } from '../support/brokers/access-files.js';
import { isReference, startBroker } from '../support/brokers/broker.js';
import { ask } from '../support/clients/http-client.js';
import { RawClient } from '../support/clients/raw-client.js';
import { freePort } from '../support/network/free-port.js';

const skip = isReference ? 'Mosquitto 2.0.11 has no such paths' : false;

test('the routes of the API', { skip }, async (t) => {
  const mqtt = await freePort();
  const broker = await startBroker(t, {
    config: `worker_threads 2
listener ${mqtt} 127.0.0.1
allow_anonymous true
max_queued_messages 2
listener {port} 127.0.0.1
protocol http_api
allow_anonymous true
connection elsewhere
address 127.0.0.1:1
topic bridged/# out
start_type lazy
remote_username somebody
remote_password geheim`,
  });
  const get = async (path: string) => {
    const { status, body } = await ask(broker.port, `/api/v1/${path}`);
    assert.equal(status, 200, `${path}: ${body}`);
    return JSON.parse(body);
  };
  const refused = async (path: string) => {
    const { status, body } = await ask(broker.port, `/api/v1/${path}`);
    return `${status} ${body.trimEnd()}`;
  };

  const here = onPort(broker, mqtt);
  const clients: RawClient[] = [];
  for (let i = 0; i < 4; i += 1) {
    clients.push(await RawClient.connect(t, here, 5, { clientId: `device/${i}` }));
  }
  const away = await RawClient.connect(t, here, 4, { clientId: 'away', cleanStart: false });
  await away.subscribe('news/+', 1);
  await away.subscribe('more', 0);
  await away.disconnect();
  for (let i = 0; i < 5; i += 1) await clients[0]!.publish('news/today', 'four', { qos: 1, retain: true });

  await t.test('clients: search, sort and pages over all workers', async () => {
    const all = await get('clients?search=DEVICE');
    assert.deepEqual(
      all.clients.map(({ clientId }: { clientId: string }) => clientId),
      ['device/0', 'device/1', 'device/2', 'device/3'],
    );
    assert.deepEqual([all.total, all.missing], [4, []]);
    assert.deepEqual(
      new Set(all.clients.map(({ worker }: { worker: number }) => worker)),
      new Set([0, 1]),
      'both workers have some',
    );
    const page = await get('clients?search=device&order=desc&offset=1&limit=2');
    assert.deepEqual(
      [page.total, ...page.clients.map(({ clientId }: { clientId: string }) => clientId)],
      [4, 'device/2', 'device/1'],
    );
    const [longest] = (await get('clients?sort=queued&order=desc&limit=1')).clients;
    assert.deepEqual(
      [longest.clientId, longest.connected, longest.queued, longest.pendingBytes, longest.subscriptions],
      ['away', false, 2, 8, 2],
    );
  });

  await t.test('one client, whatever its id and its worker', async () => {
    const client = await get('clients/device%2F3');
    assert.deepEqual(
      [client.clientId, client.connected, client.version, client.address.split(':')[0], client.tls],
      ['device/3', true, 5, '127.0.0.1', null],
    );
    assert.ok(Math.abs(Date.parse(client.connectedAt) - Date.now()) < 600_000, client.connectedAt);
    const one = await get('clients/away');
    assert.deepEqual(
      [one.connected, one.address, one.queued, one.dropped],
      [false, null, 2, { 'queue full': 3 }],
    );
    assert.deepEqual(
      one.firstSubscriptions.map(({ filter, qos }: { filter: string; qos: number }) => [filter, qos]),
      [
        ['news/+', 1],
        ['more', 0],
      ],
    );
    assert.equal(await refused('clients/nobody'), '404 Not found.');
  });

  await t.test('subscriptions and groups of all workers, and bridges', async () => {
    const all = await get('subscriptions?search=NEWS');
    assert.deepEqual(
      [all.total, all.subscriptions, all.missing],
      [1, [{ filter: 'news/+', clientId: 'away', qos: 1, connected: false }], []],
    );
    const ofClient = await get('subscriptions?search=away&limit=1');
    assert.deepEqual([ofClient.total, ofClient.subscriptions.length], [2, 1]);
    for (const client of clients) await client.subscribe('$share/team/jobs/#', 1);
    assert.deepEqual((await get('groups')).groups, [
      { name: 'team', filter: 'jobs/#', members: 4, connected: 4 },
    ]);
    for (const client of clients) await client.unsubscribe('$share/team/jobs/#');
    const { bridges } = await get('bridges');
    const [{ name, addresses, connected, state, lastError, nextTryAt, waitingMessages, dropped }] = bridges;
    assert.deepEqual(
      [bridges.length, name, addresses, connected, state, lastError, nextTryAt, waitingMessages],
      [1, 'elsewhere', ['127.0.0.1:1'], false, 'resting', null, null, 0],
    );
    assert.equal(dropped.malformed, 0);
  });

  await t.test('retained messages, with who has published them', async () => {
    const expected = {
      topic: 'news/today',
      qos: 1,
      bytes: 4,
      clientId: 'device/0',
      username: '',
      expires: null,
    };
    assert.deepEqual(await get('retained?filter=news/%23'), { retained: [expected], isAll: true });
    assert.deepEqual((await get('retained?filter=other')).retained, []);
  });

  await t.test('what main knows itself', async () => {
    const status = await get('status');
    assert.deepEqual([status.ready, status.problems], [true, []]);
    assert.ok(status.messagesDropped >= 3);
    const { workers } = await get('workers');
    assert.deepEqual(
      workers.map(({ worker, isReady }: { worker: number; isReady: boolean }) => [worker, isReady]),
      [
        [0, true],
        [1, true],
      ],
    );
    const { trouble, figures } = await get('store');
    assert.deepEqual([trouble, figures.damaged], [null, 0]);
    const config = await get('config');
    assert.deepEqual([config.maxQueuedMessages, config.bridges[0].remotePassword], [2, '(hidden)']);
    const { lines } = await get('log?type=notice&limit=3');
    assert.ok(lines.length === 3 && lines.every(({ type }: { type: string }) => type === 'notice'));
    // The API may be quicker than what the test reads of the broker's output.
    await broker.waitForLog(new RegExp(`${lines[2].text.replaceAll(/[^\w ]/g, '\\$&')}$`));
  });

  await t.test('openapi.json describes what is served', async () => {
    const { openapi, paths } = await get('openapi.json');
    assert.equal(openapi, '3.1.0');
    for (const [path, { get: operation }] of Object.entries<{
      get?: { responses: object; parameters: object[] };
    }>(paths)) {
      if (operation === undefined) continue; // http-actions.test.ts has those
      const { status, body, headers } = await ask(broker.port, `/api/v1${path.replace('{id}', 'away')}`);
      assert.equal(status, 200, path);
      const isMosquittos = ['/version', '/listeners', '/systree'].includes(path);
      const readers = headers['access-control-allow-origin'];
      assert.equal(readers, isMosquittos ? '*' : undefined, `${path}: which sites' pages may read it`);
      const { content } = operation.responses[200 as never] as {
        content: Record<string, { schema: { properties?: object } }>;
      };
      const [[type, { schema }]] = Object.entries(content) as [[string, { schema: { properties?: object } }]];
      assert.ok(headers['content-type']!.startsWith(type), path);
      for (const name of Object.keys(schema.properties ?? {}))
        assert.ok(name in JSON.parse(body), `${path}: ${name}`);
    }
  });

  await t.test('a wrong parameter is named, with what would be right', async () => {
    for (const [path, text] of [
      ['clients?limit=x', "400 limit is 'x'; a whole number from 1 to 1000 is right."],
      ['clients?limit=0', "400 limit is '0'; a whole number from 1 to 1000 is right."],
      ['clients?order=up', "400 order is 'up'; one of asc, desc is right."],
      [
        'clients?offset=9999&limit=2',
        '400 offset and limit are 10001 together; at most 10000 are right. Search for less.',
      ],
      ['retained?filter=a%2B', "400 filter is 'a+'; a topic filter is right that does not begin with $."],
      [
        'retained?filter=$SYS/%23',
        "400 filter is '$SYS/#'; a topic filter is right that does not begin with $.",
      ],
      ['clients/', '404 Not found.'],
      ['Clients', '404 Not found.'],
    ] as const) {
      assert.equal(await refused(path), text);
    }
  });
});
