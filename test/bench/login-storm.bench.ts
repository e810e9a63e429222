/**
 * 500 clients with PBKDF2 passwords connect at once: how long do the messages of others take meanwhile?
 *
 * The clients of a storm are on other machines, but here they take the broker's cores. So each round also has two
 * storms for comparison, the same bytes from the same process: one to a program that answers CONNECT and does
 * nothing else ("sink": what the generator alone costs the others), and one to a listener of the broker that asks for
 * no password ("open"). Broker, measuring client, storm and sink are processes of their own.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, connect as openSocket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createPasswordHash, formatPasswordHash } from '../../src/auth/password-hash.js';
import { encodePacket } from '../../src/mqtt/encode.js';
import { connectPacket } from '../support/clients/packet-socket.js';
import { freePort } from '../support/network/free-port.js';
import { isProgram } from './harness.js';
import {
  goFirst,
  type Measured,
  median,
  Probe,
  p99,
  renice,
  schedule,
  startBroker,
  together,
} from './latency.js';

const clients = 500;
const iterations = 1000;
const rounds = Number(process.env.BENCH_ROUNDS ?? 7);
const quietMs = 1500;
const login = { username: 'user', password: Buffer.from('password') };
const connackBytes = Buffer.from([0x20, 2, 0, 0]);

const kinds = ['quiet', 'sink', 'open', 'passwords'] as const;
type Kind = (typeof kinds)[number];

type Ports = Record<Exclude<Kind, 'quiet'>, number>;

async function run(): Promise<void> {
  goFirst();
  const folder = mkdtempSync(join(tmpdir(), 'midge-bench-'));
  const ports = { sink: await freePort(), open: await freePort(), passwords: await freePort() };
  const broker = await startListeners(folder, ports);
  const sink = await startHelper('sink', ports.sink);
  try {
    const probe = await Probe.start(ports.passwords, login);
    await measureRound(probe, ports); // everything is compiled
    const results: Record<Kind, Measured>[] = [];
    console.log(`\nlogin storm: ${clients} clients, PBKDF2 with ${iterations} iterations; milliseconds`);
    console.log(`round     ${kinds.map((kind) => `${kind} p50`.padStart(13) + 'p99'.padStart(9)).join('')}`);
    for (let round = 1; round <= rounds; round += 1) {
      const result = await measureRound(probe, ports);
      results.push(result);
      printRow(String(round), result);
    }
    report(results);
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

/** The storm goes behind the broker and the measuring client, and before ordinary work. */
function goSecond(): void {
  schedule('--other', 0);
  renice(-10);
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

async function startListeners(folder: string, { open, passwords }: Ports): Promise<ChildProcess> {
  const hash = await createPasswordHash(login.password, { algorithm: 'sha512-pbkdf2', iterations });
  const passwordFile = join(folder, 'passwords');
  writeFileSync(passwordFile, `user:${formatPasswordHash(hash)}\n`, { mode: 0o600 });
  return startBroker(
    folder,
    `per_listener_settings true
listener ${open} 127.0.0.1
allow_anonymous true
listener ${passwords} 127.0.0.1
password_file ${passwordFile}
`,
  );
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

function report(results: readonly Record<Kind, Measured>[]): void {
  const all = allOf(results);
  printRow('all', all);
  for (const to of ['quiet', 'sink', 'open'] as const) {
    const ratio = (result: Record<Kind, Measured>) => p99(result.passwords) / p99(result[to]);
    console.log(
      `p99 with passwords / ${to}: ${ratio(all).toFixed(2)} times over all messages, ${median(results.map(ratio)).toFixed(2)} in the median round`,
    );
  }
}

function printRow(name: string, result: Record<Kind, Measured>): void {
  const cells = kinds.map(
    (kind) => figure(median(result[kind].latencies), 13) + figure(p99(result[kind]), 9),
  );
  console.log(name.padEnd(10) + cells.join(''));
}

function allOf(results: readonly Record<Kind, Measured>[]): Record<Kind, Measured> {
  const of = (kind: Kind) => together(results.map((result) => result[kind]));
  return { quiet: of('quiet'), sink: of('sink'), open: of('open'), passwords: of('passwords') };
}

function figure(milliseconds: number, width: number): string {
  return milliseconds.toFixed(2).padStart(width);
}

const [, , role, port] = process.argv;
if (role === 'storm') await storm(Number(port));
else if (role === 'sink') sink(Number(port));
else if (isProgram(import.meta.url)) await run().then(() => process.exit(0));
