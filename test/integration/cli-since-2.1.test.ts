/**
 * What the commands have since Mosquitto 2.1, which Debian's do not know: tested from its description, against
 * Debian's broker.
 */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createWebSocketStream, WebSocketServer } from 'ws';
import type { ProgramName } from '../../src/cli/clients/options/client-settings.js';
import { type Broker, startMosquitto } from '../support/brokers/broker.js';
import { skipWithout } from '../support/brokers/debian.js';
import { afterTest, makeFolder } from '../support/cleanup.js';
import { COMMAND_ENVIRONMENT, ourCommand } from '../support/clients/client-commands.js';
import { LineSink, RecordingProxy } from '../support/clients/wire-record.js';
import { makeCertificates } from '../support/network/certificates.js';
import { freePort } from '../support/network/free-port.js';
import { Program } from '../support/program.js';
import { type CommandEnd, runCommand } from '../support/run-command.js';

const skip = skipWithout('/usr/sbin/mosquitto', '/usr/bin/openssl');

interface Run extends Omit<CommandEnd, 'stdout' | 'stderr'> {
  stdout: string;
  stderr: string;
}

async function run(
  program: ProgramName,
  args: readonly string[],
  { input, env = {} }: { input?: string; env?: Record<string, string> } = {},
): Promise<Run> {
  const command = [...ourCommand(program), ...args];
  const end = await runCommand(command, { input, env: { ...COMMAND_ENVIRONMENT, ...env } });
  return { ...end, stdout: end.stdout.toString(), stderr: end.stderr.toString() };
}

/** A subscriber that has subscribed. */
async function subscribed(t: TestContext, port: number, ...args: string[]): Promise<Program> {
  const command = [...ourCommand('mosquitto_sub'), '-h', '127.0.0.1', '-p', String(port), '-d', ...args];
  const program = new Program(t, 'mosquitto_sub', command, { env: COMMAND_ENVIRONMENT });
  await program.waitForLine(/^Subscribed/);
  return program;
}

async function publish(broker: Broker, topic: string, ...payloads: (string | Buffer)[]): Promise<void> {
  for (const payload of payloads) {
    const args = ['-h', '127.0.0.1', '-p', String(broker.port), '-t', topic, '-q', '1', '-s'];
    const end = await runCommand([...ourCommand('mosquitto_pub'), ...args], { input: payload });
    assert.equal(end.code, 0, end.stderr.toString());
  }
}

test('since 2.1', { skip, concurrency: 3 }, async (t) => {
  const broker = await startMosquitto(t);
  const address = ['-h', '127.0.0.1', '-p', String(broker.port)];
  const tests: Promise<void>[] = [];
  const it = (name: string, fn: (t: TestContext) => Promise<void>) => tests.push(t.test(name, fn));

  it('-o names an options file, and one that is not there is none', async (t) => {
    const file = join(makeFolder(t), 'options');
    writeFileSync(file, `-h 127.0.0.1\n-p ${broker.port}\n-t from/file\n`);
    const { stdout, code } = await run('mosquitto_pub', ['-o', file, '-m', 'x', '-d']);
    assert.match(stdout, /'from\/file'/);
    assert.equal(code, 0);
    assert.equal(
      (await run('mosquitto_pub', [...address, '-o', '/nonexistent', '-t', 'a', '-m', 'x'])).code,
      0,
    );
  });

  it('--retain-handling is told to the broker', async (t) => {
    for (const [word, value] of [
      ['always', 0],
      ['new', 1],
      ['never', 2],
    ] as const) {
      const proxy = await RecordingProxy.start(t, broker.port);
      const args = [
        '-h',
        '127.0.0.1',
        '-p',
        String(proxy.port),
        '-t',
        'a',
        '-E',
        '-V',
        '5',
        '--retain-handling',
        word,
      ];
      assert.equal((await run('mosquitto_sub', args)).code, 0);
      const packet = proxy.sent[0]?.[1];
      assert.equal(packet?.type === 'subscribe' && packet.subscriptions[0]?.retainHandling, value);
    }
  });

  it('-x selects MQTT 5, unless -V follows', async (t) => {
    const proxy = await RecordingProxy.start(t, broker.port);
    const args = ['-h', '127.0.0.1', '-p', String(proxy.port), '-t', 'a', '-m', 'x', '-x', '60'];
    await run('mosquitto_pub', args);
    await run('mosquitto_pub', [...args, '-V', '311']);
    const versions = proxy.sent.map(([connect]) => connect?.type === 'connect' && connect.version);
    assert.deepEqual(versions, [5, 4]);
    const [connect] = proxy.sent[0]!;
    assert.equal(connect?.type === 'connect' && connect.properties.sessionExpiryInterval, 60);
  });

  it('mosquitto_sub with -U alone unsubscribes and stays', async (t) => {
    const proxy = await RecordingProxy.start(t, broker.port);
    const args = ['-h', '127.0.0.1', '-p', String(proxy.port), '-U', 'a', '-W', '2', '-d', '-i', 'u1'];
    const { code, stdout } = await run('mosquitto_sub', args);
    assert.equal(code, 27);
    assert.match(stdout, /received UNSUBACK/);
    assert.deepEqual(
      proxy.sent[0]?.map(({ type }) => type),
      ['connect', 'unsubscribe', 'disconnect'],
    );
  });

  it('--watch gives each topic its line', async (t) => {
    const sub = await subscribed(t, broker.port, '-t', 'watch/#', '-v', '-w', '-C', '3');
    await publish(broker, 'watch/a', 'one');
    await publish(broker, 'watch/b', 'two');
    await publish(broker, 'watch/a', 'three');
    assert.equal((await sub.waitForEnd()).code, 0);
    const esc = '\x1b';
    const shown = sub.output.replace(/(Client|Subscribed).*\n/g, '');
    assert.equal(
      shown,
      `${esc}[2;1Hwatch/a one\n${esc}[3;1H${esc}[3;1Hwatch/b two\n${esc}[4;1H${esc}[2;1Hwatch/a three\n${esc}[4;1H`,
    );
  });

  it('--message-rate prints rates only', async (t) => {
    const sub = await subscribed(t, broker.port, '-t', 'rate', '--message-rate');
    await publish(broker, 'rate', 'a', 'b');
    await sub.waitForLine(/^[12] msgs\/s$/);
    sub.signal('SIGTERM');
    assert.equal((await sub.waitForEnd()).code, 0);
    assert.ok(
      sub.stdout.every((line) => /^(Client|Subscribed|\d+ msgs\/s$)/.test(line)),
      sub.tail(),
    );
  });

  it('--random-filter prints its share, and -C counts all', async (t) => {
    const sub = await subscribed(t, broker.port, '-t', 'chance', '--random-filter', '100', '-C', '20');
    await run('mosquitto_pub', [...address, '-t', 'chance', '-l', '-q', '1'], { input: 'x\n'.repeat(20) });
    assert.equal((await sub.waitForEnd()).code, 0);
    assert.equal(sub.stdout.filter((line) => line === 'x').length, 20);
    const few = await subscribed(t, broker.port, '-t', 'chance', '--random-filter', '0.1', '-C', '20');
    await run('mosquitto_pub', [...address, '-t', 'chance', '-l', '-q', '1'], { input: 'x\n'.repeat(20) });
    assert.equal((await few.waitForEnd()).code, 0);
    assert.ok(few.stdout.filter((line) => line === 'x').length < 5);
  });

  it('%d, %f and groups of %x', async (t) => {
    const sub = await subscribed(t, broker.port, '-t', 'float', '-F', '%.2d|%.4:x', '-C', '2');
    await publish(broker, 'float', Buffer.from(Float64Array.of(2.5).buffer), 'abc');
    assert.equal((await sub.waitForEnd()).code, 0);
    assert.deepEqual(
      sub.stdout.filter((line) => line.includes('|')),
      ['2.50|0000:0000:0000:0440', '|6162:63'],
    );
    assert.deepEqual(sub.stderr, ['Error: Message payload is not a double (8 bytes) on topic float.']);
  });

  it('JSON has truth values, a clean time and user properties in a list', async () => {
    const end = await run('mosquitto_rr', [
      ...[...address, '-t', 'json', '-e', 'json', '-m', 'x', '-F', '%j'],
      ...['-D', 'publish', 'user-property', 'k', 'v', '-D', 'publish', 'user-property', 'k', 'w'],
    ]);
    const message = JSON.parse(end.stdout);
    assert.match(message.tst, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+0[12]00$/);
    assert.equal(message.retain, false);
    assert.deepEqual(message.properties['user-properties'], [{ k: 'v' }, { k: 'w' }]);
  });

  it('mosquitto_rr sends its file and its input, says goodbye and tells the latency', async (t) => {
    const file = join(makeFolder(t), 'request');
    writeFileSync(file, 'from the file');
    const proxy = await RecordingProxy.start(t, broker.port);
    const args = ['-h', '127.0.0.1', '-p', String(proxy.port), '-t', 'rr', '-e', 'rr'];
    const fromFile = await run('mosquitto_rr', [...args, '-f', file, '--latency']);
    assert.match(fromFile.stdout, /^from the file\nLatency: \d+(ns|\.\d{6}[µm]s|\.\d{9})\n$/);
    const fromInput = await run('mosquitto_rr', [...args, '-s', '-R', '--retain-as-published'], {
      input: 'typed',
    });
    assert.equal(fromInput.stdout, 'typed\n');
    await proxy.heardAll();
    assert.deepEqual(
      proxy.sent.map((packets) => packets.at(-1)?.type),
      ['disconnect', 'disconnect'],
    );
    const subscribe = proxy.sent[1]?.[1];
    assert.ok(subscribe?.type === 'subscribe');
    assert.deepEqual(
      [subscribe.subscriptions[0]?.retainAsPublished, subscribe.subscriptions[0]?.retainHandling],
      [true, 2],
    );
  });

  it('mosquitto_rr -C waits for more responses', async () => {
    const { stdout, code } = await run('mosquitto_rr', [
      ...[...address, '-V', '5', '-t', 'more', '-e', 'more', '-m', 'x', '-C', '1'],
    ]);
    assert.deepEqual([stdout, code], ['x\n', 0]);
  });

  it('--remove-retained with -C and with --retained-only ends by itself, and removes', async () => {
    const kept = ['-t', 'kept/a', '-m', 'old', '-r', '-q', '1'];
    for (const args of [
      ['-C', '1'],
      ['--retained-only', '-t', 'kept/live'],
    ]) {
      await run('mosquitto_pub', [...address, ...kept]);
      // Messages that are not retained come until the subscriber has seen one.
      const sub = run('mosquitto_sub', [...address, '-t', 'kept/a', '--remove-retained', '-v', ...args]);
      let isDone = false;
      sub.then(() => {
        isDone = true;
      });
      while (!isDone) await run('mosquitto_pub', [...address, '-t', 'kept/live', '-m', 'new']);
      const { stdout, code } = await sub;
      assert.deepEqual([stdout, code], ['kept/a old\n', 0]);
      const after = await run('mosquitto_sub', [...address, '-t', 'kept/a', '-W', '2', '--retained-only']);
      assert.deepEqual([after.stdout, after.code], ['', 27]);
    }
  });

  await Promise.all(tests);
});

test('transports', { skip, concurrency: 3 }, async (t) => {
  const folder = makeFolder(t);
  const certificates = makeCertificates(folder);
  const tlsPort = await freePort();
  const rootOnly = process.getuid?.() === 0 ? 'user root' : '';
  const { certificate, key } = certificates.server;
  const broker = await startMosquitto(t, {
    config: `${rootOnly}
listener {port} 127.0.0.1
allow_anonymous true
listener ${tlsPort} 127.0.0.1
certfile ${certificate}
keyfile ${key}`,
  });
  const tests: Promise<void>[] = [];
  const it = (name: string, fn: (t: TestContext) => Promise<void>) => tests.push(t.test(name, fn));

  it('--ws and ws:// speak MQTT over WebSockets', async (t) => {
    const port = await webSocketGateway(t, broker.port);
    const args = [
      '-h',
      '127.0.0.1',
      '-p',
      String(port),
      '--ws',
      '-t',
      'ws',
      '-e',
      'ws',
      '-m',
      'over ws',
      '-q',
      '2',
    ];
    assert.deepEqual(await brief(run('mosquitto_rr', args)), ['over ws\n', '', 0]);
    const url = `ws://127.0.0.1:${port}/ws/topic`;
    const big = 'x'.repeat(300_000);
    assert.deepEqual(await brief(run('mosquitto_pub', ['-L', url, '-s', '-r', '-q', '1'], { input: big })), [
      '',
      '',
      0,
    ]);
    assert.deepEqual(await brief(run('mosquitto_sub', ['-L', url, '-C', '1'])), [`${big}\n`, '', 0]);
  });

  it('wss:// does so within TLS', async (t) => {
    const port = await webSocketGateway(t, broker.port, {
      cert: readFileSync(certificate),
      key: readFileSync(key),
    });
    const args = [
      '-L',
      `wss://localhost:${port}/wss`,
      '-e',
      'wss',
      '-m',
      'x',
      '--cafile',
      certificates.authority,
    ];
    assert.deepEqual(await brief(run('mosquitto_rr', args)), ['x\n', '', 0]);
  });

  it('a server that speaks no WebSockets', async () => {
    const { stderr, code } = await run('mosquitto_pub', ['-L', `ws://127.0.0.1:${broker.port}/a`, '-m', 'x']);
    assert.deepEqual(
      [stderr, code],
      ['Error: A network protocol error occurred when communicating with the broker\n', 1],
    );
  });

  it('--no-tls sets all of TLS aside', async () => {
    const args = [
      '-h',
      '127.0.0.1',
      '-p',
      String(broker.port),
      '--no-tls',
      '--cafile',
      '/nonexistent',
      '--cert',
      'x',
    ];
    assert.deepEqual(await brief(run('mosquitto_pub', [...args, '-t', 'a', '-m', 'x'])), ['', '', 0]);
  });

  it('--tls-keylog writes the secrets', async () => {
    const file = join(folder, 'keylog');
    const args = [
      '-h',
      'localhost',
      '-p',
      String(tlsPort),
      '--cafile',
      certificates.authority,
      '--tls-keylog',
      file,
    ];
    assert.deepEqual(await brief(run('mosquitto_pub', [...args, '-t', 'a', '-m', 'x'])), ['', '', 0]);
    assert.match(readFileSync(file, 'utf8'), /^CLIENT_[A-Z_]+ [0-9a-f]{64} /m);
  });

  it('a certificate for another host, which --insecure takes', async (t) => {
    const port = await webSocketGateway(t, broker.port, {
      cert: readFileSync(certificates.otherHost.certificate),
      key: readFileSync(certificates.otherHost.key),
    });
    const args = ['-L', `wss://localhost:${port}/a`, '-m', 'x', '--cafile', certificates.authority];
    const refused = ['', 'Unable to connect (A TLS error occurred).\n', 1];
    assert.deepEqual(await brief(run('mosquitto_pub', args)), refused);
    assert.deepEqual(await brief(run('mosquitto_pub', [...args, '--insecure'])), ['', '', 0]);
  });

  it('TLS with -d tells what is wrong', async () => {
    const args = ['-h', 'localhost', '-p', String(tlsPort), '--cafile', certificates.otherAuthority, '-d'];
    const { stdout, code } = await run('mosquitto_pub', [...args, '-t', 'a', '-m', 'x']);
    assert.match(stdout, /^OpenSSL Error.*: .*certificate/m);
    assert.equal(code, 1);
  });

  await Promise.all(tests);
});

async function brief(end: Promise<Run>): Promise<[stdout: string, stderr: string, code: number | null]> {
  const { stdout, stderr, code } = await end;
  return [stdout, stderr, code];
}

/** A WebSocket server in front of a broker. @returns its port */
async function webSocketGateway(
  t: TestContext,
  brokerPort: number,
  tls?: { cert: Buffer; key: Buffer },
): Promise<number> {
  const server = tls === undefined ? createHttpServer() : createHttpsServer(tls);
  const webSockets = new WebSocketServer({
    server,
    handleProtocols: (offered) => offered.has('mqtt') && 'mqtt',
  });
  webSockets.on('connection', (webSocket) => {
    const stream = createWebSocketStream(webSocket);
    const socket = connect(brokerPort, '127.0.0.1');
    stream.on('error', () => socket.destroy());
    socket.on('error', () => stream.destroy());
    stream.pipe(socket).pipe(stream);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  afterTest(t, () => {
    for (const client of webSockets.clients) client.terminate();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

test('lines', { concurrency: 2 }, async (t) => {
  const tests: Promise<void>[] = [];
  const it = (name: string, fn: (t: TestContext) => Promise<void>, skip: string | false = false) => {
    tests.push(t.test(name, { skip }, fn));
  };
  /** More than there are packet ids. */
  const count = 70_000;
  const input = Array.from({ length: count }, (_, i) => `${i}\n`).join('');

  for (const qos of [1, 2]) {
    it(`more of them than packet ids, QoS ${qos}: none is lost, and no more are under way than allowed`, async (t) => {
      const sink = await LineSink.start(t);
      const args = [
        '-h',
        '127.0.0.1',
        '-p',
        String(sink.port),
        '-t',
        'a',
        '-l',
        '-q',
        String(qos),
        '-M',
        '100',
      ];
      assert.deepEqual(await brief(run('mosquitto_pub', args, { input })), ['', '', 0]);
      assert.equal(sink.lines.length, count);
      assert.ok(sink.lines.every((line, index) => line === String(index)));
      assert.ok(sink.underWayMax <= 100, `${sink.underWayMax} under way`);
    });
  }

  it('the receive maximum of the broker is kept', async (t) => {
    const sink = await LineSink.start(t, { receiveMaximum: 3 });
    const args = ['-h', '127.0.0.1', '-p', String(sink.port), '-t', 'a', '-l', '-q', '1', '-V', '5'];
    assert.equal((await run('mosquitto_pub', args, { input: '1\n'.repeat(100) })).code, 0);
    assert.equal(sink.lines.length, 100);
    assert.ok(sink.underWayMax <= 3, `${sink.underWayMax} under way`);
  });

  it('a lost connection is made again, and no line is lost', async (t) => {
    const sink = await LineSink.start(t, { dropAfter: 500 });
    const args = ['-h', '127.0.0.1', '-p', String(sink.port), '-t', 'a', '-l', '-q', '1', '-i', 'again'];
    const lines = Array.from({ length: 2000 }, (_, i) => String(i));
    assert.deepEqual(await brief(run('mosquitto_pub', args, { input: lines.join('\n') })), ['', '', 0]);
    assert.deepEqual([...new Set(sink.lines)], lines);
  });

  const terminal = skipWithout('/usr/bin/script');
  const shows = async (t: TestContext) => {
    const sink = await LineSink.start(t, { delayMs: 5 });
    const folder = makeFolder(t);
    const file = join(folder, 'lines');
    writeFileSync(file, `${'x'.repeat(9999)}\n`.repeat(200));
    const command = [
      ...ourCommand('mosquitto_pub').map((word) => `'${word}'`), // a clone may lie in a folder with a space
      '-h 127.0.0.1 -p',
      sink.port,
      '-t a -l -q 1 -M 1 <',
      file,
    ].join(' ');
    const onTerminal = await runCommand(['/usr/bin/script', '-qec', command, '/dev/null'], {
      env: COMMAND_ENVIRONMENT,
    });
    assert.equal(onTerminal.code, 0);
    assert.match(onTerminal.stdout.toString(), /\r\x1b\[K\d+ % of 2\.0 MB.*\r\x1b\[K100 % of 2\.0 MB\r\n$/s);
    const elsewhere = await runCommand(['/bin/sh', '-c', command], { env: COMMAND_ENVIRONMENT });
    assert.deepEqual([elsewhere.code, elsewhere.stdout.length, elsewhere.stderr.length], [0, 0, 0]);
  };
  it('how far it is shows on a terminal', shows, terminal);

  await Promise.all(tests);
});
