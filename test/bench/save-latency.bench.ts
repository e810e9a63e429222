/**
 * A store of 200 MB is saved: how long do messages take meanwhile that have nothing to do with it? Rounds with and
 * without a save alternate, each pair in the other order, and last equally long.
 *
 *   npm run bench save-latency
 *   BENCH_FOLDER=/mnt/card npm run bench save-latency      # saves to another disk
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { Broker } from '../support/brokers/broker.js';
import { SessionClient } from '../support/clients/session-client.js';
import { freePort } from '../support/network/free-port.js';
import { isProgram } from './harness.js';
import {
  goBeforeOthers,
  type Measured,
  median,
  noTest,
  Probe,
  p99,
  percentile,
  startBroker,
  together,
} from './latency.js';

const storeBytes = 200e6;
const payloadBytes = 1000;
/** A record with its key, and its share of the pages' unused room. */
const recordBytes = 1940;
const messages = Math.ceil(storeBytes / recordBytes);
const rounds = Number(process.env.BENCH_ROUNDS ?? 20);
/** Retained messages sent before the first of them is acknowledged. */
const underWay = 1000;

interface Round {
  quiet: Measured;
  save: Measured;
}

async function run(): Promise<void> {
  goBeforeOthers();
  const folder = mkdtempSync(join(process.env.BENCH_FOLDER ?? tmpdir(), 'midge-bench-'));
  const port = await freePort();
  const broker = await startBroker(folder, brokerLines(port, folder));
  const saves = new Saves(broker);
  try {
    const writer = await SessionClient.connect(noTest, { port } as Broker, 4);
    await fill(writer);
    const probe = await Probe.start(port);
    const save = async (): Promise<void> => {
      await writer.publish('store/0', Buffer.alloc(payloadBytes), 1, true);
      await saves.next();
    };
    let roundMs = (await probe.during(save)).took; // and everything is compiled
    console.log(`\nsaves of ${(saves.bytes / 1e6).toFixed(0)} MB, ${rounds} rounds; milliseconds`);
    printRow('round', ['quiet p50', 'p99', 'max', 'save p50', 'p99', 'max', 'save took']);
    const results: Round[] = [];
    for (let round = 1; round <= rounds; round += 1) {
      const quiet = () => probe.during(() => wait(roundMs));
      const before = round % 2 === 0 ? await quiet() : undefined;
      const measured = await probe.during(save);
      roundMs = measured.took;
      const result = { quiet: before ?? (await quiet()), save: measured };
      results.push(result);
      printRow(String(round), figuresOf(result));
    }
    report(results);
  } finally {
    await ended(broker); // it leaves nothing in memory
    rmSync(folder, { recursive: true, force: true });
  }
}

async function ended(broker: ChildProcess): Promise<void> {
  const exit = once(broker, 'exit');
  broker.kill('SIGTERM');
  await exit;
}

function brokerLines(port: number, folder: string): string {
  return `listener ${port} 127.0.0.1
allow_anonymous true
persistence true
persistence_location ${folder}/
autosave_interval 0
`;
}

/** Sets retained messages until the store is as large as it is to be. */
async function fill(writer: SessionClient): Promise<void> {
  for (let first = 0; first < messages; first += underWay) {
    const last = Math.min(first + underWay, messages);
    const sent: Promise<void>[] = [];
    for (let i = first; i < last; i += 1) {
      sent.push(writer.publish(`store/${i}`, Buffer.alloc(payloadBytes, String(i)), 1, true));
    }
    await Promise.all(sent);
  }
}

/** The saves of a broker, as its log tells of them. */
class Saves {
  /** Size of the last one. */
  bytes = 0;
  readonly #broker: ChildProcess;
  #done: () => void = () => {};

  constructor(broker: ChildProcess) {
    this.#broker = broker;
    broker.stderr!.on('data', (text) => {
      const saved = /Saved (\d+) bytes/.exec(String(text));
      if (saved === null) return;
      this.bytes = Number(saved[1]);
      this.#done();
    });
  }

  /** Has the broker save. @returns when it has */
  async next(): Promise<void> {
    const saved = new Promise<void>((resolve) => {
      this.#done = resolve;
    });
    this.#broker.kill('SIGUSR1');
    await saved;
  }
}

// ----------------------------------------------------------------- figures

function report(results: readonly Round[]): void {
  const quiet = together(results.map((result) => result.quiet));
  const save = together(results.map((result) => result.save));
  printRow('all', figuresOf({ quiet, save }));
  const ofAll = p99(save) / p99(quiet);
  const ofRounds = median(results.map((result) => p99(result.save) / p99(result.quiet)));
  console.log(
    `p99 during a save / without: ${ofAll.toFixed(2)} times over all messages, ${ofRounds.toFixed(2)} in the median round`,
  );
}

function figuresOf({ quiet, save }: Round): string[] {
  return [...latencies(quiet), ...latencies(save), save.took.toFixed(0)];
}

function latencies(measured: Measured): string[] {
  return [median(measured.latencies), p99(measured), percentile(measured.latencies, 1)].map((figure) =>
    figure.toFixed(2),
  );
}

function printRow(name: string, cells: readonly string[]): void {
  console.log(name.padEnd(6) + cells.map((cell) => cell.padStart(11)).join(''));
}

if (isProgram(import.meta.url)) await run().then(() => process.exit(0));
