import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { defaultSettings } from '../../../src/config/settings.js';
import type { Syslog } from '../../../src/log/libc.js';
import { LineWriter } from '../../../src/log/line-writer.js';
import { LogMask, logMaskAll, logMaskDefault, logMaskNone, logTypes } from '../../../src/log/log-types.js';
import {
  bootstrapLogOptions,
  Logger,
  type LogOptions,
  type LogPorts,
  logOptionsFromSettings,
} from '../../../src/log/logger.js';
import { afterTest, makeFolder } from '../../support/cleanup.js';

const TIME = 1_700_000_000_123;

/** A logger without timestamps whose standard streams are files. */
function createLogger(t: TestContext, options: Partial<LogOptions> = {}, ports: LogPorts = {}) {
  const folder = makeFolder(t);
  const file = join(folder, 'broker.log');
  const log = new Logger(
    {
      ...bootstrapLogOptions,
      logDest: [{ kind: 'file', path: file }],
      logMask: logMaskAll,
      logTimestamp: false,
      ...options,
    },
    {
      openStandardStream: (fd, droppedLine) =>
        new LineWriter({ fd: openSync(join(folder, `fd${fd}`), 'a'), nonBlocking: false, droppedLine }),
      ...ports,
    },
  );
  afterTest(t, () => log.close());
  const textOf = (path: string) => {
    log.flushSync();
    return existsSync(path) ? readFileSync(path, 'utf8') : '';
  };
  return {
    log,
    folder,
    file,
    textOf,
    fileText: () => textOf(file),
    stdout: () => textOf(join(folder, 'fd1')),
    stderr: () => textOf(join(folder, 'fd2')),
  };
}

describe('a line', () => {
  test('has the seconds since 1970 before it', (t) => {
    const { log, fileText } = createLogger(t, { logTimestamp: true });
    log.writeLines([['notice', 'New connection from 127.0.0.1:50514 on port 1883.', TIME]]);
    assert.equal(fileText(), '1700000000: New connection from 127.0.0.1:50514 on port 1883.\n');
  });

  test('has the time in the format asked for', (t) => {
    const { log, fileText } = createLogger(t, { logTimestamp: true, logTimestampFormat: '[%s]' });
    log.writeLines([['notice', 'x', TIME]]);
    assert.equal(fileText(), '[1700000000]: x\n');
  });

  test('is at most 1000 bytes long with its timestamp and line end', (t) => {
    const { log, fileText } = createLogger(t, { logTimestamp: true });
    log.writeLines([
      ['notice', 'x'.repeat(987), TIME],
      ['notice', 'x'.repeat(988), TIME],
      ['notice', `é${'ü'.repeat(600)}`, TIME],
    ]);
    const [fits, cut, cutBetweenCharacters] = fileText().split('\n');
    assert.equal(fits, `1700000000: ${'x'.repeat(987)}`);
    assert.equal(cut, fits);
    assert.equal(cutBetweenCharacters, `1700000000: é${'ü'.repeat(492)}`);
  });

  test('stays one line, and itself, whatever a client calls itself', (t) => {
    const { log, fileText } = createLogger(t);
    log.write('notice', 'Client a\n0: forged\x1b[2J disconnected.');
    log.write('notice', 'Client %s%d%o%% "\\" disconnected.');
    assert.equal(
      fileText(),
      'Client a\\x0a0: forged\\x1b[2J disconnected.\nClient %s%d%o%% "\\" disconnected.\n',
    );
  });
});

describe('log_type', () => {
  test('decides which lines are written, for each type', (t) => {
    for (const wanted of logTypes) {
      const { log, fileText } = createLogger(t, { logMask: LogMask[wanted] });
      assert.equal(log.mask, LogMask[wanted]);
      for (const type of logTypes) log.write(type, type);
      log.writeLines(logTypes.map((type) => [type, type, TIME]));
      assert.equal(fileText(), `${wanted}\n${wanted}\n`);
    }
  });

  test('asks nobody to format lines that no destination takes', (t) => {
    assert.equal(createLogger(t, { logDest: [] }).log.mask, logMaskNone);
    const onlyTopics = createLogger(t, { logDest: [{ kind: 'topic' }] }).log.mask;
    assert.equal(onlyTopics, logMaskAll & ~LogMask.debug & ~LogMask.internal);
  });
});

describe('destinations', () => {
  test('several at once get the same lines', (t) => {
    const published: string[] = [];
    const logged: string[] = [];
    const syslog: Syslog = {
      sendAside: (_priority, text, done) => {
        logged.push(text);
        setImmediate(done);
      },
      send: (_priority, text) => logged.push(text),
    };
    const folder = makeFolder(t);
    const paths = [join(folder, 'a.log'), join(folder, 'b.log')] as const;
    const { log, textOf, stdout, stderr } = createLogger(
      t,
      {
        logDest: [
          { kind: 'stdout' },
          { kind: 'stderr' },
          { kind: 'file', path: paths[0] },
          { kind: 'file', path: paths[1] },
          { kind: 'stdout' },
          { kind: 'topic' },
          { kind: 'syslog' },
        ],
        logTimestamp: true,
      },
      { openSyslog: () => syslog },
    );
    log.publishThrough((topic, payload) => published.push(`${topic} ${payload}`));
    log.writeLines([
      ['notice', 'one', TIME],
      ['error', 'two', TIME],
    ]);
    const text = '1700000000: one\n1700000000: two\n';
    assert.deepEqual([stdout(), stderr(), ...paths.map(textOf)], [text, text, text, text]);
    assert.deepEqual(published, ['$SYS/broker/log/N 1700000000: one', '$SYS/broker/log/E 1700000000: two']);
    assert.deepEqual(logged, ['1700000000: one', '1700000000: two']);
  });

  test('topic: each type has its topic; debug and internal lines are not published', (t) => {
    const { log } = createLogger(t, { logDest: [{ kind: 'topic' }] });
    const published: string[] = [];
    log.write('notice', 'before there is a broker to publish');
    log.publishThrough((topic, payload) => published.push(`${payload}: ${topic}`));
    for (const type of logTypes) log.write(type, type);
    assert.deepEqual(published, [
      'error: $SYS/broker/log/E',
      'warning: $SYS/broker/log/W',
      'notice: $SYS/broker/log/N',
      'information: $SYS/broker/log/I',
      'subscribe: $SYS/broker/log/M/subscribe',
      'unsubscribe: $SYS/broker/log/M/unsubscribe',
      'websockets: $SYS/broker/log/WS',
    ]);
  });

  test('topic: what publishing itself logs is not published, but goes elsewhere', (t) => {
    const folder = makeFolder(t);
    const path = join(folder, 'log');
    const { log, textOf } = createLogger(t, { logDest: [{ kind: 'topic' }, { kind: 'file', path }] });
    const published: string[] = [];
    log.publishThrough((_topic, payload) => {
      published.push(payload);
      log.write('notice', 'Outgoing messages are being dropped for client c.');
    });
    log.write('notice', 'one');
    log.write('notice', 'two');
    assert.deepEqual(published, ['one', 'two']);
    const dropped = 'Outgoing messages are being dropped for client c.\n';
    assert.equal(textOf(path), `${dropped}one\n${dropped}two\n`);
  });

  test('none: nothing is opened, nothing is written', (t) => {
    const { log, stdout, stderr } = createLogger(t, { logDest: [] });
    log.write('error', 'lost');
    assert.equal(stdout() + stderr(), '');
  });

  test('dlt and android are accepted, with a warning', (t) => {
    const { log, stderr } = createLogger(t, {
      logDest: [{ kind: 'dlt' }, { kind: 'stderr' }, { kind: 'android' }],
    });
    log.write('notice', 'on');
    assert.equal(
      stderr(),
      'Warning: log_dest dlt is not available, nothing is written to it.\n' +
        'Warning: log_dest android is not available, nothing is written to it.\n' +
        'on\n',
    );
  });
});

describe('a log file', () => {
  test('is made for its owner only, and appended to', (t) => {
    const { log, file, fileText } = createLogger(t);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    writeFileSync(file, 'of yesterday\n');
    log.write('notice', 'of today');
    assert.equal(fileText(), 'of yesterday\nof today\n');
  });

  test('is opened again after logrotate has renamed it; no line is lost', (t) => {
    const { log, file, textOf, fileText } = createLogger(t);
    log.write('notice', 'before');
    renameSync(file, `${file}.1`);
    log.write('notice', 'between');
    log.flushSync();
    log.reopen();
    log.write('notice', 'after');
    assert.equal(textOf(`${file}.1`), 'before\nbetween\n');
    assert.equal(fileText(), 'after\n');
  });

  const refused: [what: string, prepare: (folder: string) => string, because: (path: string) => string][] = [
    ['in a folder that is not there', (folder) => join(folder, 'no/broker.log'), () => ''],
    ['that is a folder', (folder) => folder, () => ''],
    ['that is a device', () => '/dev/null', (path) => `Error: ${path} is not a file.\n`],
    ['behind a symbolic link', (folder) => makeLink(folder), () => ''],
  ];
  for (const [what, prepare, because] of refused) {
    test(`${what}: errors go to standard error instead`, (t) => {
      const path = prepare(makeFolder(t));
      const { log, stderr } = createLogger(t, { logDest: [{ kind: 'file', path }] });
      assert.equal(log.mask, LogMask.error);
      log.write('notice', 'not shown');
      log.write('error', 'shown');
      assert.equal(stderr(), `${because(path)}Error: Unable to open log file ${path} for writing.\nshown\n`);
    });
  }

  test('behind a symbolic link is used where the environment allows that', (t) => {
    const path = makeLink(makeFolder(t));
    const { log, textOf } = createLogger(t, { logDest: [{ kind: 'file', path }] }, { allowSymlinks: true });
    log.write('notice', 'x');
    assert.equal(textOf(path), 'x\n');
  });

  test('that cannot be opened leaves the other destinations alone, and is used once it can be', (t) => {
    const folder = makeFolder(t);
    const path = join(folder, 'later', 'broker.log');
    const { log, textOf, stdout, stderr } = createLogger(t, {
      logDest: [{ kind: 'file', path }, { kind: 'stdout' }],
    });
    const unable = `Error: Unable to open log file ${path} for writing.\n`;
    log.write('debug', 'one');
    assert.equal(stdout(), `${unable}one\n`);
    mkdirSync(join(folder, 'later'));
    log.reopen();
    log.write('error', 'two');
    assert.equal(textOf(path), 'two\n');
    assert.equal(stdout(), `${unable}one\ntwo\n`);
    assert.equal(stderr(), unable);
  });
});

function makeLink(folder: string): string {
  const path = join(folder, 'link');
  writeFileSync(join(folder, 'target'), '');
  symlinkSync('target', path);
  return path;
}

describe('reconfigure', () => {
  test('changes destinations, types and form; no line is lost', (t) => {
    const { log, folder, fileText, textOf, stdout } = createLogger(t);
    const fresh = join(folder, 'fresh.log');
    log.write('debug', 'one');
    log.flushSync();
    log.reconfigure({
      ...bootstrapLogOptions,
      logDest: [{ kind: 'file', path: fresh }, { kind: 'stdout' }],
      logTimestamp: true,
      logTimestampFormat: 'T',
    });
    assert.equal(log.mask, logMaskDefault);
    log.write('debug', 'no longer wanted');
    log.write('notice', 'two');
    assert.equal(fileText(), 'one\n');
    assert.equal(textOf(fresh), 'T: two\n');
    assert.equal(stdout(), 'T: two\n');
  });

  test('a destination that is dropped still gets what was written before', async (t) => {
    const { log, file } = createLogger(t);
    log.write('notice', 'one');
    log.reconfigure({ ...bootstrapLogOptions, logDest: [] });
    log.write('notice', 'two');
    for (let turns = 0; readFileSync(file, 'utf8') === '' && turns < 1000; turns += 1) {
      await new Promise(setImmediate);
    }
    assert.equal(readFileSync(file, 'utf8'), 'one\n');
  });
});

describe('log_format json', () => {
  test('is one object a line, with level, type, time and msg', (t) => {
    const { log, fileText } = createLogger(t, { logFormat: 'json', logTimestamp: true });
    log.writeLines([
      ['warning', 'Client "a"\n\\ disconnected.', TIME],
      ['subscribe', 'c 2 größe/#', TIME + 1],
    ]);
    const lines = fileText().split('\n');
    assert.equal(lines.length, 3);
    assert.deepEqual(JSON.parse(lines[0]!), {
      level: 40,
      type: 'warning',
      time: TIME,
      msg: 'Client "a"\n\\ disconnected.',
    });
    assert.deepEqual(JSON.parse(lines[1]!), {
      level: 33,
      type: 'subscribe',
      time: TIME + 1,
      msg: 'c 2 größe/#',
    });
    assert.equal(lines[2], '');
  });

  test('what is worse has the higher level', (t) => {
    const { log, fileText } = createLogger(t, { logFormat: 'json' });
    const falling = ['error', 'warning', 'notice', 'information', 'debug', 'internal'] as const;
    for (const type of falling) log.write(type, '');
    const levels = fileText()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).level as number);
    assert.deepEqual(
      levels,
      levels.toSorted((a, b) => b - a),
    );
    assert.equal(new Set(levels).size, falling.length);
  });

  test('a text of any length is cut', (t) => {
    const { log, fileText } = createLogger(t, { logFormat: 'json' });
    log.write('debug', 'x'.repeat(70_000));
    assert.equal(JSON.parse(fileText()).msg.length, 1000);
  });
});

test('the report of dropped lines has the form of the others', (t) => {
  let droppedLine: (count: number) => string = () => '';
  const openStandardStream: LogPorts['openStandardStream'] = (_fd, report) => {
    droppedLine = report;
    return new LineWriter({ fd: openSync('/dev/null', 'a'), nonBlocking: false, droppedLine });
  };
  const { log } = createLogger(t, { logDest: [{ kind: 'stdout' }] }, { openStandardStream });
  assert.equal(droppedLine(3), '3 log lines were dropped: they came faster than they could be written.\n');
  log.reconfigure({ ...bootstrapLogOptions, logDest: [{ kind: 'stdout' }], logFormat: 'json' });
  const { level, type, time, msg } = JSON.parse(droppedLine(4));
  assert.deepEqual([level, type, typeof time], [40, 'warning', 'number']);
  assert.match(msg, /^4 log lines were dropped/);
});

describe('syslog', () => {
  /** A log daemon that takes a line when told to. */
  function slowSyslog() {
    const taken: string[] = [];
    const nothing = () => {};
    let takeOne = nothing;
    const syslog: Syslog = {
      sendAside: (priority, text, done) => {
        takeOne = () => {
          takeOne = nothing;
          taken.push(`${priority} ${text}`);
          done();
        };
      },
      send: (priority, text) => taken.push(`${priority} ${text}`),
    };
    return { syslog, taken, takeOne: () => takeOne() };
  }

  test('types have the priorities of Mosquitto', (t) => {
    const { syslog, taken, takeOne } = slowSyslog();
    const { log } = createLogger(t, { logDest: [{ kind: 'syslog' }] }, { openSyslog: () => syslog });
    for (const type of logTypes) log.write(type, type);
    for (const _type of logTypes) takeOne();
    assert.deepEqual(taken, [
      '3 error',
      '4 warning',
      '5 notice',
      '6 information',
      '7 debug',
      '5 subscribe',
      '5 unsubscribe',
      '7 websockets',
      '7 internal',
    ]);
  });

  test('a daemon that stalls costs lines, which are counted', (t) => {
    const { syslog, taken, takeOne } = slowSyslog();
    const { log } = createLogger(t, { logDest: [{ kind: 'syslog' }] }, { openSyslog: () => syslog });
    const total = 10_100;
    for (let n = 0; n < total; n += 1) log.write('notice', `line ${n}`);
    for (let n = 0; n < total; n += 1) takeOne();
    assert.equal(taken[0], '5 line 0');
    const report = /^4 (\d+) log lines were dropped/.exec(taken.at(-1)!);
    assert.equal(taken.length - 1 + Number(report![1]), total);
    log.write('notice', 'again');
    takeOne();
    assert.equal(taken.at(-1), '5 again');
  });

  test('what waits is handed over at the end of the process', (t) => {
    const { syslog, taken, takeOne } = slowSyslog();
    const { log } = createLogger(t, { logDest: [{ kind: 'syslog' }] }, { openSyslog: () => syslog });
    for (const text of ['on its way', 'second', 'third']) log.write('notice', text);
    log.flushSync();
    assert.deepEqual(taken, ['5 second', '5 third']);
    takeOne();
  });

  test('is opened again at a reload, for its facility', (t) => {
    const { syslog } = slowSyslog();
    const facilities: (number | undefined)[] = [];
    const openSyslog = (facility: number | undefined) => {
      facilities.push(facility);
      return syslog;
    };
    const options = { logDest: [{ kind: 'syslog' }] } as const;
    const { log } = createLogger(t, options, { openSyslog });
    log.reconfigure({ ...bootstrapLogOptions, ...options, logFacility: 3 });
    assert.deepEqual(facilities, [undefined, 3]);
  });

  test('where there is none, errors go to standard error instead', (t) => {
    const { log, stderr } = createLogger(t, { logDest: [{ kind: 'syslog' }] }, { openSyslog: () => null });
    log.write('warning', 'not shown');
    log.write('error', 'shown');
    assert.equal(stderr(), 'Error: Unable to open the system log.\nshown\n');
  });
});

describe('logOptionsFromSettings', () => {
  test('the defaults are those before there are settings', () => {
    assert.deepEqual(logOptionsFromSettings(defaultSettings()), bootstrapLogOptions);
  });

  test('-v asks for everything, -q for nothing, and -q wins', () => {
    const settings = { ...defaultSettings(), logType: ['debug'] } as const;
    assert.equal(logOptionsFromSettings(settings).logMask, LogMask.debug);
    assert.equal(logOptionsFromSettings(settings, { verbose: true }).logMask, logMaskAll);
    assert.equal(logOptionsFromSettings(settings, { quiet: true }).logMask, logMaskNone);
    assert.equal(logOptionsFromSettings(settings, { verbose: true, quiet: true }).logMask, logMaskNone);
  });
});
