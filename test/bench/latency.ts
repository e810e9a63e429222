/**
 * What the benchmarks of latency share: a broker in a process of its own, a client that sends messages to itself,
 * and a place ahead of the machine's other work.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { setPriority } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import type { Broker } from '../support/brokers/broker.js';
import { SessionClient, type SessionClientOptions } from '../support/clients/session-client.js';
import { midgeArguments } from '../support/project.js';

const messageMs = 2;

/** What the test clients need of a test: here everything ends with the process. */
export const noTest = { after: () => {} } as unknown as TestContext;

/**
 * Where that is allowed, this process and what it starts from here on go before all other work of the machine, in
 * real time: nothing that the broker does by itself can step back then.
 */
export function goFirst(): void {
  schedule('--rr', 10);
}

/** The same where the broker's own priorities are to count. */
export function goBeforeOthers(): void {
  renice(-15);
}

/** Where that is allowed. */
export function renice(niceness: number): void {
  try {
    setPriority(niceness);
  } catch {}
}

/** chrt(1), which may be missing, or not be allowed. */
export function schedule(policy: '--rr' | '--other', priority: number): void {
  spawnSync('chrt', ['--all-tasks', policy, '--pid', String(priority), String(process.pid)]);
}

/** @param folder for its configuration file */
export async function startBroker(folder: string, lines: string): Promise<ChildProcess> {
  const config = join(folder, 'broker.conf');
  writeFileSync(config, `user root\nlog_type error\nlog_type information\n${lines}`);
  const broker = spawn(process.execPath, [...midgeArguments, '-c', config], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  await new Promise<void>((resolve, reject) => {
    broker.stderr.on('data', (text) => String(text).includes('running') && resolve());
    broker.on('exit', () => reject(new Error('The broker does not start.')));
  });
  return broker;
}

export interface Measured {
  /** Milliseconds of every message. */
  latencies: number[];
  took: number;
}

/** A client that sends a QoS 0 message to itself every few milliseconds. */
export class Probe {
  readonly #client: SessionClient;
  #latencies: number[] = [];

  private constructor(client: SessionClient) {
    this.#client = client;
  }

  static async start(port: number, options: SessionClientOptions = {}): Promise<Probe> {
    const probe = new Probe(await SessionClient.connect(noTest, { port } as Broker, 4, options));
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

export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

export function p99({ latencies }: Measured): number {
  return percentile(latencies, 0.99);
}

export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
}

/** All messages of several rounds as one. */
export function together(rounds: readonly Measured[]): Measured {
  return {
    latencies: rounds.flatMap(({ latencies }) => latencies),
    took: median(rounds.map(({ took }) => took)),
  };
}
