/** From the reports of several rounds to a table in a document. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Report } from './generator.js';
import { type Results, summarize } from './results.js';
import { scenarios, selectScenarios } from './scenarios.js';
import { withTables } from './tables.js';

const machine = {
  cpu: 'a CPU',
  cores: 2,
  memoryGigabytes: 4,
  kernel: '6.1',
  node: 'v20.1.0',
  mosquitto: '2.0.11',
};

function reportOf(deliveriesPerSecond: number, more: Report = {}): Report {
  const rest = {
    latencyP50Micros: 1,
    latencyP99Micros: 2,
    peakRssKilobytes: 3,
    generatorCores: 0.5,
    otherCores: 0,
  };
  return { deliveriesPerSecond, cpuMicrosPerDelivery: 1e6 / deliveriesPerSecond, ...rest, ...more };
}

function measured(): Results {
  const [scenario] = selectScenarios(['pairs-q0']);
  const rounds = new Map([
    ['midge', [reportOf(1_000_000), reportOf(3_000_000), reportOf(2_222_222)]],
    ['mosquitto', [reportOf(100_000), reportOf(50_000), reportOf(40_000, { lost: 2, duplicates: 0 })]],
  ]);
  const about = { commit: 'abc', date: '2026-01-02T03:04:05.678Z', rounds: 3, options: '' };
  return { machine, scenarios: { 'pairs-q0': { ...about, ...summarize(scenario!, rounds) } } };
}

test('the ratio is the median of the ratios of the rounds, not the ratio of the medians', () => {
  const { ratios, brokers } = measured().scenarios['pairs-q0']!;
  assert.deepEqual(brokers.midge!.deliveriesPerSecond, { median: 2_222_000, min: 1_000_000, max: 3_000_000 });
  assert.deepEqual(ratios.mosquitto!.deliveriesPerSecond, { median: 55.56, min: 10, max: 60 });
});

test('what was lost in any round is in the results', () => {
  assert.deepEqual(measured().scenarios['pairs-q0']!.findings, { mosquitto: { lost: 2 } });
});

test('a table stands between its marks, and nothing else of the document changes', () => {
  const text = 'before\n<!-- bench:begin live -->\nold\n<!-- bench:end live -->\nafter\n';
  const made = withTables(text, measured());
  assert.equal(
    made,
    `before
<!-- bench:begin live -->
| | Mosquitto, msg/s | Midge, msg/s | CPU of the broker per message |
| --- | --- | --- | --- |
| QoS 0 | 50,000 | 2,220,000 (56 times; 10 to 60) | 0.45 against 20 µs |
<!-- bench:end live -->
after
`,
  );
  assert.equal(withTables(made, measured()), made);
});

test('a table without results says so', () => {
  const text = '<!-- bench:begin store -->\n<!-- bench:end store -->\n';
  assert.match(withTables(text, undefined), /\nNot measured yet: `npm run bench compare` does it.\n/);
  assert.match(withTables(text, measured()), /\nNot measured yet: /);
});

test('a table that does not exist, or has no end', () => {
  assert.throws(
    () => withTables('<!-- bench:begin lives -->\n<!-- bench:end lives -->\n', measured()),
    /There is no table lives: machine, live, gateway, connections, store are known/,
  );
  assert.throws(
    () => withTables('<!-- bench:begin live -->\n', measured()),
    /The table live has no line <!-- bench:end live/,
  );
});

test('scenarios are chosen by group or by a part of their name', () => {
  assert.equal(selectScenarios([]), scenarios);
  const names = (...words: string[]) => selectScenarios(words).map(({ name }) => name);
  assert.deepEqual(names('pairs', 'gateway'), [
    'pairs-q0',
    'pairs-q1',
    'pairs-q2',
    'gateway-200',
    'gateway-2000',
  ]);
  assert.throws(() => selectScenarios(['pears']), /No scenario is named pears/);
});
