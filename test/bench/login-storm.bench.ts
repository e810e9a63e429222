/**
 * 500 clients with PBKDF2 passwords connect at once: how long do the messages of others take meanwhile?
 *
 * The clients of a storm are on other machines, but here they take the broker's cores. So each round also has two
 * storms for comparison, the same bytes from the same process: one to a program that answers CONNECT and does
 * nothing else ("sink": what the generator alone costs the others), and one to a listener of the broker that asks for
 * no password ("open"). Broker, measuring client, storm and sink are processes of their own.
 */
import { type ChildProcess, fork, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, connect as openSocket } from 'node:net';
import { setPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createPasswordHash, formatPasswordHash } from '../../src/auth/password-hash.js';
import { encodePacket } from '../../src/mqtt/encode.js';
import type { Broker } from '../support/broker.js';
import { freePort } from '../support/free-port.js';
import { connectPacket } from '../support/packet-socket.js';
import { builtFolder } from '../support/project.js';
import { SessionClient } from '../support/session-client.js';
import { isProgram } from './harness.js';

const clients = 500;
const iterations = 1000;
const messageMs = 2;
const rounds = 7;
const quietMs = 1500;
const login = { username: 'user', password: Buffer.from('password') };
const connackBytes = Buffer.from([0x20, 2, 0, 0]);

/** What the test clients need of a test: here everything ends with the process. */
const noTest = { after: () => {} } as unknown as TestContext;

const kinds = ['quiet', 'sink', 'open', 'passwords'] as const;
type Kind = (typeof kinds)[number];

interface Measured {
  /** Milliseconds of every message. */
  latencies: number[];
  took: number;
}

type Ports = Record<Exclude<Kind, 'quiet'>, number>;

async function run(): Promise<void> {
  goFirst();
  const folder = mkdtempSync(join(tmpdir(), 'midge-bench-'));
  const ports = { sink: await freePort(), open: await freePort(), passwords: await freePort() };
  const broker = await startBroker(folder, ports);
  const sink = await startHelper('sink', ports.sink);
  try {
    const probe = await Probe.start(ports.passwords);
    await measureRound(probe, ports); // everything is compiled
    const results: Record<Kind, Measured>[] = [];
    console.log(`\nlogin storm: ${clients} clients, PBKDF2 with ${iterations} iterations; milliseconds`);
    console.log(`round     ${kinds.map((kind) => `${kind} p50`.padStart(13) + 'p99'.padStart(9)).join('')}`);
    for (let round = 1; round <= rounds; round += 1) {
      const result = await measureRound(probe, ports);
      results.push(result);
      printRow(String(round), result);
    }
    const all = together(results);
    printRow('all', all);
    for (const to of ['quiet', 'sink', 'open'] as const) {
      const ratio = (result: Record<Kind, Measured>) => p99(result.passwords) / p99(result[to]);
      console.log(
        `p99 with passwords / ${to}: ${ratio(all).toFixed(2)} times over all messages, ${median(results.map(ratio)).toFixed(2)} in the median round`,
      );
    }
    const took = (['sink', 'open', 'passwords'] as const).map(
      (kind) => `${kind} ${median(results.map((result) => result[kind].took)).toFixed(0)}`,
    );
    console.log(`a storm took: ${took.join(', ')}`);
  } finally {
    sink.kill();
    broker.kill();
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * Where that is allowed, broker and measuring client go before all other work of the machine (what this process
 * starts inherits it), and the storm before ordinary work.
 */
function goFirst(): void {
  schedule('--rr', 10);
}

function goSecond(): void {
  schedule('--other', 0);
  try {
    setPriority(-10);
  } catch {}
}

/** chrt(1), which may be missing, or not be allowed. */
function schedule(policy: '--rr' | '--other', priority: number): void {
  spawnSync('chrt', ['--all-tasks', policy, '--pid', String(priority), String(process.pid)]);
}

async function measureRound(probe: Probe, ports: Ports): Promise<Record<Kind, Measured>> {
  return {
    quiet: await probe.during(() => wait(quietMs)),
    sink: await stormTo(probe, ports.sink),
    open: await stormTo(probe, ports.open),
    passwords: await stormTo(probe, ports.passwords),
  };
}

/** Only what happens between its first connection and its last CONNACK counts, not the start of a process. */
async function stormTo(probe: Probe, port: number): Promise<Measured> {
  const storm = await startHelper('storm', port);
  const measured = await probe.during(async () => {
    storm.send('go');
    const [message] = await once(storm, 'message');
    if (message !== 'done') throw new Error('The storm failed.');
  });
  storm.kill();
  await once(storm, 'exit');
  await wait(200); // the broker sees them off
  return measured;
}

async function startBroker(folder: string, { open, passwords }: Ports): Promise<ChildProcess> {
  const hash = await createPasswordHash(login.password, { algorithm: 'sha512-pbkdf2', iterations });
  const passwordFile = join(folder, 'passwords');
  writeFileSync(passwordFile, `user:${formatPasswordHash(hash)}\n`, { mode: 0o600 });
  const config = join(folder, 'broker.conf');
  writeFileSync(
    config,
    `per_listener_settings true
user root
log_type error
log_type information
listener ${open} 127.0.0.1
allow_anonymous true
listener ${passwords} 127.0.0.1
password_file ${passwordFile}
`,
  );
  const broker = spawn(process.execPath, [join(builtFolder, 'src', 'main.js'), '-c', config], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  await new Promise<void>((resolve, reject) => {
    broker.stderr.on('data', (text) => String(text).includes('running') && resolve());
    broker.on('exit', () => reject(new Error('The broker does not start.')));
  });
  return broker;
}

/** A client that sends a message to itself every few milliseconds. */
class Probe {
  readonly #client: SessionClient;
  #latencies: number[] = [];

  private constructor(client: SessionClient) {
    this.#client = client;
  }

  static async start(port: number): Promise<Probe> {
    const probe = new Probe(await SessionClient.connect(noTest, { port } as Broker, 4, login));
    await probe.#client.subscribe('probe', 0);
    probe.#client.onMessage = ({ payload }) => {
      probe.#latencies.push(performance.now() - Buffer.from(payload).readDoubleLE());
    };
    return probe;
  }

  async during(happening: () => Promise<unknown>): Promise<Measured> {
    this.#latencies = [];
    const timer = setInterval(() => this.#send(), messageMs);
    const began = performance.now();
    await happening();
    const took = performance.now() - began;
    clearInterval(timer);
    await wait(100);
    return { latencies: this.#latencies, took };
  }

  #send(): void {
    const payload = Buffer.alloc(8);
    payload.writeDoubleLE(performance.now());
    void this.#client.publish('probe', payload, 0);
  }
}

// ----------------------------------------------------------------- processes of their own

async function startHelper(role: 'storm' | 'sink', port: number): Promise<ChildProcess> {
  const child = fork(fileURLToPath(import.meta.url), [role, String(port)]);
  await once(child, 'message');
  return child;
}

/** Plain sockets and one packet made beforehand: as little work for this machine as can be. */
async function storm(port: number): Promise<void> {
  goSecond();
  const connects = Array.from({ length: clients }, (_, number) =>
    Buffer.from(encodePacket(connectPacket(4, { ...login, clientId: `storm-${number}` }), 4)),
  );
  process.send!('ready');
  await once(process, 'message');
  let missing = clients;
  for (const packet of connects) {
    const socket = openSocket({ port, host: '127.0.0.1' });
    socket.write(packet);
    socket.once('data', (bytes) => {
      if (!bytes.equals(connackBytes)) throw new Error(`Not let in: ${bytes.toString('hex')}`);
      missing -= 1;
      if (missing === 0) process.send!('done');
    });
  }
}

/** A broker that lets everybody in and does nothing else. */
function sink(port: number): void {
  goSecond();
  const server = createServer((socket) => {
    socket.once('data', () => socket.write(connackBytes));
    socket.on('error', () => {});
  });
  server.listen({ port, host: '127.0.0.1', backlog: clients }, () => process.send!('ready'));
}

// ----------------------------------------------------------------- figures

function printRow(name: string, result: Record<Kind, Measured>): void {
  const cells = kinds.map(
    (kind) => figure(median(result[kind].latencies), 13) + figure(p99(result[kind]), 9),
  );
  console.log(name.padEnd(10) + cells.join(''));
}

function together(results: readonly Record<Kind, Measured>[]): Record<Kind, Measured> {
  const of = (kind: Kind): Measured => ({
    latencies: results.flatMap((result) => result[kind].latencies),
    took: 0,
  });
  return { quiet: of('quiet'), sink: of('sink'), open: of('open'), passwords: of('passwords') };
}

function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

function p99({ latencies }: Measured): number {
  return percentile(latencies, 0.99);
}

function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
}

function figure(milliseconds: number, width: number): string {
  return milliseconds.toFixed(2).padStart(width);
}

const [, , role, port] = process.argv;
if (role === 'storm') await storm(Number(port));
else if (role === 'sink') sink(Number(port));
else if (isProgram(import.meta.url)) await run().then(() => process.exit(0));
