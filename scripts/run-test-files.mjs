/**
 * Runs test files with Node's test runner: in the order given, so many at once. (`node --test` sorts them by name, and
 * a long file that begins last leaves the other processors idle at the end.) Other options of Node stand before this
 * file's name: the processes of the test files inherit them.
 *
 *   node <options> scripts/run-test-files.mjs [--test-name-pattern <text>] [--test-only] [--at-once <files>]
 *     [--minutes <for each file>] <file> ...
 */
import { setMaxListeners } from 'node:events';
import { resolve } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { parseArgs } from 'node:util';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    'test-name-pattern': { type: 'string', multiple: true, default: [] },
    'test-only': { type: 'boolean', default: false },
    'at-once': { type: 'string', default: '1' },
    minutes: { type: 'string', default: '10' },
  },
});

const stopped = new AbortController();
setMaxListeners(0, stopped.signal); // One for each file.
// A file's process ends what its tests have started.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => stopped.abort());

const patterns = values['test-name-pattern'];
/** Tests of the names that were asked for; the runner passes all others as skipped. */
let found = 0;
const count = ({ skip, details }) => {
  if (details.type !== 'suite' && skip !== 'test name does not match pattern') found += 1;
};

run({
  files: positionals.map((file) => resolve(file)),
  concurrency: Number(values['at-once']),
  timeout: Number(values.minutes) * 60_000,
  signal: stopped.signal,
  only: values['test-only'],
  ...(patterns.length > 0 && { testNamePatterns: patterns }),
})
  .on('test:pass', count)
  .on('test:fail', (result) => {
    count(result);
    if (result.todo === undefined || result.todo === false) process.exitCode = 1;
  })
  .compose(new spec())
  .on('end', () => {
    if (patterns.length === 0 || found > 0) return;
    process.exitCode = 1;
    console.error(
      `No test was run: neither the path of a test file nor the name of a test has ${patterns.map((pattern) => `"${pattern}"`).join(' or ')}.`,
    );
  })
  .pipe(process.stdout);
