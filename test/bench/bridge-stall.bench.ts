/**
 * Do bridges that get nowhere hold local clients up? Two brokers side by side, one of them with bridges to a black
 * hole (nobody answers the connection, nobody answers the CONNECT, nobody answers the handshake) and to names that a
 * dead DNS server never resolves. Their rounds alternate, in the other order each time, so that what else the machine
 * does falls on both alike.
 *
 * Where it is allowed (Linux, root) the whole benchmark runs in namespaces of its own, with a network that swallows
 * everything and a DNS server that never answers; elsewhere the names are merely unknown.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Qos } from '../../src/mqtt/packets.js';
import type { Broker } from '../support/brokers/broker.js';
import { SessionClient } from '../support/clients/session-client.js';
import { freePort } from '../support/network/free-port.js';
import { midgeArguments } from '../support/project.js';
import { isProgram } from './harness.js';

const rounds = Number(process.env.BENCH_ROUNDS ?? 12);
const roundMs = 2500;
const messageMs = 2;
/** Bridges of each kind: more than the threads that look names up. */
const ofEachKind = 4;

/** What the test clients need of a test: here everything ends with the process. */
const noTest = { after: () => {} } as unknown as TestContext;

interface Load {
  name: string;
  qos: Qos;
  topic: string;
}

const loads: readonly Load[] = [
  { name: 'QoS 0', qos: 0, topic: 'here' },
  { name: 'QoS 1', qos: 1, topic: 'here' },
  { name: 'QoS 1, queued 16 times', qos: 1, topic: 'away' },
];

async function run(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'midge-bench-'));
  const hole = await openHole();
  const bridges = await startBroker(folder, 'bridges', stuckBridges(hole));
  const without = await startBroker(folder, 'without', '');
  try {
    await subscribeAway(without.port);
    const sides = [new Side('without a bridge'), new Side('with bridges that are stuck')] as const;
    await sides[0].start(without.port);
    await sides[1].start(bridges.port);
    console.log(
      `\nlocal latency, ${rounds} rounds a ${roundMs / 1000} s, a message every ${messageMs} ms; ms`,
    );
    console.log(`${''.padEnd(54)}      p50       p99   median of the rounds' p99`);
    for (const load of loads) {
      for (let round = 0; round < rounds; round += 1) {
        for (const side of round % 2 === 0 ? sides : sides.toReversed()) await side.measure(load);
      }
      const p99 = sides.map((side) => side.report(load));
      const ratios = [0, 1].map((i) => (p99[1]![i]! / p99[0]![i]!).toFixed(2));
      console.log(`${load.name}: p99 with / without: ${ratios[0]} of all, ${ratios[1]} of the medians`);
    }
  } finally {
    bridges.kill();
    without.kill();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A server that accepts connections and never says a word. @returns its port */
async function openHole(): Promise<number> {
  const port = await freePort();
  const server = createServer((socket) => socket.on('error', () => {}).resume());
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return port;
}

function stuckBridges(hole: number): string {
  const kinds = [
    'address 192.0.2.1:1883',
    'address no-such-host.example:1883',
    `address 127.0.0.1:${hole}`,
    `address 127.0.0.1:${hole}\nbridge_tls_use_os_certs true`,
  ];
  return kinds
    .flatMap((lines, kind) => Array.from({ length: ofEachKind }, (_, i) => ({ name: `${kind}-${i}`, lines })))
    .map(({ name, lines }) => `connection ${name}\nrestart_timeout 1\n${lines}\ntopic away out 1\n`)
    .join('');
}

/** As many sessions of clients that are away, so that both brokers store the same. */
async function subscribeAway(port: number): Promise<void> {
  for (let i = 0; i < 4 * ofEachKind; i += 1) {
    const options = { clientId: `away-${i}`, cleanStart: false };
    const client = await SessionClient.connect(noTest, { port } as Broker, 4, options);
    await client.subscribe('away', 1);
    client.destroy();
  }
}

async function startBroker(
  folder: string,
  name: string,
  lines: string,
): Promise<{ port: number; kill: () => void }> {
  const port = await freePort();
  const config = join(folder, `${name}.conf`);
  const usual = `user root\nlistener ${port} 127.0.0.1\nallow_anonymous true\nlog_type information\n`;
  writeFileSync(config, `${usual}max_queued_messages 1000\n${lines}`);
  const broker = spawn(process.execPath, [...midgeArguments, '-c', config], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  await new Promise<void>((resolve, reject) => {
    broker.stderr.on('data', (text) => String(text).includes('running') && resolve());
    broker.on('exit', () => reject(new Error('The broker does not start.')));
  });
  return { port, kill: () => broker.kill('SIGKILL') };
}

/** One of the brokers, with a client that sends messages to itself. */
class Side {
  readonly #name: string;
  #client!: SessionClient;
  readonly #rounds = new Map<Load, number[][]>();
  #latencies: number[] = [];

  constructor(name: string) {
    this.#name = name;
  }

  async start(port: number): Promise<void> {
    this.#client = await SessionClient.connect(noTest, { port } as Broker, 4);
    this.#client.onMessage = ({ payload }) => {
      this.#latencies.push(performance.now() - Buffer.from(payload).readDoubleLE());
    };
    await this.#client.subscribe('here', 1);
    await this.#client.subscribe('away', 1);
  }

  async measure(load: Load): Promise<void> {
    this.#latencies = [];
    const timer = setInterval(() => this.#send(load), messageMs);
    await wait(roundMs);
    clearInterval(timer);
    await wait(100);
    const known = this.#rounds.get(load) ?? [];
    known.push(this.#latencies.sort((a, b) => a - b));
    this.#rounds.set(load, known);
  }

  /** @returns the p99 of all messages, and the median of the rounds' p99 */
  report(load: Load): [ofAll: number, ofRounds: number] {
    const all = this.#rounds
      .get(load)!
      .flat()
      .sort((a, b) => a - b);
    const ofRounds = this.#rounds
      .get(load)!
      .map((round) => percentile(round, 0.99))
      .sort((a, b) => a - b);
    const p99 = percentile(all, 0.99);
    const median = percentile(ofRounds, 0.5);
    const figures = [percentile(all, 0.5), p99, median].map((figure) => figure.toFixed(3).padStart(9));
    console.log(`${load.name.padEnd(24)} ${this.#name.padEnd(28)} ${figures.join(' ')}`);
    return [p99, median];
  }

  #send({ topic, qos }: Load): void {
    const payload = Buffer.alloc(8);
    payload.writeDoubleLE(performance.now());
    void this.#client.publish(topic, payload, qos);
  }
}

function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
}

// ------------------------------------------------------------------- a network in which nothing is answered

/** Runs this program in namespaces of its own. @returns its exit code, or `null` where that is not allowed */
function runApart(): number | null {
  const folder = mkdtempSync(join(tmpdir(), 'midge-bench-'));
  const resolver = join(folder, 'resolv.conf');
  writeFileSync(resolver, 'nameserver 127.0.0.1\n');
  const setUp = [
    `mount --bind '${resolver}' /etc/resolv.conf`,
    'ip link set lo up',
    // A cable to an end that has no address: every packet arrives, and is for nobody.
    'ip link add hole type veth peer name bottom',
    'ip address add 192.0.2.2/24 dev hole',
    'ip link set bottom up',
    'ip link set hole arp off up',
  ].join(' && ');
  const apart = (command: string) =>
    spawnSync('unshare', ['--net', '--mount', 'sh', '-c', command, process.execPath], { stdio: 'inherit' });
  try {
    if (spawnSync('unshare', ['--net', '--mount', 'sh', '-c', setUp]).status !== 0) return null;
    return apart(`${setUp} && exec "$0" '${fileURLToPath(import.meta.url)}' apart`).status ?? 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A DNS server that never answers. */
function openDeadDns(): Promise<void> {
  const socket = createSocket('udp4');
  return new Promise((resolve) => socket.bind(53, '127.0.0.1', resolve));
}

if (process.argv[2] === 'apart') {
  await openDeadDns();
  await run();
  process.exit(0);
} else if (isProgram(import.meta.url)) {
  const code = runApart();
  if (code === null) {
    console.log('No namespaces here: what is called a black hole answers with an error at once.');
    await run();
  }
  process.exit(code ?? 0);
}
