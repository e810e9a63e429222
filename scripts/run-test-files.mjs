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

run({
  files: positionals.map((file) => resolve(file)),
  concurrency: Number(values['at-once']),
  timeout: Number(values.minutes) * 60_000,
  signal: stopped.signal,
  only: values['test-only'],
  ...(values['test-name-pattern'].length > 0 && { testNamePatterns: values['test-name-pattern'] }),
})
  .on('test:fail', ({ todo }) => {
    if (todo === undefined || todo === false) process.exitCode = 1;
  })
  .compose(new spec())
  .pipe(process.stdout);
