/**
 * A broker starts with a large store: a million retained messages, and 100,000 sessions whose clients are away, with a
 * subscription each. How long until it says that it runs, and until a client whose session is stored has its CONNACK;
 * and how much memory it takes.
 *
 *   npm run bench start-large
 *   BENCH_RETAINED=0 BENCH_SESSIONS=100000 npm run bench start-large      # what the sessions alone take
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { encodePacket } from '../../src/mqtt/encode.js';
import { copyStore } from '../../src/store/environment.js';
import { hashOf, SavedFile } from '../../src/store/file/saved-file.js';
import { prepareStore, removeStore } from '../../src/store/file/startup.js';
import { Store } from '../../src/store/store.js';
import { connectPacket } from '../support/clients/packet-socket.js';
import { freePort } from '../support/network/free-port.js';
import { midgeArguments } from '../support/project.js';
import { publication, session } from '../support/store/stores.js';
import { isProgram } from './harness.js';

const retained = Number(process.env.BENCH_RETAINED ?? 1_000_000);
const sessions = Number(process.env.BENCH_SESSIONS ?? 100_000);
const rounds = Number(process.env.BENCH_ROUNDS ?? 3);
const workerThreads = process.env.BENCH_WORKERS ?? 'auto';

/** Changes of one transaction while the store is made. */
const changesAtOnce = 20_000;

interface Started {
  /** Milliseconds since the process was started. */
  listening: number;
  connack: number;
  running: number;
  /** Megabytes, two seconds after that. */
  rss: number;
  privateMemory: number;
  /** Seconds of a core until then. */
  cpu: number;
}

async function run(): Promise<void> {
  const folder = mkdtempSync(join(process.env.BENCH_FOLDER ?? tmpdir(), 'midge-bench-'));
  try {
    const bytes = await makeStore(folder);
    const counts = `${retained} retained messages, ${sessions} sessions: ${(bytes / 1e6).toFixed(0)} MB`;
    console.log(`\n${counts}\n`);
    await reportParts(folder);
    const empty = await start(join(folder, 'nothing'));
    printRow('round', ['listens ms', 'CONNACK', 'running', 'cpu s', 'RSS MB', 'private']);
    printRow('empty store', figuresOf(empty));
    for (let round = 1; round <= rounds; round += 1) printRow(String(round), figuresOf(await start(folder)));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** As a broker leaves it after an orderly end. @returns bytes of the file */
async function makeStore(folder: string): Promise<number> {
  const path = join(folder, 'made.mdb');
  const store = new Store({ path, mode: 'autosave', now: Date.now });
  for (let i = 0; i < retained; i += 1) {
    store.retained.set(publication(`site/${i % 1000}/device/${i}/state`, 'x'.repeat(64)));
    if (i % changesAtOnce === 0) await store.flush();
  }
  for (let i = 0; i < sessions; i += 1) {
    const stored = store.sessions.create(session(clientIdOf(i), { disconnectedAt: Date.now() }));
    const filter = `site/${i % 1000}/device/${i}/command`;
    const options = { qos: 1, noLocal: false, retainAsPublished: false } as const;
    stored.subscribe({ filter, ...options, retainHandling: 0, subscriptionId: 0 });
    if (i % changesAtOnce === 0) await store.flush();
  }
  await store.close();
  const saved = new SavedFile(join(folder, 'mosquitto.db'));
  const copy = saved.prepareNew();
  await copyStore(path, copy);
  removeStore(path);
  await saved.replace(copy, await hashOf(copy), Date.now());
  return saved.identity()!.bytes;
}

function clientIdOf(number: number): string {
  return `device-${number}`;
}

/** What main does with the store before the first worker begins, each part by itself in this process. */
async function reportParts(folder: string): Promise<void> {
  const path = join(folder, 'mosquitto.db');
  const part = async <T>(name: string, action: () => T | Promise<T>): Promise<T> => {
    const began = performance.now();
    const result = await action();
    console.log(`${name.padEnd(40)} ${(performance.now() - began).toFixed(0).padStart(6)} ms`);
    return result;
  };
  await part('SHA-256 of the saved file', () => hashOf(path));
  const options = { persistence: true, path, durable: false, memoryFolders: ['/dev/shm'] };
  const prepared = await part('saved file → live store, in all', () =>
    prepareStore({ ...options, now: Date.now, log: () => {} }),
  );
  const store = new Store({ path: prepared.path, mode: prepared.mode, now: Date.now });
  await part('records of sessions are read', () => [...store.sessions.list()].length);
  await store.close();
  removeStore(prepared.path);
  prepared.folder?.release();
}

async function start(folder: string): Promise<Started> {
  mkdirSync(folder, { recursive: true });
  const port = await freePort();
  const config = join(folder, 'broker.conf');
  writeFileSync(
    config,
    `user root
listener ${port} 127.0.0.1
allow_anonymous true
persistence true
persistence_location ${folder}
log_type error
log_type information
worker_threads ${workerThreads}
`,
  );
  const began = performance.now();
  const broker = spawn(process.execPath, [...midgeArguments, '-c', config], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const runs = new Promise<number>((resolve, reject) => {
    broker.stderr.on('data', (text) => String(text).includes('running') && resolve(performance.now()));
    broker.on('exit', () => reject(new Error('The broker does not start.')));
  });
  runs.catch(() => {}); // awaited below
  try {
    const listening = await listens(port);
    const connack = await answers(port);
    const running = await runs;
    await wait(2000);
    return {
      listening: listening - began,
      connack: connack - began,
      running: running - began,
      ...memoryOf(broker.pid!),
      cpu: cpuOf(broker.pid!),
    };
  } finally {
    await ended(broker);
  }
}

/** When the port accepts a connection. */
async function listens(port: number): Promise<number> {
  for (;;) {
    const socket = connect({ port, host: '127.0.0.1' });
    const isOpen = await Promise.race([
      once(socket, 'connect').then(() => true),
      once(socket, 'error').then(() => false),
    ]).catch(() => false);
    socket.destroy();
    if (isOpen) return performance.now();
    await wait(5);
  }
}

/** When a client whose session is stored, if there is any, has its CONNACK. */
async function answers(port: number): Promise<number> {
  const socket = connect({ port, host: '127.0.0.1' });
  socket.write(encodePacket(connectPacket(4, { clientId: clientIdOf(sessions >> 1), cleanStart: false }), 4));
  const [bytes] = (await once(socket, 'data')) as [Buffer];
  if (bytes[0] !== 0x20) throw new Error(`No CONNACK: ${bytes.toString('hex')}`);
  const now = performance.now();
  socket.destroy();
  return now;
}

function memoryOf(pid: number): { rss: number; privateMemory: number } {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const kilobytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(rollup)?.[1] ?? 0);
  const privateMemory = kilobytes('Private_Dirty') / 1024;
  return { rss: kilobytes('Rss') / 1024, privateMemory };
}

function cpuOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** It leaves nothing in memory, and the file as it was. */
async function ended(broker: ChildProcess): Promise<void> {
  if (broker.exitCode !== null) return;
  const exit = once(broker, 'exit');
  broker.kill('SIGTERM');
  await exit;
}

function figuresOf({ listening, connack, running, cpu, rss, privateMemory }: Started): string[] {
  const whole = [listening, connack, running].map((ms) => ms.toFixed(0));
  return [...whole, cpu.toFixed(2), rss.toFixed(0), privateMemory.toFixed(0)];
}

function printRow(name: string, cells: string[]): void {
  console.log(name.padEnd(12) + cells.map((cell) => cell.padStart(12)).join(''));
}

if (isProgram(import.meta.url)) await run().then(() => process.exit(0));
