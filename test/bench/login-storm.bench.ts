/**
 * 500 clients with PBKDF2 passwords connect at once: how long do the messages of others take meanwhile? Broker,
 * measuring client and storm are processes of their own, so that none waits for another's computing.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { constants, setPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createPasswordHash, formatPasswordHash } from '../../src/auth/password-hash.js';
import type { Broker } from '../support/broker.js';
import { freePort } from '../support/free-port.js';
import { builtFolder } from '../support/project.js';
import { SessionClient } from '../support/session-client.js';
import { isProgram } from './harness.js';

const clients = 500;
const iterations = 1000;
const messageMs = 2;
const rounds = 3;
const login = { username: 'user', password: Buffer.from('password') };

/** What the test clients need of a test: here everything ends with the process. */
const noTest = { after: () => {} } as unknown as TestContext;

async function run(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'midge-bench-'));
  const port = await freePort();
  const broker = await startBroker(folder, port);
  try {
    const probe = await Probe.start(port);
    console.log(`\nlogin storm: ${clients} clients, PBKDF2 with ${iterations} iterations; milliseconds`);
    console.log('round      quiet p50      p99    storm p50      p99    p99 ratio    storm took');
    for (let round = 1; round <= rounds; round += 1) {
      const quiet = await probe.during(wait(3000));
      const began = performance.now();
      const storm = await probe.during(runStorm(port));
      const took = performance.now() - began;
      const ratio = percentile(storm, 0.99) / percentile(quiet, 0.99);
      console.log(
        [
          String(round).padEnd(9),
          figure(percentile(quiet, 0.5)),
          figure(percentile(quiet, 0.99)),
          figure(percentile(storm, 0.5)),
          figure(percentile(storm, 0.99)),
          ratio.toFixed(2).padStart(12),
          `${took.toFixed(0)} ms`.padStart(13),
        ].join(' '),
      );
    }
  } finally {
    broker.kill();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function startBroker(folder: string, port: number): Promise<{ kill: () => void }> {
  const hash = await createPasswordHash(login.password, { algorithm: 'sha512-pbkdf2', iterations });
  const passwords = join(folder, 'passwords');
  writeFileSync(passwords, `user:${formatPasswordHash(hash)}\n`, { mode: 0o600 });
  const config = join(folder, 'broker.conf');
  writeFileSync(
    config,
    `user root\nlistener ${port} 127.0.0.1\npassword_file ${passwords}\nlog_type error\nlog_type information\n`,
  );
  const broker = spawn(process.execPath, [join(builtFolder, 'src', 'main.js'), '-c', config], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  await new Promise<void>((resolve, reject) => {
    broker.stderr.on('data', (text) => String(text).includes('running') && resolve());
    broker.on('exit', () => reject(new Error('The broker does not start.')));
  });
  return { kill: () => broker.kill('SIGKILL') };
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

  /** @returns milliseconds of every message sent meanwhile */
  async during(happening: Promise<unknown>): Promise<number[]> {
    this.#latencies = [];
    const timer = setInterval(() => this.#send(), messageMs);
    await happening;
    clearInterval(timer);
    await wait(100);
    return this.#latencies.sort((a, b) => a - b);
  }

  #send(): void {
    const payload = Buffer.alloc(8);
    payload.writeDoubleLE(performance.now());
    void this.#client.publish('probe', payload, 0);
  }
}

/** @returns when all have been let in */
function runStorm(port: number): Promise<void> {
  const child = spawn(process.execPath, [fileURLToPath(import.meta.url), 'storm', String(port)], {
    stdio: 'inherit',
  });
  return new Promise((resolve, reject) => {
    child.on('exit', (code) => (code === 0 ? resolve() : reject(new Error('The storm failed.'))));
  });
}

/** The clients of a storm are on other machines: here they must not take the broker's time. */
async function storm(port: number): Promise<void> {
  setPriority(constants.priority.PRIORITY_LOW);
  const broker = { port } as Broker;
  await Promise.all(Array.from({ length: clients }, () => SessionClient.connect(noTest, broker, 4, login)));
  process.exit(0);
}

function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
}

function figure(milliseconds: number): string {
  return milliseconds.toFixed(2).padStart(9);
}

if (process.argv[2] === 'storm') await storm(Number(process.argv[3]));
else if (isProgram(import.meta.url)) await run().then(() => process.exit(0));
