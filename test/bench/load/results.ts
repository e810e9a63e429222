/** The results file: what `npm run bench compare` measured, and from which the tables of the documents are made. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectFolder } from '../../support/project.js';
import type { Report } from './generator.js';
import { type Figure, findingKeys, type Scenario } from './scenarios.js';

export const resultsFile = join(projectFolder, 'docs', 'performance-results.json');

export interface Spread {
  median: number;
  min: number;
  max: number;
}

export interface Machine {
  cpu: string;
  cores: number;
  memoryGigabytes: number;
  kernel: string;
  node: string;
  mosquitto: string;
}

export interface ScenarioResults {
  commit: string;
  date: string;
  rounds: number;
  /** How the load generator was called. */
  options: string;
  /** By the broker's name and the figure's key. */
  brokers: Record<string, Record<string, Spread>>;
  /** Midge's figure divided by the other broker's of the same round, by the other's name and the figure's key. */
  ratios: Record<string, Record<string, Spread>>;
  /** By the broker's name: what was lost, came twice and so on, over all rounds. Nothing for a broker without faults. */
  findings: Record<string, Record<string, number>>;
}

export interface Results {
  machine: Machine;
  scenarios: Record<string, ScenarioResults>;
}

/** What the machine did beside the broker. */
export const circumstances: readonly Figure[] = [
  { key: 'generatorCores', title: 'generator cores', digits: 2 },
  { key: 'otherCores', title: 'other cores', digits: 2 },
];

/** The broker that the others are compared with. */
export const subject = 'midge';

export type Rounds = ReadonlyMap<string, readonly Report[]>;

/** @param rounds the reports of each broker, in the order of the rounds */
export function summarize(
  scenario: Scenario,
  rounds: Rounds,
): Pick<ScenarioResults, 'brokers' | 'ratios' | 'findings'> {
  const brokers: ScenarioResults['brokers'] = {};
  const ratios: ScenarioResults['ratios'] = {};
  const findings: ScenarioResults['findings'] = {};
  const ours = rounds.get(subject) ?? [];
  for (const [name, reports] of rounds) {
    brokers[name] = spreads([...scenario.figures, ...circumstances], ({ key }) =>
      reports.map((report) => report[key]!),
    );
    const found = findingsOf(reports);
    if (Object.keys(found).length > 0) findings[name] = found;
    if (name === subject) continue;
    ratios[name] = spreads(scenario.figures, ({ key }) =>
      ours.map((report, i) => report[key]! / reports[i]![key]!),
    );
  }
  return { brokers, ratios, findings };
}

function findingsOf(reports: readonly Report[]): Record<string, number> {
  const sums = findingKeys.map(
    (key) => [key, reports.reduce((sum, report) => sum + (report[key] ?? 0), 0)] as const,
  );
  return Object.fromEntries(sums.filter(([, sum]) => sum > 0));
}

function spreads(figures: readonly Figure[], valuesOf: (figure: Figure) => number[]): Record<string, Spread> {
  return Object.fromEntries(figures.map((figure) => [figure.key, spread(valuesOf(figure))]));
}

function spread(values: number[]): Spread {
  const sorted = values.sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
  return { median: short(median), min: short(sorted[0]!), max: short(sorted.at(-1)!) };
}

/** Four digits say more than a run can tell. */
function short(value: number): number {
  return Number(value.toPrecision(4));
}

export function readResults(path = resultsFile): Results | undefined {
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : undefined;
}

/**
 * Adds to the results file what was measured, in place of what it had of the same scenarios.
 *
 * @returns the scenarios that are no longer in the file because they were measured on another machine
 */
export function writeResults(path: string, machine: Machine, measured: Results['scenarios']): string[] {
  const before = readResults(path);
  const isSame = before === undefined || JSON.stringify(before.machine) === JSON.stringify(machine);
  const old = before?.scenarios ?? {};
  const scenarios = isSame ? { ...old, ...measured } : measured;
  writeFileSync(path, `${JSON.stringify({ machine, scenarios }, null, 2)}\n`);
  return Object.keys(old).filter((name) => scenarios[name] === undefined);
}
