/** The log of a process: what is written when it ends, and what it does when nobody reads. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { makeFolder } from '../support/cleanup.js';
import { Program } from '../support/program.js';
import { builtFolder } from '../support/project.js';

/** Runs the script in a process of its own, with everything of `logger.js` and `libc.js` at hand. */
function command(script: string): string[] {
  const module = (name: string) => pathToFileURL(join(builtFolder, 'src', 'log', name)).href;
  const imports = `
    import { Logger, bootstrapLogOptions } from '${module('logger.js')}';
    import { openSyslog } from '${module('libc.js')}';
  `;
  return [process.execPath, '--input-type=module', '--eval', imports + script];
}

const run = (t: TestContext, script: string) => new Program(t, 'script', command(script));

/** For `sh -c`. */
const quoted = (words: readonly string[]) =>
  words.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' ');

/** Runs the script with its standard output in a pipe to another program. */
function runIntoPipe(t: TestContext, script: string, reader: string): Program {
  return new Program(t, 'pipeline', [
    'bash',
    '-c',
    `${quoted(command(script))} | ${reader}; exit \${PIPESTATUS[0]}`,
  ]);
}

describe('the last lines are there', () => {
  const endings: [how: string, ending: string, code: number][] = [
    ['process.exit', 'process.exit(3)', 3],
    ['an uncaught exception', 'throw new Error("a bug")', 1],
    ['nothing left to do', '', 0],
  ];
  for (const [how, ending, code] of endings) {
    test(`after ${how}, in a file and on both standard streams`, async (t) => {
      const path = join(makeFolder(t), 'broker.log');
      const program = run(
        t,
        `const logDest = [{ kind: 'file', path: '${path}' }, { kind: 'stdout' }, { kind: 'stderr' }];
         const log = new Logger({ ...bootstrapLogOptions, logDest });
         for (let n = 0; n < 1000; n += 1) log.writeLines([['notice', 'line ' + n, 1_700_000_000_000]]);
         ${ending}`,
      );
      assert.deepEqual(await program.waitForEnd(), { code, signal: null });
      const expected = Array.from({ length: 1000 }, (_, n) => `1700000000: line ${n}`);
      assert.deepEqual(readFileSync(path, 'utf8').trimEnd().split('\n'), expected);
      assert.deepEqual(program.stdout, expected);
      assert.deepEqual(program.stderr.slice(0, 1000), expected);
    });
  }

  test('after a reload, in the destinations of before as well', async (t) => {
    const path = join(makeFolder(t), 'broker.log');
    const program = run(
      t,
      `const log = new Logger();
       log.write('error', 'to standard error');
       log.reconfigure({ ...bootstrapLogOptions, logTimestamp: false, logDest: [{ kind: 'file', path: '${path}' }] });
       log.write('error', 'to the file');
       log.reconfigure({ ...bootstrapLogOptions, logDest: [] });
       process.exit();`,
    );
    await program.waitForEnd();
    assert.match(program.stderr.join('\n'), /^\d+: to standard error$/);
    assert.equal(readFileSync(path, 'utf8'), 'to the file\n');
  });

  test('through a pipe that is full at the moment', async (t) => {
    const program = runIntoPipe(
      t,
      `const log = new Logger({ ...bootstrapLogOptions, logTimestamp: false, logDest: [{ kind: 'stdout' }] });
       for (let n = 0; n < 20_000; n += 1) log.write('notice', 'line ' + n);
       setImmediate(() => setImmediate(() => process.exit()));`,
      'cat',
    );
    assert.deepEqual(await program.waitForEnd(), { code: 0, signal: null });
    assert.deepEqual(
      program.stdout,
      Array.from({ length: 20_000 }, (_, n) => `line ${n}`),
    );
  });
});

test('before there are settings, lines go to standard error with the time', async (t) => {
  const program = run(t, `new Logger().write('error', "Error: Unknown configuration variable 'foo'.");`);
  await program.waitForEnd();
  assert.deepEqual(program.stdout, []);
  assert.match(program.stderr.join('\n'), /^\d{10}: Error: Unknown configuration variable 'foo'\.$/);
});

test('a reader of standard output that goes away does not end the process', async (t) => {
  const done = join(makeFolder(t), 'done');
  const program = runIntoPipe(
    t,
    `import { writeFileSync } from 'node:fs';
     const log = new Logger({ ...bootstrapLogOptions, logDest: [{ kind: 'stdout' }] });
     let turns = 0;
     const timer = setInterval(() => {
       log.write('notice', 'x'.repeat(900));
       turns += 1;
       if (turns < 100) return;
       clearInterval(timer);
       log.close().then(() => writeFileSync('${done}', ''));
     }, 1);`,
    'head -n 1',
  );
  assert.deepEqual(await program.waitForEnd(), { code: 0, signal: null });
  assert.equal(program.stdout.length, 1);
  assert.ok(existsSync(done));
});

test('a reader of standard output that does not read holds up neither the process nor its end', async (t) => {
  const pipe = join(makeFolder(t), 'pipe');
  execFileSync('mkfifo', [pipe]);
  const script = `
    const log = new Logger({ ...bootstrapLogOptions, logDest: [{ kind: 'stdout' }] });
    let latest = performance.now();
    let longest = 0;
    for (let turn = 0; turn < 200; turn += 1) {
      for (let n = 0; n < 100; n += 1) log.write('notice', 'x'.repeat(900));
      await new Promise(setImmediate);
      longest = Math.max(longest, performance.now() - latest);
      latest = performance.now();
    }
    console.error('longest turn ' + longest);
    process.exit(5);`;
  // Opened for both directions, so that there is a reader, which reads nothing.
  const program = new Program(t, 'script', ['bash', '-c', `exec ${quoted(command(script))} 1<>'${pipe}'`]);
  assert.deepEqual(await program.waitForEnd(), { code: 5, signal: null });
  const longest = Number(/longest turn (.*)/.exec(program.stderr.join('\n'))![1]);
  assert.ok(longest < 5000, `a turn of ${longest} ms`);
});

describe('syslog(3)', () => {
  /** A flag of openlog(3): lines go to standard error as well. */
  const LOG_PERROR = 0x20;

  test('gets each line under the name mosquitto with the process id, and the last ones at the end', async (t) => {
    const program = run(
      t,
      `let sent = 0;
       const openForTest = (facility) => {
         const syslog = openSyslog(facility, ${LOG_PERROR});
         const sendAside = (priority, text, done) => syslog.sendAside(priority, text, () => ((sent += 1), done()));
         return { sendAside, send: syslog.send };
       };
       const options = { ...bootstrapLogOptions, logDest: [{ kind: 'syslog' }], logTimestamp: false, logFacility: 1 };
       const log = new Logger(options, { openSyslog: openForTest });
       log.write('notice', 'Client %s%n 100% disconnected.');
       for (let n = 0; n < 50; n += 1) log.write('notice', 'line ' + n);
       while (sent < 51) await new Promise((resolve) => setTimeout(resolve, 1));
       globalThis.gc?.();
       log.write('error', 'before the end');
       log.write('error', 'the end');
       process.exit();`,
    );
    await program.waitForEnd();
    const name = `mosquitto[${program.pid}]: `;
    const lines = program.stderr.filter((line) => line.startsWith('mosquitto'));
    assert.equal(lines[0], `${name}Client %s%n 100% disconnected.`);
    assert.deepEqual(
      lines.slice(1, 51),
      Array.from({ length: 50 }, (_, n) => `${name}line ${n}`),
    );
    assert.deepEqual(lines.slice(51).toSorted(), [`${name}before the end`, `${name}the end`]);
  });
});
