/**
 * `npm run bench compare`: Midge beside the Mosquitto of this machine, or beside any other broker, with the same load.
 * Rounds are interleaved, so that the slow and the fast minutes of a machine fall on all brokers alike.
 */
import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { midgeCommand, projectFolder } from '../../support/project.js';
import { type Contestant, RunningBroker } from './contestant.js';
import { compileGenerator, type Report, runGenerator } from './generator.js';
import { calm, describeCommit, describeMachine, mosquittoProgram, otherCoresMax } from './machine.js';
import {
  circumstances,
  resultsFile,
  type ScenarioResults,
  type Spread,
  subject,
  summarize,
  writeResults,
} from './results.js';
import { findingKeys, type Scenario, scenarios, selectScenarios } from './scenarios.js';

/** How long to wait for a calm machine before each run, and how often to measure where it was not calm. */
const calmMs = 5_000;
const attemptsMax = 2;

const help = `npm run bench compare -- [OPTIONS] [SCENARIO]...

  SCENARIO                a group (live, gateway, connections, store) or a part of a scenario's name; default: all
  --rounds N              interleaved rounds; the median of them counts (default 3)
  --warmup S --seconds S  before and while measuring, where messages are live (default 2 and 3)
  --broker NAME=COMMAND   one more broker; {conf}, {port} and {dir} are filled in. COMMAND is split at spaces and must
                          be the broker itself: its process is measured
  --without-mosquitto     only the brokers given with --broker, beside Midge
  --results FILE          where results are added; default ${resultsFile.slice(projectFolder.length)}, or no
                          file with --broker or --without-mosquitto
  --list                  names the scenarios
`;

interface Comparison {
  contestants: readonly Contestant[];
  rounds: number;
  /** For the scenarios that go on for a given time. */
  duration: readonly string[];
}

async function run(): Promise<void> {
  const { values, positionals } = parseArgs({
    options: {
      rounds: { type: 'string', default: '3' },
      warmup: { type: 'string', default: '2' },
      seconds: { type: 'string', default: '3' },
      broker: { type: 'string', multiple: true, default: [] },
      'without-mosquitto': { type: 'boolean', default: false },
      results: { type: 'string' },
      list: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
    allowPositionals: true,
  });
  if (values.help) return console.log(help);
  if (values.list) return listScenarios();
  const hasMosquitto = !values['without-mosquitto'];
  const isUsual = hasMosquitto && values.broker.length === 0;
  const comparison = {
    contestants: contestantsOf(values.broker, hasMosquitto),
    rounds: positive('--rounds', values.rounds),
    duration: ['--warmup', values.warmup, '--seconds', values.seconds],
  };
  const chosen = selectScenarios(positionals);
  compileGenerator();
  const machine = describeMachine();
  const commit = describeCommit();
  const file = values.results ?? (isUsual ? resultsFile : undefined);
  for (const scenario of chosen) {
    const results = await compare(scenario, comparison, commit);
    printTable(scenario, results);
    if (file === undefined) continue;
    const dropped = writeResults(file, machine, { [scenario.name]: results });
    if (dropped.length > 0)
      console.error(`${file}: ${dropped.join(', ')} are gone, measured on another machine.`);
  }
  if (file === resultsFile) console.error('npm run generate puts the figures into the documents.');
}

function listScenarios(): void {
  for (const { name, group, args } of scenarios)
    console.log(`${name.padEnd(14)}${group.padEnd(13)}${args.join(' ')}`);
}

function positive(option: string, text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value > 0) return value;
  throw new Error(`${option} ${text}: a positive whole number is wanted.`);
}

function contestantsOf(given: readonly string[], hasMosquitto: boolean): Contestant[] {
  const contestants: Contestant[] = [{ name: subject, command: [...midgeCommand, '-c', '{conf}'] }];
  if (hasMosquitto) {
    if (!existsSync(mosquittoProgram)) {
      throw new Error(
        `${mosquittoProgram} is missing: install it (Debian: apt-get install mosquitto), or leave it out with --without-mosquitto.`,
      );
    }
    contestants.push({ name: 'mosquitto', command: [mosquittoProgram, '-c', '{conf}'] });
  }
  for (const text of given) {
    const [, name, command] = /^([\w.-]+)=(\S.*)$/.exec(text) ?? [];
    if (name === undefined || command === undefined)
      throw new Error(`--broker ${text}: NAME=COMMAND is wanted.`);
    if (contestants.some((one) => one.name === name))
      throw new Error(`--broker ${text}: there is a broker ${name}.`);
    contestants.push({ name, command: command.trim().split(/\s+/) });
  }
  return contestants;
}

// ------------------------------------------------------------------ measuring

async function compare(scenario: Scenario, comparison: Comparison, commit: string): Promise<ScenarioResults> {
  const { contestants, rounds, duration } = comparison;
  const args = [...scenario.args, ...(scenario.isTimed ? duration : [])];
  const reports = new Map(contestants.map(({ name }) => [name, [] as Report[]]));
  for (let round = 0; round < rounds; round += 1) {
    const first = round % contestants.length;
    for (const one of [...contestants.slice(first), ...contestants.slice(0, first)]) {
      const report = await measureInCalm(one, scenario, args);
      reports.get(one.name)!.push(report);
      console.error(`${scenario.name} ${round + 1}/${rounds} ${one.name}: ${figuresOf(scenario, report)}`);
    }
  }
  const date = new Date().toISOString();
  return { commit, date, rounds, options: args.join(' '), ...summarize(scenario, reports) };
}

/** Where others took the machine meanwhile it is measured again; the calmest attempt counts, whatever it measured. */
async function measureInCalm(
  contestant: Contestant,
  scenario: Scenario,
  args: readonly string[],
): Promise<Report> {
  let calmest: Report | undefined;
  for (let attempt = 1; attempt <= attemptsMax; attempt += 1) {
    await calm(calmMs);
    const report = await measure(contestant, scenario, args);
    if (calmest === undefined || report.otherCores! < calmest.otherCores!) calmest = report;
    if (calmest.otherCores! < otherCoresMax) break;
  }
  return calmest!;
}

async function measure(contestant: Contestant, scenario: Scenario, args: readonly string[]): Promise<Report> {
  const broker = await RunningBroker.start(contestant, scenario.isStored);
  try {
    const { report, reason } = await runGenerator(args, broker.port, broker.pid);
    if (report === undefined) throw new Error(`${scenario.name} with ${contestant.name}: ${reason}`);
    return report;
  } finally {
    await broker.stop();
  }
}

function figuresOf({ figures }: Scenario, report: Report): string {
  const measured = [...figures, ...circumstances].map(
    ({ key, title, digits }) => `${title} ${report[key]!.toFixed(digits)}`,
  );
  const findings = findingKeys
    .filter((key) => (report[key] ?? 0) > 0)
    .map((key) => `${key.toUpperCase()} ${report[key]}`);
  return [...measured, ...findings].join('  ');
}

// -------------------------------------------------------------------- showing

function printTable(
  { name, figures }: Scenario,
  { brokers, ratios, options, findings }: ScenarioResults,
): void {
  console.log(`\n${name}: ${options}`);
  const show = ({ median, min, max }: Spread, digits: number) =>
    `${median.toFixed(digits)} (${min.toFixed(digits)} to ${max.toFixed(digits)})`;
  for (const { key, title, digits } of [...figures, ...circumstances]) {
    console.log(`  ${title}`);
    for (const [broker, spreads] of Object.entries(brokers)) {
      const ratio = ratios[broker]?.[key];
      const compared = ratio === undefined ? '' : `${subject} / ${broker}: ${show(ratio, 3)}`;
      console.log(`    ${broker.padEnd(12)}${show(spreads[key]!, digits).padEnd(36)}${compared}`);
    }
  }
  for (const [broker, counts] of Object.entries(findings))
    console.log(`  ${broker}: ${JSON.stringify(counts)}`);
}

process.on('SIGTERM', () => process.exit(143));
process.on('SIGINT', () => process.exit(130));
try {
  await run();
} catch (error) {
  console.error(`bench compare: ${(error as Error).message}`);
  process.exit(1);
}
