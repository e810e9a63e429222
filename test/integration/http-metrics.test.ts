/** `/metrics`, `/healthz` and `/readyz` of HTTP listeners. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { METRICS } from '../../src/sys/metrics.js';
import { onPort, writePasswords, writeSecret } from '../support/brokers/access-files.js';
import { isReference, startBroker } from '../support/brokers/broker.js';
import { makeFolder } from '../support/cleanup.js';
import { ask } from '../support/clients/http-client.js';
import { RawClient } from '../support/clients/raw-client.js';
import { freePort } from '../support/network/free-port.js';

/** What the parser makes of one metric. */
interface Parsed {
  name: string;
  help: string;
  type: string;
  metrics: { value: string; labels?: Record<string, string> }[];
}

const parse = createRequire(import.meta.url)('parse-prometheus-text-format') as (text: string) => Parsed[];
const skip = isReference ? 'Mosquitto 2.0.11 has no such paths' : false;

test('/metrics shows the figures of $SYS, and anybody may ask for /healthz and /readyz', {
  skip,
}, async (t) => {
  const folder = makeFolder(t);
  const passwords = await writePasswords(folder, { watcher: 'watcher', other: 'other' });
  const acl = writeSecret(
    folder,
    'acl',
    'user watcher\ntopic read /metrics\ntopic read /api/#\ntopic readwrite a',
  );
  const mqtt = await freePort();
  const broker = await startBroker(t, {
    config: `worker_threads 2
listener ${mqtt} 127.0.0.1
listener {port} 127.0.0.1
protocol http_api
password_file ${passwords}
acl_file ${acl}`,
  });
  assert.equal((await ask(broker.port, '/metrics')).status, 401);
  assert.equal((await ask(broker.port, '/metrics', { as: 'other:other' })).status, 401);
  for (const path of ['/healthz', '/readyz']) {
    const { status, body } = await ask(broker.port, path);
    assert.deepEqual([status, body], [200, 'ok\n'], path);
  }
  const as = 'watcher:watcher';
  const client = await RawClient.connect(t, onPort(broker, mqtt), 5, {
    username: 'watcher',
    password: Buffer.from('watcher'),
  });
  for (let i = 0; i < 3; i += 1) await client.publish('a', 'four');

  const tree = JSON.parse((await ask(broker.port, '/api/v1/systree', { as })).body);
  const answer = await ask(broker.port, '/metrics', { as });
  assert.match(answer.headers['content-type']!, /^text\/plain; version=0\.0\.4/);
  const metrics = new Map(parse(answer.body).map((metric) => [metric.name, metric]));
  const value = (name: string) => Number(metrics.get(name)?.metrics[0]?.value);
  for (const [metric, topic] of [
    ['midge_received_publish_total', 'publish/messages/received'],
    ['midge_received_payload_bytes_total', 'publish/bytes/received'],
    ['midge_clients_connected', 'clients/connected'],
    ['midge_sessions', 'clients/total'],
    ['midge_retained_messages', 'retained messages/count'],
  ] as const) {
    assert.equal(value(metric), tree[`$SYS/broker/${topic}`], metric);
  }
  assert.deepEqual(
    [value('midge_received_publish_total'), value('midge_received_payload_bytes_total')],
    [3, 12],
  );
  assert.deepEqual([value('midge_info'), value('midge_ready'), value('midge_workers')], [1, 1, 2]);
  assert.deepEqual(
    metrics.get('midge_worker_clients')!.metrics.map(({ labels }) => labels),
    [{ worker: '0' }, { worker: '1' }],
  );
  const startedAt = value('midge_start_time_seconds') * 1000;
  assert.ok(Math.abs(Date.now() - startedAt) < 600_000, `started at ${startedAt}`);
  const shown = [...metrics.values()];
  for (const { name, type, help } of shown) {
    const { type: told, help: text } = METRICS[name as keyof typeof METRICS];
    assert.deepEqual([type, help], [told.toUpperCase(), text], name);
  }
  const later = Object.keys(METRICS).filter((name) => !metrics.has(name));
  const ofSaves = ['time_seconds', 'duration_seconds', 'bytes'].map((part) => `midge_store_save_${part}`);
  assert.deepEqual(later, ofSaves, 'nothing is saved yet');
  const page = readFileSync('docs/metrics.md', 'utf8');
  for (const { name } of shown) assert.ok(page.includes(`\`${name}\``), name);

  const open = await ask(broker.port, '/metrics', {
    as,
    headers: { Accept: 'application/openmetrics-text;version=1.0.0,text/plain;q=0.5' },
  });
  assert.match(open.headers['content-type']!, /^application\/openmetrics-text/);
  assert.match(open.body, /\n# EOF\n$/);
  assert.match(
    open.body,
    /^# TYPE midge_received_publish counter\n(?:.*\n)?midge_received_publish_total 3$/m,
  );
});

test('/readyz names a store that cannot be used', { skip }, async (t) => {
  const broker = await startBroker(t, {
    config: `listener {port} 127.0.0.1
protocol http_api
allow_anonymous true
persistence true
persistence_mode durable
persistence_location /dev/null/missing/`,
  });
  const ready = await ask(broker.port, '/readyz');
  assert.deepEqual([ready.status, ready.body], [503, 'the store cannot be used\n']);
  assert.equal((await ask(broker.port, '/healthz')).status, 200, 'a restart would not mend it');
  assert.match((await ask(broker.port, '/metrics')).body, /^midge_ready 0$/m);
});
