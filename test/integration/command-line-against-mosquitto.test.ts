/**
 * The broker's command line: each option that `mosquitto -h` names does what it does in Mosquitto. Both programs are
 * started with the same words, and looked at in the same way.
 */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { isReference } from '../support/brokers/broker.js';
import { skipWithout } from '../support/brokers/debian.js';
import { afterTest, makeFolder } from '../support/cleanup.js';
import { freePort } from '../support/network/free-port.js';
import { packetBytes } from '../support/packets/packet-bytes.js';
import { Program } from '../support/program.js';
import { midgeCommand } from '../support/project.js';
import { runCommand } from '../support/run-command.js';
import { within } from '../support/within.js';

const mosquitto = '/usr/sbin/mosquitto';
const skip = isReference ? 'compares both brokers' : skipWithout(mosquitto);

const CONNECT = packetBytes(0x10, "00 04 'MQTT' 04 02 00 3c 00 02 'ab'");
const SILENT = 'log_type error\n';
/** Written before the options about the log are in force, by Mosquitto 2.1 too. */
const startLine = /: Info: running \w+ as user: /;

/** What there is to be seen of one start. */
interface Start {
  t: TestContext;
  command: readonly string[];
  folder: string;
  /** Of a listener in the file, and two for the command line. */
  port: number;
  others: readonly [number, number];
  /** Writes a file of this start. @returns its path */
  write(name: string, text: string): string;
}

/** @returns whether a client is let in at the port */
async function letsIn(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('error', () => resolve(false));
    socket.once('data', (bytes) => {
      socket.destroy();
      resolve(bytes[3] === 0);
    });
    socket.write(CONNECT);
  });
}

async function waitUntilOpen(port: number, program?: Program): Promise<void> {
  for (let isOpen = false; !isOpen; ) {
    assert.equal(program?.end, undefined, program?.lines.join('\n'));
    isOpen = await letsIn(port);
    if (!isOpen) await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Starts, waits for a listener, and looks. */
async function running<T>(
  { t, command }: Start,
  args: readonly string[],
  port: number,
  look: (program: Program) => Promise<T>,
): Promise<T> {
  const program = new Program(t, 'broker', [...command, ...args]);
  await within(10_000, waitUntilOpen(port, program), () => program.lines.join('\n'));
  const seen = await look(program);
  program.signal('SIGTERM');
  const { code } = await program.waitForEnd();
  assert.equal(code, 0);
  return seen;
}

/** @returns which of the three ports are open */
async function openPorts({ port, others }: Start): Promise<boolean[]> {
  return Promise.all([port, ...others].map(letsIn));
}

const listenerOf = ({ port }: Start) => `listener ${port} 127.0.0.1\nallow_anonymous true\n${SILENT}`;

/** For each option of the help, what it does with one set of words or another. */
const effects: Readonly<Record<string, readonly ((start: Start) => Promise<unknown>)[]>> = {
  '-c': [
    async (start) => {
      const file = start.write('a.conf', listenerOf(start));
      return running(start, ['-c', file], start.port, () => openPorts(start));
    },
    // More than once.
    async (start) => {
      const [first, second] = [
        start.write('a.conf', listenerOf(start)),
        start.write('b.conf', `listener ${start.others[0]} 127.0.0.1\n`),
      ];
      return running(start, ['-c', first, '-c', second], start.others[0], () => openPorts(start));
    },
    async ({ command }) => (await runCommand([...command, '-c'])).code,
    async ({ command, folder }) => (await runCommand([...command, '-c', join(folder, 'none')])).code,
  ],
  '-d': [
    async (start) => {
      const pidFile = join(start.folder, 'pid');
      const file = start.write('a.conf', `${listenerOf(start)}pid_file ${pidFile}\nuser root\n`);
      const { code, stdout } = await runCommand([...start.command, '-c', file, '-d']);
      await within(10_000, waitUntilOpen(start.port), () => 'nobody listens');
      const pid = Number(readFileSync(pidFile, 'utf8'));
      afterTest(start.t, () => process.kill(pid, 'SIGTERM'));
      return [code, stdout.length];
    },
  ],
  '-h': [
    async ({ command }) => {
      const { stdout, stderr } = await runCommand([...command, '-h']);
      return [/^Usage: \w+ .*\[-c /m.test(stdout.toString()), stderr.length];
    },
    // The first of two decides.
    async ({ command }) => {
      const { stdout } = await runCommand([...command, '-v', '-h', '--no-such-option']);
      return /^Usage: /m.test(stdout.toString());
    },
  ],
  '-p': [
    async (start) => running(start, ['-p', `${start.others[0]}`], start.others[0], () => openPorts(start)),
    // Together with a file that has no listener, and with one that has.
    async (start) => {
      const file = start.write('a.conf', `allow_anonymous true\n${SILENT}`);
      const args = ['-c', file, '-p', `${start.others[0]}`];
      return running(start, args, start.others[0], () => openPorts(start));
    },
    async (start) => {
      const args = ['-c', start.write('a.conf', listenerOf(start)), '-p', `${start.others[0]}`];
      return running(start, args, start.port, () => openPorts(start));
    },
    ...['', '0', '65536', 'x'].map((word) => async ({ command }: Start) => {
      const { code, stderr } = await runCommand([...command, '-p', word]);
      return [code, stderr.toString().replace(/^\d+: /, '')];
    }),
  ],
  '-v': [
    async (start) => {
      const args = ['-c', start.write('a.conf', listenerOf(start)), '-v'];
      return running(start, args, start.port, async (program) => {
        await program.waitForLine(/: Sending CONNACK to ab /);
        return program.lines.some((line) => /: (?:mosquitto|midge) version \S+ running$/.test(line));
      });
    },
    // Without it the file decides.
    async (start) => {
      const args = ['-c', start.write('a.conf', listenerOf(start))];
      return running(start, args, start.port, async (program) =>
        program.lines.filter((line) => !startLine.test(line)),
      );
    },
  ],
};

async function startOf(t: TestContext, command: readonly string[]): Promise<Start> {
  const folder = makeFolder(t);
  const write = (name: string, text: string) => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const [port, ...others] = [await freePort(), await freePort(), await freePort()] as const;
  return { t, command, folder, port, others, write };
}

test('every option that mosquitto -h names is tried', { skip }, async () => {
  const { stdout } = await runCommand([mosquitto, '-h']);
  const named = [...stdout.toString().matchAll(/^ (-\S+) :/gm)].map(([, option]) => option!);
  assert.ok(named.length >= 5, stdout.toString());
  assert.deepEqual(
    named.filter((option) => effects[option] === undefined),
    [],
  );
  const ours = (await runCommand([...midgeCommand, '-h'])).stdout.toString();
  for (const option of named) assert.match(ours, new RegExp(`^  ${option},? `, 'm'));
});

describe('does what it does in Mosquitto', { concurrency: 5 }, () => {
  for (const [option, tried] of Object.entries(effects)) {
    test(option, { skip }, async (t) => {
      for (const [i, effect] of tried.entries()) {
        const [theirs, ours] = await Promise.all(
          [[mosquitto], midgeCommand].map(async (command) => effect(await startOf(t, command))),
        );
        assert.deepEqual(ours, theirs, `${option}, ${i + 1}`);
      }
    });
  }
});
