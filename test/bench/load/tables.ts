/**
 * The tables of figures in the documents, made from the results file. In a document a table stands between
 * `<!-- bench:begin NAME -->` and `<!-- bench:end NAME -->`.
 */
import type { Results, ScenarioResults, Spread } from './results.js';
import { scenarios } from './scenarios.js';

/** The documents that have tables. */
export const documentsWithTables = ['README.md', 'docs/performance.md'];

type Scenarios = Results['scenarios'];
type Row = readonly string[];

const other = 'mosquitto';

const tables: Readonly<Record<string, (results: Results) => string>> = {
  machine: machineText,
  live: ({ scenarios }) => liveTable(scenarios),
  gateway: ({ scenarios }) => gatewayTable(scenarios),
  connections: ({ scenarios }) => connectionsTable(scenarios),
  store: ({ scenarios }) => storeTable(scenarios),
};

const notMeasured = 'Not measured yet: `npm run bench compare` does it.';

/**
 * @param text a document's
 * @returns the same document with the tables of these results
 * @throws for a name that no table has, and for a beginning without its end
 */
export function withTables(text: string, results: Results | undefined): string {
  const block = /<!-- bench:begin (\S+) -->\n(?:([\s\S]*?)<!-- bench:end \1 -->)?/g;
  return text.replace(block, (_all, name: string, content: string | undefined) => {
    const table = tables[name];
    if (table === undefined)
      throw new Error(`There is no table ${name}: ${Object.keys(tables).join(', ')} are known.`);
    if (content === undefined) throw new Error(`The table ${name} has no line <!-- bench:end ${name} -->.`);
    const body = (results && table(results)) || notMeasured;
    return `<!-- bench:begin ${name} -->\n${body}\n<!-- bench:end ${name} -->`;
  });
}

// ------------------------------------------------------------------ the tables

function liveTable(results: Scenarios): string {
  const rows = measuredOf('live', results).map(([title, one]) => [
    title,
    count(one.brokers[other]!.deliveriesPerSecond!),
    comparedCount(one, 'deliveriesPerSecond'),
    against(one, 'cpuMicrosPerDelivery', 1),
  ]);
  return table(['', 'Mosquitto, msg/s', 'Midge, msg/s', 'CPU of the broker per message'], rows);
}

function gatewayTable(results: Scenarios): string {
  const rows = measuredOf('gateway', results).map(([title, one]) => [
    title,
    against(one, 'cpuMicrosPerDelivery', 1),
    against(one, 'latencyP50Micros', 1000, 'ms'),
    against(one, 'latencyP99Micros', 1000, 'ms'),
  ]);
  return table(['', 'CPU of the broker per delivery', 'half of them within', '99 % of them within'], rows);
}

function connectionsTable({ connects, idle }: Scenarios): string {
  const rows: Row[] = [];
  const add = (title: string, one: ScenarioResults, key: string, show: (spread: Spread) => string): void => {
    const ratio = times(one.ratios[other]![key]!);
    rows.push([title, show(one.brokers[other]![key]!), `${show(one.brokers.midge![key]!)} (${ratio})`]);
  };
  const micros = ({ median }: Spread) => `${significant(median)} µs`;
  const kilobytes = ({ median }: Spread) => `${significant(median / 1000)} kB`;
  const megabytes = ({ median }: Spread) => `${significant((median * 1024) / 1e6)} MB`;
  if (connects !== undefined) {
    add('connections accepted in a second', connects, 'connectionsPerSecond', count);
    add('CPU of the broker per connection', connects, 'cpuMicrosPerConnection', micros);
  }
  if (idle !== undefined) {
    add('an idle connection with a subscription, RSS', idle, 'rssBytesPerConnection', kilobytes);
    add('the same, private and written', idle, 'privateDirtyBytesPerConnection', kilobytes);
    add('CPU of the broker per PINGREQ', idle, 'cpuMicrosPerPing', micros);
    add('the process without connections, RSS', idle, 'startRssKilobytes', megabytes);
    add('the same, private and written', idle, 'startPrivateDirtyKilobytes', megabytes);
  }
  return table(['', 'Mosquitto', 'Midge'], rows);
}

function storeTable(results: Scenarios): string {
  const lines: [title: string, scenario: string, key: string][] = [
    ['queued for a client that is away', 'queue', 'queuedPerSecond'],
    ['sent when it is back', 'queue', 'drainedPerSecond'],
    ['retained messages set', 'retain', 'setPerSecond'],
    ['retained messages read, QoS 1', 'retain', 'readPerSecond'],
  ];
  const cells = (one: ScenarioResults | undefined, key: string): Row =>
    one === undefined ? ['', ''] : [count(one.brokers[other]![key]!), comparedCount(one, key)];
  const rows = lines
    .filter(([, scenario]) => results[`${scenario}-20k`] !== undefined)
    .map(([title, scenario, key]) => [
      title,
      ...cells(results[`${scenario}-20k`], key),
      ...cells(results[`${scenario}-200k`], key),
    ]);
  const heads = ['the first 20,000: Mosquitto, msg/s', 'Midge', '200,000: Mosquitto, msg/s', 'Midge'];
  return table(['', ...heads], rows);
}

function machineText({ machine, scenarios }: Results): string {
  const all = Object.values(scenarios);
  const several = (values: readonly (string | number)[]) => [...new Set(values)].sort().join(', ');
  const programs = `Node.js ${machine.node.replace('v', '')}, Mosquitto ${machine.mosquitto}`;
  return [
    `- ${machine.cpu}, ${machine.cores} cores, ${machine.memoryGigabytes} GB, Linux ${machine.kernel}`,
    `- ${programs}, Midge at commit ${several(all.map(({ commit }) => commit))}`,
    `- ${several(all.map(({ date }) => date.slice(0, 10)))}; interleaved rounds: ${several(all.map(({ rounds }) => rounds))}`,
  ].join('\n');
}

/** The scenarios of a group that were measured, with their titles. */
function measuredOf(group: string, results: Scenarios): [title: string, ScenarioResults][] {
  return scenarios
    .filter((scenario) => scenario.group === group)
    .flatMap(({ name, title }) => (results[name] === undefined ? [] : [[title, results[name]]]));
}

// --------------------------------------------------------------------- cells

function table(head: Row, rows: readonly Row[]): string {
  if (rows.length === 0) return '';
  return [head, head.map(() => '---'), ...rows]
    .map((row) => `| ${row.join(' | ')} |`)
    .join('\n')
    .replaceAll('|  |', '| |');
}

function comparedCount(one: ScenarioResults, key: string): string {
  return `${count(one.brokers.midge![key]!)} (${times(one.ratios[other]![key]!)})`;
}

/** Midge's median against Mosquitto's. */
function against(one: ScenarioResults, key: string, divisor: number, unit = 'µs'): string {
  const [ours, theirs] = [one.brokers.midge![key]!, one.brokers[other]![key]!];
  return `${significant(ours.median / divisor)} against ${significant(theirs.median / divisor)} ${unit}`;
}

/** The median of the rounds, with the range if there is one. */
function times({ median, min, max }: Spread): string {
  const [low, high] = [ratio(min), ratio(max)];
  return low === high ? `${ratio(median)} times` : `${ratio(median)} times; ${low} to ${high}`;
}

function ratio(value: number): string {
  if (value >= 10) return value.toFixed(0);
  return value >= 1 ? value.toFixed(1) : value.toFixed(2);
}

function count({ median }: Spread): string {
  return Number(median.toPrecision(3)).toLocaleString('en-US');
}

function significant(value: number): string {
  return value >= 100
    ? Number(value.toPrecision(3)).toLocaleString('en-US')
    : String(Number(value.toPrecision(2)));
}
