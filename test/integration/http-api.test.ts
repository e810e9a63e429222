/**
 * HTTP listeners: what the API says, who may ask, which files are served and which are not, and what becomes of
 * clients that want too much. The limits in time are in the unit tests of `http-api/http-server.ts`.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { Agent } from 'node:http';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { isRoot, onPort, reload, writePasswords, writeSecret } from '../support/brokers/access-files.js';
import { type Broker, isReference, startBroker, withBrokers } from '../support/brokers/broker.js';
import { skipWithout } from '../support/brokers/debian.js';
import { afterTest, makeFolder } from '../support/cleanup.js';
import { FrameSocket } from '../support/clients/frame-socket.js';
import { ask, type HttpQuestion } from '../support/clients/http-client.js';
import { RawClient } from '../support/clients/raw-client.js';
import { makeCertificates } from '../support/network/certificates.js';
import { freePort } from '../support/network/free-port.js';
import { builtFolder } from '../support/project.js';
import { runCommand } from '../support/run-command.js';
import { until } from '../support/within.js';

const LISTENER = 'listener {port} 127.0.0.1\nprotocol http_api\nallow_anonymous true';
const skip = isReference ? 'Mosquitto 2.0.11 has no HTTP API' : false;
const withOpenssl = skipWithout('/usr/bin/openssl');

/** @returns "status body" */
async function said(to: Broker | string, path: string, question?: HttpQuestion): Promise<string> {
  const { status, body } = await ask(typeof to === 'string' ? to : to.port, path, question);
  return `${status} ${body}`;
}

function rewrite(broker: Broker, change: (text: string) => string): void {
  const file = join(broker.folder, 'broker.conf');
  writeFileSync(file, change(readFileSync(file, 'utf8')));
}

const countOf = (broker: Broker, text: string) => broker.log.filter((line) => line.includes(text)).length;

// ---------------------------------------------------------------------------------------------------------- API

withBrokers(
  'what there is below /api/, and nothing but GET',
  async (t, broker) => {
    await broker.waitForLog(/: Opening http api listen socket on port \d+\.$/);
    const version = await ask(broker.port, '/api/v1/version');
    assert.match(version.body, /^\d+\.\d+\.\d+$/);
    assert.match(version.headers['content-type']!, /^text\/plain/);
    assert.equal(version.headers['access-control-allow-origin'], '*');
    assert.deepEqual(await said(broker, '/api/v1/version?a=/../b'), `200 ${version.body}`);
    assert.deepEqual(
      await said(broker, `http://127.0.0.1:${broker.port}/api/v1/version`),
      `200 ${version.body}`,
    );
    const head = await ask(broker.port, '/api/v1/version', { method: 'HEAD' });
    assert.deepEqual(
      [head.status, head.body, head.headers['content-length']],
      [200, '', String(version.body.length)],
    );
    for (const path of [
      '/api/',
      '/api/v1',
      '/api/v1/version/',
      '/api/v1/Version',
      '/api/v1/../v1/version',
      '/',
      '/x',
    ]) {
      assert.equal(await said(broker, path), '404 Not found.\n', path);
    }
    for (const path of ['/%', '/%c3', '*']) assert.equal(await said(broker, path), '404 Not found.\n', path);
    for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'PROPFIND']) {
      const body = method === 'TRACE' ? '' : 'x';
      const headers = { 'Content-Length': String(body.length) };
      const answer = await ask(broker.port, '/api/v1/version', { method, headers, body });
      assert.equal(`${answer.status} ${answer.body}`, '405 Invalid HTTP Method\n', method);
      assert.equal(answer.headers.allow, 'GET, HEAD');
      assert.equal(answer.headers['access-control-allow-origin'], '*');
    }
    assert.equal((await ask(broker.port, 'api/v1/version')).body, 'Not found.\n');
    await assert.rejects(ask(broker.port, 'x:80', { method: 'CONNECT' }));
    const mqtt = await RawClient.open(t, broker, 4);
    mqtt.send('100c00044d5154540402003c0000');
    await mqtt.expectClosed().catch(() => {});
    assert.equal(await said(broker, '/api/v1/version'), `200 ${version.body}`);
  },
  { config: LISTENER, skip },
);

test('/api/v1/listeners', { skip: withOpenssl }, async (t) => {
  const { server, authority } = makeCertificates(makeFolder(t));
  const [open, mutual, webSockets] = [await freePort(), await freePort(), await freePort()];
  const broker = await startBroker(t, {
    config: `per_listener_settings true
${LISTENER}
listener ${open} 127.0.0.1
listener ${mutual} 127.0.0.1
certfile ${server.certificate}
keyfile ${server.key}
cafile ${authority}
require_certificate true
listener ${webSockets} 127.0.0.1
protocol websockets
certfile ${server.certificate}
keyfile ${server.key}
listener 0 {folder}/mqtt.sock
allow_anonymous true`,
  });
  const answer = await ask(broker.port, '/api/v1/listeners');
  assert.equal(answer.headers['content-type'], 'application/json');
  const expected = [
    { port: broker.port, protocol: 'httpapi', tls: false, mtls: false, allow_anonymous: true },
    { port: open, protocol: 'mqtt', tls: false, mtls: false, allow_anonymous: false },
    { port: mutual, protocol: 'mqtt', tls: true, mtls: true, allow_anonymous: false },
    { port: webSockets, protocol: 'websockets', tls: true, mtls: false, allow_anonymous: false },
    {
      path: join(broker.folder, 'mqtt.sock'),
      protocol: 'mqtt',
      tls: false,
      mtls: false,
      allow_anonymous: true,
    },
  ];
  assert.deepEqual(JSON.parse(answer.body), { listeners: expected });
  rewrite(broker, (text) => text.replace(`listener ${open} 127.0.0.1`, '$&\nlistener_allow_anonymous true'));
  await reload(broker);
  const { listeners } = JSON.parse((await ask(broker.port, '/api/v1/listeners')).body);
  assert.equal(listeners[1].allow_anonymous, true);
});

/** What the topics of `$SYS` show whatever else happens: the watcher's own messages change the rest. */
const STEADY =
  /^\$SYS\/broker\/(clients\/.*|subscriptions\/count|retained messages\/count|messages\/received|bytes\/received|publish\/(messages|bytes)\/received|publish\/messages\/dropped.*)$/;

withBrokers(
  '/api/v1/systree shows what $SYS shows',
  async (t, broker) => {
    const mqtt = Number(
      /^listener (\d+) 127\.0\.0\.1\nsys/m.exec(readFileSync(join(broker.folder, 'broker.conf'), 'utf8'))![1],
    );
    const client = await RawClient.connect(t, onPort(broker, mqtt), 5, { clientId: 'watcher' });
    const other = await RawClient.connect(t, onPort(broker, mqtt), 5, { clientId: 'other' });
    for (let i = 0; i < 5; i += 1) await other.publish('a', 'payload');
    client.sendSubscribe('$SYS/#'); // an update may come before its SUBACK
    const shown = new Map<string, string>();
    const follow = async (enough: () => boolean): Promise<void> => {
      while (!enough()) {
        const packet = await client.next();
        if (packet.type === 'publish') shown.set(packet.topic, Buffer.from(packet.payload).toString());
      }
    };
    await follow(() => shown.get('$SYS/broker/publish/messages/received') === '5');
    const uptime = Number.parseInt(shown.get('$SYS/broker/uptime')!, 10);
    await follow(() => Number.parseInt(shown.get('$SYS/broker/uptime')!, 10) > uptime + 1);
    const answer = await ask(broker.port, '/api/v1/systree');
    const tree: Record<string, number> = JSON.parse(answer.body);
    assert.equal(answer.headers['content-type'], 'application/json');
    const whole = [...shown].filter(([topic, value]) => /^\d+$/.test(value) || topic.endsWith('/uptime'));
    assert.deepEqual(Object.keys(tree).sort(), whole.map(([topic]) => topic).sort());
    assert.ok(Object.values(tree).every(Number.isInteger), answer.body);
    const steady = whole.filter(([topic]) => STEADY.test(topic));
    assert.ok(steady.length > 15);
    for (const [topic, value] of steady) assert.equal(tree[topic], Number(value), topic);
    assert.deepEqual(
      [tree['$SYS/broker/clients/connected'], tree['$SYS/broker/publish/messages/received']],
      [2, 5],
    );
    assert.ok(tree['$SYS/broker/uptime']! >= uptime + 2);
    await other.publish('a', 'payload');
    assert.equal(
      JSON.parse((await ask(broker.port, '/api/v1/systree')).body)['$SYS/broker/publish/messages/received'],
      6,
    );
  },
  { config: `listener ${await freePort()} 127.0.0.1\nsys_interval 1\n${LISTENER}`, skip },
);

test('/api/v1/systree with sys_interval 0, which publishes nothing', async (t) => {
  const broker = await startBroker(t, { config: `sys_interval 0\n${LISTENER}` });
  const tree = JSON.parse((await ask(broker.port, '/api/v1/systree')).body);
  assert.equal(tree['$SYS/broker/clients/connected'], 0);
  assert.equal(tree['$SYS/broker/clients/maximum'], 0);
  assert.equal(tree['$SYS/broker/connections/socket/count'], 1); // this one
  assert.ok(tree['$SYS/broker/heap/current'] > 1_000_000);
});

// ------------------------------------------------------------------------------------------------------- access

/** A folder of pages, with users and rules for them. */
async function access(t: TestContext): Promise<{ folder: string; passwords: string; rules: string }> {
  const folder = makeFolder(t);
  mkdirSync(join(folder, 'www'));
  writeFileSync(join(folder, 'www', 'page.txt'), 'page');
  writeFileSync(join(folder, 'www', 'a b.txt'), 'spaced');
  const passwords = await writePasswords(folder, { ann: 'sec:ret', bob: 'pärchen' });
  const rules = writeSecret(
    folder,
    'rules',
    'topic read /page.txt\nuser ann\ntopic read /api/#\ntopic read /page.txt\ntopic read /a b.txt\npattern write /api/v1/listeners\npattern read /%u-%c/+\n',
  );
  return { folder, passwords, rules };
}

test('users, anonymous clients and rules, each allowed and denied', async (t) => {
  const { folder, passwords, rules } = await access(t);
  const http = `protocol http_api\nhttp_dir ${folder}/www`;
  const [named, open, ruled] = [await freePort(), await freePort(), await freePort()];
  const broker = await startBroker(t, {
    config: `per_listener_settings true
listener {port} 127.0.0.1
${http}
listener ${named} 127.0.0.1
${http}
password_file ${passwords}
listener ${open} 127.0.0.1
${http}
password_file ${passwords}
listener_allow_anonymous true
listener ${ruled} 127.0.0.1
${http}
password_file ${passwords}
acl_file ${rules}
allow_anonymous true`,
  });
  const no = '401 Not authorised\n';
  const basic = (text: string) => ({ Authorization: text });
  // biome-ignore format: a table
  const table: [port: number, path: string, question: HttpQuestion, expected: string][] = [
    [broker.port, '/page.txt', {}, no],
    [broker.port, '/page.txt', { as: 'ann:sec:ret' }, no], // there is nothing to check it against
    [named, '/page.txt', {}, no],
    [named, '/page.txt', { as: 'ann:sec:ret' }, '200 page'],
    [named, '/page.txt', { as: 'bob:pärchen' }, '200 page'],
    [named, '/page.txt', { as: 'ann:sec' }, no],
    [named, '/page.txt', { as: 'ann:' }, no],
    [named, '/page.txt', { as: 'eve:sec:ret' }, no],
    [named, '/page.txt', { headers: basic('Basic YW5u') }, no], // ann without a password
    [named, '/page.txt', { headers: basic('Basic') }, no],
    [named, '/page.txt', { headers: basic('Basic ***') }, no],
    [named, '/page.txt', { headers: basic('Bearer YW5uOnNlYzpyZXQ=') }, no],
    [named, '/page.txt', { headers: basic('bAsIc  YW5uOnNlYzpyZXQ=') }, '200 page'],
    [named, '/none', {}, no], // who may not ask does not hear what there is
    [named, '/none', { as: 'ann:sec:ret' }, '404 Not found.\n'],
    [named, '/page.txt', { as: 'ann:sec:ret', method: 'POST' }, '405 Invalid HTTP Method\n'],
    [open, '/page.txt', {}, '200 page'],
    [open, '/page.txt', { as: 'ann:sec:ret' }, '200 page'],
    [open, '/page.txt', { as: 'ann:wrong' }, no], // a name that is given has to be right
    [ruled, '/page.txt', {}, '200 page'],
    [ruled, '/page.txt', { as: 'ann:sec:ret' }, '200 page'],
    [ruled, '/page.txt', { as: 'bob:pärchen' }, no],
    [ruled, '/api/v1/nothing', {}, no],
    [ruled, '/api/v1/nothing', { as: 'ann:sec:ret' }, '404 Not found.\n'],
    [ruled, '/%61pi/v1/nothing', { as: 'ann:sec:ret' }, '404 Not found.\n'],
    [ruled, '/%61pi/v1/nothing', {}, no],
    [ruled, '/a%20b.txt', { as: 'ann:sec:ret' }, '200 spaced'],
    [ruled, '/a%20b.txt', {}, no],
    [ruled, '/page.txt/', {}, no],
    [ruled, '//page.txt', { as: 'ann:sec:ret' }, no],
    [ruled, '/api/../page.txt', { as: 'ann:sec:ret' }, '404 Not found.\n'], // the rules allow it, as what it looks like
    [ruled, '/bob-http-api/x', { as: 'bob:pärchen' }, '404 Not found.\n'], // the id of all HTTP clients
    [ruled, '/bob-other/x', { as: 'bob:pärchen' }, no],
    [ruled, '/+', { as: 'bob:pärchen' }, no],
    [ruled, '/#', { as: 'bob:pärchen' }, no],
  ];
  for (const [port, path, question, expected] of table) {
    const answer = await ask(port, path, question);
    const what = `${port} ${path} ${JSON.stringify(question)}`;
    assert.equal(`${answer.status} ${answer.body}`, expected, what);
    assert.equal(answer.headers['access-control-allow-origin'], '*', what);
    const challenge = answer.headers['www-authenticate'];
    assert.equal(/^Basic realm="Mosquitto API"/.test(challenge ?? ''), answer.status === 401, what);
  }
  await broker.waitForLog(
    /: Client http-api from 127\.0\.0\.1 is refused: the password of user "ann" is wrong\.$/,
  );
  await broker.waitForLog(
    /: Client http-api from 127\.0\.0\.1 is refused: it may not read '\/bob-other\/x': no rule grants it\.$/,
  );
});

test('global files, clientid_prefixes and use_username_as_clientid', async (t) => {
  const { folder, passwords, rules } = await access(t);
  const broker = await startBroker(t, {
    config: `password_file ${passwords}\nacl_file ${rules}\nclientid_prefixes device-
listener {port} 127.0.0.1
protocol http_api
http_dir ${folder}/www
use_username_as_clientid true`,
  });
  assert.equal(await said(broker, '/page.txt', { as: 'ann:sec:ret' }), '200 page');
  assert.equal(await said(broker, '/bob-bob/x', { as: 'bob:pärchen' }), '404 Not found.\n');
  assert.equal(await said(broker, '/bob-http-api/x', { as: 'bob:pärchen' }), '401 Not authorised\n');
});

test('a reload of users, rules and options counts for open connections, too', async (t) => {
  const { folder, passwords, rules } = await access(t);
  const broker = await startBroker(t, {
    config: `allow_anonymous false\npassword_file ${passwords}\nacl_file ${rules}
listener {port} 127.0.0.1
protocol http_api
http_dir ${folder}/www`,
  });
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  afterTest(t, () => agent.destroy());
  const arrivals = () => countOf(broker, ': New connection from ');
  const page = (as?: string) => said(broker, '/page.txt', { agent, ...(as !== undefined && { as }) });
  assert.equal(await page('ann:sec:ret'), '200 page');
  assert.equal(await page('ann:wrong'), '401 Not authorised\n'); // what a connection was let in with is not enough
  assert.equal(await page(), '401 Not authorised\n');
  assert.equal(await page('ann:sec:ret'), '200 page');

  await writePasswords(folder, { ann: 'other', bob: 'pärchen' });
  await reload(broker);
  assert.equal(await page('ann:sec:ret'), '401 Not authorised\n');
  assert.equal(await page('ann:other'), '200 page');
  writeSecret(folder, 'rules', 'user ann\ntopic read /api/#\n');
  await reload(broker);
  assert.equal(await page('ann:other'), '401 Not authorised\n');
  assert.equal(await page('ann:other'), '401 Not authorised\n');
  await broker.waitForLog(/it may not read '\/page\.txt'/);
  assert.equal(countOf(broker, "it may not read '/page.txt'"), 1); // one line a connection
  assert.match(await said(broker, '/api/v1/version', { agent, as: 'ann:other' }), /^200 /);
  writeSecret(folder, 'rules', 'topic read /page.txt\n');
  rewrite(broker, (text) => text.replace('allow_anonymous false', 'allow_anonymous true'));
  await reload(broker);
  assert.equal(await page(), '200 page');
  assert.equal(arrivals(), 1);
  rewrite(broker, (text) => text.replace('allow_anonymous true', 'allow_anonymous maybe'));
  await reload(broker);
  assert.equal(await page(), '200 page');
});

test('who fails again and again has to wait, others do not, and one without a name has not failed', async (t) => {
  const { passwords } = await access(t);
  const port = await freePort();
  const broker = await startBroker(t, {
    config: `password_file ${passwords}\nlistener {port} 127.0.0.1\nprotocol http_api\nlistener ${port} 127.0.0.1`,
  });
  const secondsOf = async (question: HttpQuestion, expected: number): Promise<number> => {
    const began = performance.now();
    assert.equal((await ask(broker.port, '/api/v1/version', question)).status, expected);
    return (performance.now() - began) / 1000;
  };
  for (let i = 0; i < 60; i += 1) await secondsOf({}, 401);
  for (let failure = 0; failure < 8; failure += 1) await secondsOf({ as: 'ann:wrong' }, 401);
  let isAnswered = false;
  const slow = secondsOf({ as: 'ann:wrong' }, 401).finally(() => {
    isAnswered = true;
  });
  const client = await RawClient.connect(t, onPort(broker, port), 4, {
    username: 'ann',
    password: Buffer.from('sec:ret'),
  });
  await client.publish('a', 'meanwhile');
  await secondsOf({ as: 'bob:pärchen' }, 200);
  assert.ok(!isAnswered, 'another user is not slowed down');
  assert.ok((await slow) > 0.4, 'the ninth is slowed down');
});

// -------------------------------------------------------------------------------------------------------- files

/** `www` with pages, and beside it what nobody may see. */
function pages(t: TestContext): { www: string; outside: string } {
  const folder = makeFolder(t);
  const www = join(folder, 'www');
  mkdirSync(join(www, 'sub', 'deep'), { recursive: true });
  mkdirSync(join(folder, 'www-secret'));
  const files = {
    'www/index.html': 'home',
    'www/sub/index.html': 'sub home',
    'www/sub/deep/x.JS': 'script',
    'www/empty.css': '',
    'www/ünï.txt': 'unicode',
    'www/..dots..': 'dots',
    'www/page.unknown': 'unknown',
    'secret.txt': 'secret',
    'www-secret/secret.txt': 'secret',
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  symlinkSync('sub/index.html', join(www, 'inside.html'));
  symlinkSync('../secret.txt', join(www, 'leak.txt'));
  symlinkSync(join(folder, 'www-secret'), join(www, 'leak'));
  symlinkSync('..', join(www, 'up'));
  symlinkSync('loop', join(www, 'loop'));
  symlinkSync('/dev/zero', join(www, 'zero'));
  execFileSync('mkfifo', [join(www, 'pipe')]);
  return { www, outside: folder };
}

test('files, and no way out of the folder', async (t) => {
  const { www, outside } = pages(t);
  const socket = createServer().listen(join(www, 'socket'));
  afterTest(t, () => socket.close());
  symlinkSync('www', join(outside, 'current')); // the folder itself may be a link
  const broker = await startBroker(t, { config: `${LISTENER}\nhttp_dir ${outside}/current`, workers: 3 });
  // biome-ignore format: a table
  const found: [path: string, body: string, type: string][] = [
      ['/', 'home', 'text/html; charset=utf-8'],
      ['/?a=b', 'home', 'text/html; charset=utf-8'],
      ['/index.html', 'home', 'text/html; charset=utf-8'],
      ['/sub/', 'sub home', 'text/html; charset=utf-8'],
      ['/%73ub%2Findex.html', 'sub home', 'text/html; charset=utf-8'],
      ['/sub/deep/x.JS', 'script', 'text/javascript; charset=utf-8'],
      ['/empty.css', '', 'text/css; charset=utf-8'],
      ['/%C3%BCn%C3%AF.txt', 'unicode', 'text/plain; charset=utf-8'],
      ['/..dots..', 'dots', 'application/octet-stream'],
      ['/page.unknown', 'unknown', 'application/octet-stream'],
      ['/inside.html', 'sub home', 'text/html; charset=utf-8'],
    ['/up/www/index.html', 'home', 'text/html; charset=utf-8'], // what counts is where it lies
    ];
  for (const [path, body, type] of found) {
    for (const method of ['GET', 'HEAD']) {
      const answer = await ask(broker.port, path, { method });
      assert.deepEqual(
        [answer.status, answer.body, answer.headers['content-type'], answer.headers['content-length']],
        [200, method === 'GET' ? body : '', type, String(body.length)],
        `${method} ${path}`,
      );
      assert.equal(answer.headers['access-control-allow-origin'], '*');
    }
  }
  const name = outside.slice(1);
  const missing = [
    '/none',
    '/index.html/',
    '/index.html/x',
    '/sub',
    '/sub/deep/',
    '//index.html',
    '/sub//index.html',
    '/./index.html',
    '/sub/./index.html',
    '/sub/../index.html',
    '/sub/..%2findex.html',
    '/..',
    '/../',
    '/../secret.txt',
    '/../www/index.html',
    '/../www-secret/secret.txt',
    '/%2e%2e/secret.txt',
    '/.%2E/secret.txt',
    '/%2e%2e%2fsecret.txt',
    '/%2e%2e%5csecret.txt',
    '/..\\secret.txt',
    '/%252e%252e/secret.txt',
    '/sub/../../secret.txt',
    '/sub/deep/../../../secret.txt',
    `//${name}/secret.txt`,
    `/%2f${name}/secret.txt`,
    `/${name}/secret.txt`,
    '/etc/passwd',
    '//etc/passwd',
    '/%2fetc/passwd',
    '/index.html%00',
    '/index.html%00.txt',
    '/%00',
    '/../secret.txt%00.html',
    '/leak.txt',
    '/leak/secret.txt',
    '/leak/',
    '/up/secret.txt',
    '/loop',
    '/loop/x',
    '/zero',
    '/pipe',
    '/socket',
    `/${'x'.repeat(300)}`,
    `/${'x/'.repeat(2000)}`,
  ];
  for (const path of missing) assert.equal(await said(broker, path), '404 Not found.\n', path);
  assert.equal(await said(broker, '/index.html', { method: 'POST' }), '405 Invalid HTTP Method\n');
  assert.match(await said(broker, '/api/v1/version'), /^200 \d/);
  assert.deepEqual(openFiles(broker, outside), []);
});

/** Descriptors of the broker that lead to files there. */
function openFiles({ pid }: Broker, folder: string): string[] {
  const descriptors = `/proc/${pid}/fd`;
  return readdirSync(descriptors).flatMap((fd) => {
    try {
      const file = readlinkSync(join(descriptors, fd));
      return file.startsWith(folder) ? [file] : [];
    } catch {
      return [];
    }
  });
}

test('what cannot be read is for the log only', {
  skip: !isRoot && 'needs root, to give it up',
}, async (t) => {
  const { www } = pages(t);
  execFileSync('chmod', ['0755', join(www, '..')]);
  writeFileSync(join(www, 'closed.txt'), 'closed', { mode: 0o600 });
  const broker = await startBroker(t, { config: `user nobody\n${LISTENER}\nhttp_dir ${www}` });
  assert.equal(await said(broker, '/closed.txt'), '404 Not found.\n');
  await broker.waitForLog(
    /: Warning: '\/closed\.txt' of http_dir "\S+" cannot be read: Permission denied\.$/,
  );
  assert.equal(await said(broker, '/index.html'), '200 home');
});

test('a copy that is still right is not sent again', async (t) => {
  const { www } = pages(t);
  const page = join(www, 'index.html');
  utimesSync(page, 1_700_000_000.5, 1_700_000_000.5);
  const broker = await startBroker(t, { config: `${LISTENER}\nhttp_dir ${www}` });
  const statusWith = async (headers: Record<string, string>) =>
    (await ask(broker.port, '/', { headers })).status;
  const { headers } = await ask(broker.port, '/');
  const tag = headers.etag!;
  assert.equal(headers['last-modified'], 'Tue, 14 Nov 2023 22:13:20 GMT');
  assert.equal(headers['cache-control'], 'no-cache');
  const [before, after] = ['Tue, 14 Nov 2023 22:13:19 GMT', 'Tue, 14 Nov 2023 22:13:21 GMT'];
  // biome-ignore format: a table
  const table: [headers: Record<string, string>, status: number][] = [
    [{ 'If-None-Match': tag }, 304],
    [{ 'If-None-Match': `"x", W/${tag}` }, 304],
    [{ 'If-None-Match': '*' }, 304],
    [{ 'If-None-Match': '"x"' }, 200],
    [{ 'If-None-Match': '"x"', 'If-Modified-Since': after }, 200],
    [{ 'If-Modified-Since': headers['last-modified']! }, 304],
    [{ 'If-Modified-Since': after }, 304],
    [{ 'If-Modified-Since': before }, 200],
    [{ 'If-Modified-Since': 'yesterday' }, 200],
  ];
  for (const [sent, status] of table) assert.equal(await statusWith(sent), status, JSON.stringify(sent));
  writeFileSync(page, 'changed');
  assert.equal(await said(broker, '/', { headers: { 'If-None-Match': tag } }), '200 changed');
});

test('large files come whole, to many at once; who stops reading holds nobody up', async (t) => {
  const { www } = pages(t);
  const large = 'midge'.repeat(2_000_000);
  writeFileSync(join(www, 'large.txt'), large);
  const broker = await startBroker(t, { config: `${LISTENER}\nhttp_dir ${www}` });
  const lazy = FrameSocket.connect(t, { port: broker.port, host: '127.0.0.1' });
  lazy.stream.pause();
  lazy.send('GET /large.txt HTTP/1.1\r\nHost: x\r\n\r\n');
  await until(() => openFiles(broker, www).length === 1, 'an open file');
  const answers = await Promise.all(Array.from({ length: 5 }, () => ask(broker.port, '/large.txt')));
  for (const { status, body } of answers) assert.ok(status === 200 && body === large);
  assert.equal(openFiles(broker, www).length, 1);
  lazy.destroy();
  await until(() => openFiles(broker, www).length === 0, 'no open file');
  assert.equal(countOf(broker, 'Error'), 0, broker.log.join('\n'));
});

// -------------------------------------------------------------------------------------------- limits, and load

withBrokers(
  'max_connections, and places that are given back',
  async (t, broker) => {
    const idle = [1, 2].map(() => FrameSocket.connect(t, { port: broker.port, host: '127.0.0.1' }));
    await until(() => countOf(broker, ': New connection from ') === 2, 'two connections');
    await assert.rejects(ask(broker.port, '/'));
    await broker.waitForLog(/: Client connection from 127\.0\.0\.1 denied: max_connections exceeded\.$/);
    for (const socket of idle) socket.destroy();
    for (let i = 0; i < 10; i += 1) {
      while ((await said(broker, '/').catch(() => '')) !== '404 Not found.\n');
    }
  },
  { config: `${LISTENER}\nmax_connections 2`, skip },
);

withBrokers(
  'many connections that do nothing: a bound of their own, and MQTT goes on',
  async (t, broker) => {
    const mqtt = onPort(
      broker,
      Number(/^listener (\d+)/m.exec(readFileSync(join(broker.folder, 'broker.conf'), 'utf8'))![1]),
    );
    const sockets = Array.from({ length: 100 }, () =>
      FrameSocket.connect(t, { port: broker.port, host: '127.0.0.1' }),
    );
    await until(() => countOf(broker, ': New connection from ') === 100, 'a hundred connections');
    await assert.rejects(ask(broker.port, '/'));
    await broker.waitForLog(/ denied: max_connections exceeded\.$/);
    const client = await RawClient.connect(t, mqtt, 4);
    assert.equal(await client.publish('a', 'x'), 0);
    // They can still ask, and then they end: so there is room again.
    for (const socket of sockets) socket.send('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    for (const socket of sockets) await socket.expectEnd();
    for (const socket of sockets) {
      await socket.expectEndOfResponse();
      assert.match(socket.response, /^HTTP\/1\.1 404 /);
    }
    while ((await said(broker, '/').catch(() => '')) !== '404 Not found.\n');
  },
  { config: `listener ${await freePort()} 127.0.0.1\nallow_anonymous true\n${LISTENER}`, skip },
);

test('who never comes to the end of a header is cut off, however many', async (t) => {
  const broker = await startBroker(t, { config: LISTENER });
  const slow = Array.from({ length: 50 }, () =>
    FrameSocket.connect(t, { port: broker.port, host: '127.0.0.1' }),
  );
  for (const socket of slow) socket.send('GET /api/v1/version HTTP/1.1\r\nHost: x\r\n');
  let sent = 0;
  const drip = setInterval(() => {
    sent += 1;
    for (const socket of slow) socket.send(`X-${sent}: y\r\n`);
  }, 100);
  afterTest(t, () => clearInterval(drip));
  assert.match(await said(broker, '/api/v1/version'), /^200 /);
  for (const socket of slow) await socket.expectEnd();
  assert.ok(sent > 50, 'not sooner than a slow line may need');
  assert.match(await said(broker, '/api/v1/version'), /^200 /);
});

test('requests on top of one another, and other nonsense, do no harm', async (t) => {
  const broker = await startBroker(t, { config: LISTENER });
  const get = 'GET /api/v1/version HTTP/1.1\r\nHost: x\r\n';
  for (const nonsense of [
    `${get}\r\n`.repeat(200),
    `${get}\r\nnonsense`,
    `${get}Transfer-Encoding: chunked\r\n\r\nzz\r\n`,
    `${get}Content-Length: 5\r\nContent-Length: 6\r\n\r\n`,
    `${get}X: ${'x'.repeat(20_000)}\r\n\r\n`,
    'GET\r\n\r\n',
    '\0\0\0\0',
    '\x16\x03\x01\x02\x00\x01\x00\x01',
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  ]) {
    const socket = FrameSocket.connect(t, { port: broker.port, host: '127.0.0.1' });
    socket.send(nonsense);
    await socket.expectEnd();
  }
  const upgrade = await ask(broker.port, '/api/v1/version', {
    headers: { Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13' },
  });
  assert.equal(upgrade.status, 200);
  assert.equal(countOf(broker, 'Error'), 0, broker.log.join('\n'));
});

// ---------------------------------------------------------------------------------------------------------- TLS

test('over TLS: certificates, their reload, and clients without TLS', { skip: withOpenssl }, async (t) => {
  const folder = makeFolder(t);
  const { server, otherHost, authority, client } = makeCertificates(folder);
  for (const [from, to] of [
    ['certificate', 'server.crt'],
    ['key', 'server.key'],
  ] as const) {
    copyFileSync(server[from], join(folder, to));
  }
  const mutual = await freePort();
  const tls = `protocol http_api\ncertfile ${folder}/server.crt\nkeyfile ${folder}/server.key`;
  const broker = await startBroker(t, {
    config: `per_listener_settings true
listener {port} 127.0.0.1
allow_anonymous true
${tls}
listener ${mutual} 127.0.0.1
${tls}
cafile ${authority}
require_certificate true
use_identity_as_username true
acl_file ${writeSecret(folder, 'rules', 'user client\ntopic read /api/#\n')}`,
  });
  const ca = readFileSync(authority);
  const trust = { ca, servername: 'localhost' };
  assert.match(await said(broker, '/api/v1/version', { tls: trust }), /^200 \d/);
  await assert.rejects(ask(broker.port, '/', { tls: { ...trust, servername: 'other.example' } }), /altnames/);
  await assert.rejects(ask(broker.port, '/'));
  await broker.waitForLog(/: Client 127\.0\.0\.1 \[\S+\] disconnected: TLS: it does not speak TLS /);

  const known = { ...trust, cert: readFileSync(client.certificate), key: readFileSync(client.key) };
  assert.match((await ask(mutual, '/api/v1/version', { tls: known })).body, /^\d/);
  assert.equal((await ask(mutual, '/other', { tls: known })).status, 401);
  await assert.rejects(ask(mutual, '/api/v1/version', { tls: trust }));

  // A connection from before, and one after.
  const before = connectTls({ port: broker.port, host: '127.0.0.1', ...trust });
  const socket = new FrameSocket(t, before);
  await new Promise((resolve) => before.once('secureConnect', resolve));
  copyFileSync(otherHost.certificate, join(folder, 'server.crt'));
  copyFileSync(otherHost.key, join(folder, 'server.key'));
  await reload(broker);
  const other = { ca, servername: 'other.example' };
  assert.match(await said(broker, '/api/v1/version', { tls: other }), /^200 \d/);
  await assert.rejects(ask(broker.port, '/', { tls: trust }), /altnames/);
  socket.send('GET /none HTTP/1.1\r\nHost: x\r\n\r\n');
  await socket.expectEndOfResponse();
  assert.match(socket.response, /^HTTP\/1\.1 404 /);

  writeFileSync(join(folder, 'server.crt'), 'no certificate');
  await reload(broker);
  assert.match(await said(broker, '/api/v1/version', { tls: other }), /^200 \d/);
});

test('--tls-keylog has the secrets of HTTP listeners, too', { skip: withOpenssl }, async (t) => {
  const folder = makeFolder(t);
  const { server, authority } = makeCertificates(folder);
  const broker = await startBroker(t, {
    config: `${LISTENER}\ncertfile ${server.certificate}\nkeyfile ${server.key}`,
    args: ['--tls-keylog', '{folder}/keys'],
  });
  await ask(broker.port, '/', { tls: { ca: readFileSync(authority), servername: 'localhost' } });
  await until(
    () => /^SERVER_TRAFFIC_SECRET_0 /m.test(readFileSync(join(broker.folder, 'keys'), 'utf8')),
    'a secret',
  );
});

// ---------------------------------------------------------------------------------- listeners and their options

withBrokers(
  'on a unix socket',
  async (_, broker) => {
    const socket = join(broker.folder, 'http.sock');
    assert.match(await said(socket, '/api/v1/version'), /^200 \d/);
    assert.deepEqual(JSON.parse((await ask(socket, '/api/v1/listeners')).body).listeners[0].path, socket);
    assert.equal(await said(socket, '/none'), '404 Not found.\n');
  },
  { config: 'listener 0 {folder}/http.sock\nprotocol http_api\nallow_anonymous true', skip },
);

test('bind_interface, socket_domain, and one line for all addresses', async (t) => {
  const [all, interfaced] = [await freePort(), await freePort()];
  const broker = await startBroker(t, {
    config: `allow_anonymous true
listener {port}
protocol http_api
socket_domain ipv4
listener ${all}
protocol http_api
listener ${interfaced}
protocol http_api
bind_interface lo
socket_domain ipv4`,
  });
  for (const port of [broker.port, all, interfaced]) {
    assert.match((await ask(port, '/api/v1/version')).body, /^\d/);
    assert.equal(countOf(broker, `: Opening http api listen socket on port ${port}.`), 1);
  }
});

test('where descriptors cannot change threads', { skip: withOpenssl }, async (t) => {
  const { www, outside } = pages(t);
  const { server, authority } = makeCertificates(outside);
  const large = 'midge'.repeat(500_000);
  writeFileSync(join(www, 'large.txt'), large);
  const secured = await freePort();
  const broker = await startBroker(t, {
    env: { MIDGE_NO_DESCRIPTORS: '1' },
    config: `${LISTENER}\nhttp_dir ${www}\nlistener ${secured} 127.0.0.1\nprotocol http_api
http_dir ${www}\ncertfile ${server.certificate}\nkeyfile ${server.key}`,
  });
  const tls = { ca: readFileSync(authority), servername: 'localhost' };
  for (let i = 0; i < 3; i += 1) {
    assert.ok((await ask(broker.port, '/large.txt')).body === large);
    assert.ok((await ask(secured, '/large.txt', { tls })).body === large);
  }
  const socket = FrameSocket.connect(t, { port: broker.port, host: '127.0.0.1' });
  socket.send('nonsense\r\n\r\n');
  await socket.expectEnd();
  await until(() => openFiles(broker, www).length === 0, 'no open file');
});

for (const [name, place, complaint] of [
  ['that does not exist', 'none', 'no such file or directory'],
  ['that is a file', 'broker.conf', 'it is a file'],
] as const) {
  test(`no start with an http_dir ${name}`, async (t) => {
    const folder = makeFolder(t);
    const file = join(folder, 'broker.conf');
    const port = await freePort();
    writeFileSync(file, `listener ${port} 127.0.0.1\nprotocol http_api\nhttp_dir ${folder}/${place}\n`);
    for (const args of [
      ['-c', file],
      ['-c', file, '--test-config'],
    ]) {
      const { code, stderr } = await runCommand([
        process.execPath,
        join(builtFolder, 'src/midge.cjs'),
        ...args,
      ]);
      assert.equal(code, 3, args.join(' '));
      const said = stderr.toString();
      assert.ok(said.includes(`Error: Unable to open http_dir '${folder}/${place}'.`), said);
      assert.ok(said.includes(`Error found at ${file}:3.`), said);
      assert.ok(said.includes(complaint), said);
    }
  });
}

test('http_dir after a reload: in force only after a restart', async (t) => {
  const { www } = pages(t);
  const broker = await startBroker(t, { config: `${LISTENER}\nhttp_dir ${www}` });
  rewrite(broker, (text) => text.replace(`http_dir ${www}`, `http_dir ${www}/sub`));
  for (let i = 0; i < 2; i += 1) {
    const from = broker.log.length;
    broker.program.signal('SIGHUP');
    const told = /: (Warning: )?Changed.*: .*http_dir.*/;
    assert.match(
      await broker.waitForLog(told, { from }),
      /: Warning: Changed, but in force only after a restart: http_dir \(listener \d+ 127\.0\.0\.1\)\.$/,
    );
    assert.equal(await said(broker, '/index.html'), '200 home');
  }
  rewrite(broker, (text) => text.replace('/sub', '/none'));
  await reload(broker);
  assert.equal(await said(broker, '/index.html'), '200 home');
  rewrite(broker, (text) => text.replace('/none', '/sub'));
  await broker.stop();
  const again = await broker.startAgain(t);
  assert.equal(await said(again, '/index.html'), '200 sub home');
});

test('a listener becomes one for HTTP, and MQTT again, for new connections', async (t) => {
  const broker = await startBroker(t, {
    config: 'listener {port} 127.0.0.1\nprotocol mqtt\nallow_anonymous true',
  });
  const client = await RawClient.connect(t, broker, 4);
  rewrite(broker, (text) => text.replace('protocol mqtt', 'protocol http_api'));
  await reload(broker);
  assert.match(await said(broker, '/api/v1/version'), /^200 \d/);
  assert.equal(await client.publish('a', 'x'), 0);
  rewrite(broker, (text) => text.replace('protocol http_api', 'protocol mqtt'));
  await reload(broker);
  await RawClient.connect(t, broker, 4, { clientId: 'later' });
  await assert.rejects(ask(broker.port, '/'));
});

test('brokers without such a listener do not load what serves it', async (t) => {
  const spy = `import { isMainThread } from 'node:worker_threads';
process.on('exit', () => {
  if (isMainThread) console.log('http is loaded: ' + process.moduleLoadList.includes('NativeModule http'));
});`;
  const env = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(spy)}` };
  for (const [config, loaded] of [
    [LISTENER, true],
    ['', false],
  ] as const) {
    const broker = await startBroker(t, { config, env });
    await broker.stop();
    assert.ok(broker.log.includes(`http is loaded: ${loaded}`), broker.log.join('\n'));
  }
});

test('a broker with nothing but HTTP, and its end with requests under way', async (t) => {
  const { www } = pages(t);
  writeFileSync(join(www, 'large.txt'), 'midge'.repeat(2_000_000));
  const broker = await startBroker(t, { config: `${LISTENER}\nhttp_dir ${www}` });
  const lazy = FrameSocket.connect(t, { port: broker.port, host: '127.0.0.1' });
  lazy.stream.pause();
  lazy.send('GET /large.txt HTTP/1.1\r\nHost: x\r\n\r\n');
  const idle = FrameSocket.connect(t, { port: broker.port, host: '127.0.0.1' });
  await until(() => openFiles(broker, www).length === 1, 'an open file');
  assert.equal(await broker.stop(), 0);
  await idle.expectEnd();
});
