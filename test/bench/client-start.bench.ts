/**
 * How long the commands take from the start of the process to its end, beside `node -e 0`, which is the least that any
 * program on Node takes; and how many lines a second `mosquitto_pub -l` publishes with QoS 1.
 *
 * The runs of all programs alternate, in another order each time, so that what else the machine does falls on all of
 * them alike. The broker is a few lines of this process.
 */
import { existsSync } from 'node:fs';
import type { ProgramName } from '../../src/cli/clients/options/client-settings.js';
import { COMMAND_ENVIRONMENT, debianCommand, ourCommand } from '../support/clients/client-commands.js';
import { LineSink } from '../support/clients/wire-record.js';
import { runCommand } from '../support/run-command.js';
import { isProgram } from './harness.js';

const rounds = 40;
const lineCount = 60_000;

interface Contestant {
  name: string;
  command: string[];
  input?: string;
  /** Milliseconds, one a run. */
  times: number[];
}

export async function run(): Promise<void> {
  const sink = await LineSink.open();
  const port = String(sink.port);
  await raceStarts(port);
  await raceLines(port);
  sink.close();
}

async function raceStarts(port: string): Promise<void> {
  const contestants = [contestant('node -e 0', [process.execPath, '-e', '0'])];
  for (const [name, args] of [
    ['mosquitto_pub', ['-t', 'a', '-m', 'hello']],
    ['mosquitto_pub', ['-t', 'a', '-m', 'hello', '-q', '1', '-V', '5']],
    ['mosquitto_pub', ['--version']],
    ['mosquitto_sub', ['-t', 'a', '-E']],
  ] as const) {
    contestants.push(contestant(`${name} ${args.join(' ')}`, [...ourCommand(name), '-p', port, ...args]));
  }
  addDebian(contestants, 'mosquitto_pub', ['-t', 'a', '-m', 'hello'], port);
  addDebian(contestants, 'mosquitto_sub', ['-t', 'a', '-E'], port);
  await race(contestants, rounds);
  console.log(`\nfrom start to end, ms, ${rounds} runs      min  median   beside node -e 0`);
  const base = contestants[0]!.times;
  for (const { name, times } of contestants) {
    const ratios = [Math.min(...times) / Math.min(...base), median(times) / median(base)];
    const figures = `${figure(Math.min(...times))} ${figure(median(times))}`;
    console.log(`${name.padEnd(38)} ${figures}   ${ratios.map((ratio) => ratio.toFixed(2)).join('  ')}`);
  }
}

async function raceLines(port: string): Promise<void> {
  const input = Array.from({ length: lineCount }, (_, i) => `line number ${i} with some text\n`).join('');
  const args = ['-t', 'a', '-l', '-q', '1'];
  const contestants = [
    { ...contestant('mosquitto_pub -l -q 1', [...ourCommand('mosquitto_pub'), '-p', port, ...args]), input },
    {
      ...contestant('mosquitto_pub -l -q 1 -M 1000', [
        ...[...ourCommand('mosquitto_pub'), '-p', port, ...args, '-M', '1000'],
      ]),
      input,
    },
  ];
  addDebian(contestants, 'mosquitto_pub', args, port, input);
  await race(contestants, 5);
  console.log(`\n${lineCount} lines, thousands a second          best  median`);
  for (const { name, times } of contestants) {
    const rates = times.map((ms) => lineCount / ms);
    console.log(`${name.padEnd(38)} ${figure(Math.max(...rates))} ${figure(median(rates))}`);
  }
}

function contestant(name: string, command: string[]): Contestant {
  return { name, command, times: [] };
}

function addDebian(
  contestants: Contestant[],
  program: ProgramName,
  args: readonly string[],
  port: string,
  input?: string,
): void {
  const [path] = debianCommand(program);
  if (!existsSync(path!)) return;
  const command = [path!, '-p', port, ...args];
  contestants.push({
    ...contestant(`Debian's ${program} ${args.join(' ')}`, command),
    ...(input === undefined ? {} : { input }),
  });
}

async function race(contestants: readonly Contestant[], times: number): Promise<void> {
  for (let round = 0; round < times; round += 1) {
    const first = round % contestants.length;
    for (const one of [...contestants.slice(first), ...contestants.slice(0, first)]) {
      const started = performance.now();
      await runCommand(one.command, { input: one.input, env: COMMAND_ENVIRONMENT, timeoutMs: 60_000 });
      one.times.push(performance.now() - started);
    }
  }
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1]!;
}

function figure(value: number): string {
  return value.toFixed(1).padStart(7);
}

if (isProgram(import.meta.url)) await run();
