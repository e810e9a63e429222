/** `mosquitto_signal` and `mosquitto_db_dump`, which Debian's package `mosquitto` brings along. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { brokerProcesses } from '../../src/cli/signal/brokers.js';
import { startBroker } from '../support/brokers/broker.js';
import { makeFolder } from '../support/cleanup.js';
import { RawClient } from '../support/clients/raw-client.js';
import { builtFolder } from '../support/project.js';
import { runCommand } from '../support/run-command.js';
import { readSample, SAMPLE_NAMES } from '../support/store/mosquitto-db-samples.js';

async function run(
  program: string,
  ...args: string[]
): Promise<[stdout: string, stderr: string, code: number | null]> {
  const command = [process.execPath, join(builtFolder, 'src', 'cli', `${program}.cjs`), ...args];
  const { stdout, stderr, code } = await runCommand(command);
  return [stdout.toString(), stderr.toString(), code];
}

const SILENT = ['', '', 0];

describe('mosquitto_signal', () => {
  test('config-reload, log-rotate, tree-print and shutdown reach the broker', async (t) => {
    const broker = await startBroker(t);
    const client = await RawClient.connect(t, broker, 4);
    await client.subscribe('kitchen/lamp');
    const pid = String(broker.pid);
    for (const signal of ['config-reload', 'log-rotate']) {
      const from = broker.log.length;
      assert.deepEqual(await run('mosquitto_signal', '-p', pid, signal), SILENT);
      await broker.waitForLog(/Reloading config\.$/, { from });
    }
    const from = broker.log.length;
    assert.deepEqual(await run('mosquitto_signal', '-p', pid, 'tree-print'), SILENT);
    await broker.waitForLog(/lamp/, { from });
    const [, refusal, code] = await run('mosquitto_signal', '-p', pid, 'xtreport');
    assert.deepEqual([refusal, code], [`Error sending signal to process ${pid}: It is not a Mosquitto\n`, 0]);
    assert.deepEqual(await run('mosquitto_signal', '-p', pid, 'shutdown'), SILENT);
    assert.equal((await broker.program.waitForEnd()).code, 0);
  });

  // Nothing is sent to all: other brokers may run on this machine.
  test('-a means this broker, and no client of it', { skip: process.platform !== 'linux' }, async (t) => {
    const broker = await startBroker(t);
    const found = brokerProcesses();
    assert.ok(found.includes(broker.pid));
    assert.ok(!found.includes(process.pid));
  });

  test('a process that is not there', async () => {
    const expected = ['', 'Error sending signal to process 4194305: No such process\n', 0];
    assert.deepEqual(await run('mosquitto_signal', '-p', '4194305', 'shutdown'), expected);
  });

  test('usage and faults end with 1', async () => {
    for (const args of [[], ['--help']]) {
      const [stdout, stderr, code] = await run('mosquitto_signal', ...args);
      assert.match(stdout, /^Usage: mosquitto_signal \{-a \| -p PID\} SIGNAL$/m);
      assert.deepEqual([stderr, code], ['', 1]);
    }
    assert.deepEqual(await run('mosquitto_signal', 'shutdown'), [
      '',
      'Error: One of -a or -p must be used.\n',
      1,
    ]);
  });
});

describe('mosquitto_db_dump', () => {
  const sample = 'v6-2.1.2-all';

  function sampleFile(t: TestContext, name = `${sample}.db`): string {
    const path = join(makeFolder(t), 'mosquitto.db');
    writeFileSync(path, readSample(name));
    return path;
  }

  // What mosquitto_db_dump of 2.1.2 prints, but for the store ids of client messages in JSON, which are wrong there.
  for (const [option, extension] of [
    [undefined, 'txt'],
    ['--stats', 'stats.txt'],
    ['--client-stats', 'client-stats.txt'],
    ['--json', 'json'],
  ] as const) {
    test(`${option ?? 'everything'} is what Mosquitto's command prints`, async (t) => {
      const words = option === undefined ? [] : [option];
      const expected = readSample(`${sample}.dump.${extension}`).toString();
      assert.deepEqual(await run('mosquitto_db_dump', ...words, sampleFile(t)), [expected, '', 0]);
    });
  }

  for (const name of SAMPLE_NAMES) {
    test(`${name}: JSON that parses`, async (t) => {
      const [stdout, stderr, code] = await run('mosquitto_db_dump', '--json', sampleFile(t, name));
      assert.deepEqual([stderr, code], ['', 0]);
      const topics = JSON.parse(stdout)['base-messages'].map(({ topic }: { topic: string }) => topic);
      assert.ok(topics.length > 0 && topics.every((topic: string) => topic !== ''));
    });
  }

  test('a store of Midge', async (t) => {
    const folder = makeFolder(t);
    const config = `persistence true\npersistence_location ${folder}/`;
    const broker = await startBroker(t, { config });
    const client = await RawClient.connect(t, broker, 4, { clientId: 'c', cleanStart: false });
    await client.subscribe('a/+', 1);
    await client.publish('kept', 'here', { retain: true });
    await broker.stop();
    const file = join(folder, 'mosquitto.db');
    const before = readFileSync(file);
    const [text, , code] = await run('mosquitto_db_dump', file);
    assert.equal(code, 0);
    assert.match(text, /^DB version: 6$/m);
    assert.match(text, /^\tTopic: kept$/m);
    assert.match(text, /^\tClient ID: c\n\tTopic: a\/\+$/m);
    const [stats] = await run('mosquitto_db_dump', '--stats', file);
    assert.match(stats, /^DB_CHUNK_RETAIN: {5}1$/m);
    assert.deepEqual(readFileSync(file), before);
  });

  test('faults', async (t) => {
    const usage = 'Usage: db_dump [--stats | --client-stats | --json] <mosquitto db filename>\n';
    const file = sampleFile(t);
    for (const args of [[], ['--nope', file], ['--stats', '--json', file], ['a', 'b']]) {
      assert.deepEqual(await run('mosquitto_db_dump', ...args), ['', usage, 1], args.join(' '));
    }
    assert.deepEqual(await run('mosquitto_db_dump', '--help'), [usage, '', 1]);
    assert.deepEqual(await run('mosquitto_db_dump', '/nonexistent'), [
      '',
      'Error: Unable to open /nonexistent\n',
      0,
    ]);
    const other = join(makeFolder(t), 'text');
    writeFileSync(other, 'This is a text that is longer than the header of a database.\n');
    assert.deepEqual(await run('mosquitto_db_dump', other), ['', 'Error: Unrecognised file format.\n', 1]);
  });
});
