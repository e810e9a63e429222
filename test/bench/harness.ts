/**
 * What the micro benchmarks share: each thing is run several times for a while, and the table shows how long one
 * operation took in the fastest, the middle and the slowest run. Compare minima; a wide spread says that the machine
 * was busy.
 */
import { fileURLToPath } from 'node:url';

export interface Benchmark {
  name: string;
  /** How many operations one call of `once` stands for. */
  operations: number;
  /** @returns something that depends on all of the work, so that none of it can be left out */
  once: () => number;
}

/** Nanoseconds an operation. */
export interface Measured {
  name: string;
  min: number;
  median: number;
  max: number;
}

const runs = 7;
const runMs = 60;
const warmUpMs = 120;

let sink = 0;

export function measure(benchmark: Benchmark): Measured {
  const calls = Math.max(1, Math.ceil((repeatFor(benchmark, warmUpMs) * runMs) / warmUpMs));
  const times = Array.from({ length: runs }, () => timeOf(benchmark, calls)).sort((a, b) => a - b);
  return { name: benchmark.name, min: times[0]!, median: times[runs >> 1]!, max: times[runs - 1]! };
}

/** @returns how many calls fit into that time */
function repeatFor(benchmark: Benchmark, milliseconds: number): number {
  const end = performance.now() + milliseconds;
  let calls = 0;
  for (; performance.now() < end; calls += 1) sink ^= benchmark.once();
  return calls;
}

function timeOf(benchmark: Benchmark, calls: number): number {
  const started = process.hrtime.bigint();
  for (let i = 0; i < calls; i += 1) sink ^= benchmark.once();
  return Number(process.hrtime.bigint() - started) / (calls * benchmark.operations);
}

/** Measures and prints a table. */
export function report(title: string, benchmarks: readonly Benchmark[]): void {
  const nameWidth = Math.max(...benchmarks.map(({ name }) => name.length), title.length);
  console.log(`\n${row(title.padEnd(nameWidth), ['min', 'median', 'max'])}   ns/op, ${runs} runs`);
  for (const benchmark of benchmarks) {
    const { name, min, median, max } = measure(benchmark);
    console.log(row(name.padEnd(nameWidth), [min, median, max].map(figure)));
  }
  if (sink === 0.5) console.log(sink); // never, but the engine does not know
}

function row(name: string, cells: string[]): string {
  return `${name}  ${cells.map((cell) => cell.padStart(9)).join(' ')}`;
}

function figure(nanoseconds: number): string {
  return nanoseconds.toFixed(nanoseconds < 100 ? 1 : 0);
}

/** Whether the file was started as a program, and not imported. */
export function isProgram(moduleUrl: string): boolean {
  return process.argv[1] === fileURLToPath(moduleUrl);
}
