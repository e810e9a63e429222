/**
 * `mosquitto_passwd` as a program: what it prints and how it ends, prompts on a terminal, and files that go back and
 * forth between it, the broker's reader and Debian's Mosquitto.
 */
import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { parsePasswordFile } from '../../src/auth/password-file.js';
import { verifyPassword } from '../../src/auth/password-hash.js';
import { startMosquitto } from '../support/brokers/broker.js';
import { python, runClient, skipWithout } from '../support/brokers/debian.js';
import { makeFolder } from '../support/cleanup.js';
import { Program } from '../support/program.js';
import { builtFolder } from '../support/project.js';

const program = [process.execPath, join(builtFolder, 'src', 'cli', 'passwd', 'passwd.js')];
const debianProgram = '/usr/bin/mosquitto_passwd';

interface Outcome {
  code: number | null;
  stdout: string;
  stderr: string;
}

async function run(
  t: TestContext,
  args: readonly string[],
  { input, command = program }: { input?: string; command?: readonly string[] } = {},
): Promise<Outcome> {
  const options = input === undefined ? {} : { input };
  const running = new Program(t, 'mosquitto_passwd', [...command, ...args], options);
  const { code } = await running.waitForEnd();
  return { code, stdout: running.output, stderr: running.stderr.map((line) => `${line}\n`).join('') };
}

const SILENT: Outcome = { code: 0, stdout: '', stderr: '' };

/** Whether the broker would let this user in. */
async function accepts(file: string, username: string, password: string): Promise<boolean> {
  const result = parsePasswordFile(file, readFileSync(file, 'utf8'));
  if (!result.ok) assert.fail(JSON.stringify(result.errors));
  const entry = result.passwords.users.get(username);
  return entry !== undefined && verifyPassword(entry.stored, Buffer.from(password));
}

describe('users', () => {
  test('are created, added, changed and deleted', async (t) => {
    const file = join(makeFolder(t), 'pw');
    assert.deepEqual(await run(t, ['-c', '-b', file, 'alice', 'one']), {
      code: 0,
      stdout: 'Adding password for user alice\n',
      stderr: '',
    });
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.deepEqual(await run(t, ['-b', file, 'bob', 'two']), {
      code: 0,
      stdout: 'Adding password for user bob\n',
      stderr: '',
    });
    assert.deepEqual(await run(t, ['-b', file, 'alice', 'three']), {
      code: 0,
      stdout: 'Updating password for user alice\n',
      stderr: '',
    });
    assert.match(readFileSync(file, 'utf8'), /^alice:\$7\$1000\$.*\nbob:\$7\$1000\$.*\n$/);
    assert.equal(await accepts(file, 'alice', 'three'), true);
    assert.equal(await accepts(file, 'alice', 'one'), false);
    assert.equal(await accepts(file, 'bob', 'two'), true);
    assert.deepEqual(await run(t, ['-D', file, 'alice']), SILENT);
    assert.match(readFileSync(file, 'utf8'), /^bob:.*\n$/);
    assert.deepEqual(await run(t, ['-D', file, 'alice']), {
      code: 1,
      stdout: '',
      stderr: 'Warning: User alice not found in password file.\n',
    });
  });

  test('with each hash', async (t) => {
    const file = join(makeFolder(t), 'pw');
    await run(t, ['-c', '-H', 'sha512', '-b', file, 'a', 'x']);
    await run(t, ['-H', 'sha512-pbkdf2', '-I', '50', '-b', file, 'b', 'x']);
    await run(t, ['-H', 'argon2id', '-b', file, 'c', 'x']);
    assert.match(
      readFileSync(file, 'utf8'),
      /^a:\$6\$.*\nb:\$7\$50\$.*\nc:\$argon2id\$v=19\$m=47104,t=1,p=1\$.*\n$/,
    );
    for (const username of ['a', 'b', 'c']) assert.equal(await accepts(file, username, 'x'), true, username);
  });

  test('names and passwords beyond ASCII', async (t) => {
    const file = join(makeFolder(t), 'pw');
    await run(t, ['-c', '-b', file, 'zoë smith', 'pässwörd €']);
    assert.equal(await accepts(file, 'zoë smith', 'pässwörd €'), true);
  });

  test('-c does not touch a file that is there, and - is standard output', async (t) => {
    const file = join(makeFolder(t), 'pw');
    writeFileSync(file, 'precious');
    assert.deepEqual(await run(t, ['-c', '-b', file, 'u', 'p']), {
      code: 1,
      stdout: '',
      stderr: `Error: Unable to open file ${file} for writing. File exists.\n`,
    });
    assert.equal(readFileSync(file, 'utf8'), 'precious');
    const { code, stdout, stderr } = await run(t, ['-c', '-b', '-', 'u', 'p']);
    assert.deepEqual([code, stderr], [0, '']);
    assert.match(stdout, /^u:\$7\$1000\$\S+\n$/);
  });
});

test('-U hashes what is plain, and nothing twice', async (t) => {
  const file = join(makeFolder(t), 'pw');
  writeFileSync(file, '# staff\n\nalice:one\n bob : two words \n');
  chmodSync(file, 0o640);
  assert.deepEqual(await run(t, ['-U', file]), SILENT);
  const upgraded = readFileSync(file, 'utf8');
  assert.match(upgraded, /^# staff\n\nalice:\$7\$1000\$.*\nbob:\$7\$1000\$.*\n$/);
  assert.equal(await accepts(file, 'alice', 'one'), true);
  assert.equal(await accepts(file, 'bob', 'two words'), true);
  assert.equal(statSync(file).mode & 0o777, 0o640);
  assert.deepEqual(await run(t, ['-U', file]), SILENT);
  assert.equal(readFileSync(file, 'utf8'), upgraded);
});

test('what goes wrong is told on standard error and changes nothing', async (t) => {
  const folder = makeFolder(t);
  const file = join(folder, 'pw');
  const content = 'u:$7$1$AAAAAAAAAAAAAAAA$AAAA\nnot a user\n';
  writeFileSync(file, content);
  writeFileSync(join(folder, 'latin1'), Buffer.from('# caf\xe9\n', 'latin1'));
  writeFileSync(join(folder, 'utf16'), 'u:$7$1$AAAAAAAAAAAAAAAA$AAAA\n', 'utf16le');
  const missing = join(folder, 'missing');
  const cases: [args: string[], stderr: string][] = [
    [
      ['-b', missing, 'u', 'p'],
      `Error: Unable to open password file ${missing}. No such file or directory.\n`,
    ],
    [['-D', missing, 'a:b'], "Error: Username must not contain the ':' character.\n"],
    [['-D', missing, 'a\x01'], 'Error: Username must not contain control characters.\n'],
    [['-D', missing, 'u'], `Error: Unable to open password file ${missing}. No such file or directory.\n`],
    [['-U', missing], `Error: Unable to open password file ${missing}. No such file or directory.\n`],
    [['-b', folder, 'u', 'p'], `Error: Unable to open password file ${folder}. Is a directory.\n`],
    [
      ['-c', '-b', `${missing}/x`, 'u', 'p'],
      `Error: Unable to open file ${missing}/x for writing. No such file or directory.\n`,
    ],
    [['-b', file, 'u', 'p'], 'Error: Corrupt password file at line 2.\n'],
    [['-D', file, 'u'], 'Error: Corrupt password file at line 2.\n'],
    [['-U', file], 'Error: Corrupt password file at line 2.\n'],
    [['-b', join(folder, 'latin1'), 'u', 'p'], `Error: Password file ${folder}/latin1 is not valid UTF-8.\n`],
    [
      ['-b', join(folder, 'utf16'), 'u', 'p'],
      `Error: Password file '${folder}/utf16' is in UTF-16.\nIt has to be in UTF-8: iconv -f UTF-16 -t UTF-8 '${folder}/utf16' writes it so.\n`,
    ],
    [['-b', file, 'a:b', 'p'], "Error: Username must not contain the ':' character.\n"],
    [['-c', '-b', missing, 'a\u0001', 'p'], 'Error: Username must not contain control characters.\n'],
    [['-b', file, 'u', ''], 'Error: Empty password.\n'],
    [['-H', 'md5', '-b', file, 'u', 'p'], "Error: Unknown hash type 'md5'\n"],
    [['-c', '-D', file, 'u'], 'Error: -c and -D cannot be used together.\n'],
  ];
  for (const [args, stderr] of cases) {
    assert.deepEqual(await run(t, args), { code: 1, stdout: '', stderr }, args.join(' '));
  }
  for (const args of [[], ['f'], ['-b', file, 'u'], ['--help']]) {
    const { code, stdout, stderr } = await run(t, args);
    assert.deepEqual([code, stderr], [1, ''], args.join(' '));
    assert.match(stdout, /^mosquitto_passwd is a tool .*\n\nUsage: /);
  }
  assert.equal(readFileSync(file, 'utf8'), content);
  assert.deepEqual(readdirSync(folder).sort(), ['latin1', 'pw', 'utf16']);
});

test('a symbolic link stays one', async (t) => {
  const folder = makeFolder(t);
  writeFileSync(join(folder, 'pw'), '');
  symlinkSync('pw', join(folder, 'link'));
  await run(t, ['-b', join(folder, 'link'), 'u', 'p']);
  assert.equal(await accepts(join(folder, 'pw'), 'u', 'p'), true);
  assert.deepEqual(readdirSync(folder).sort(), ['link', 'pw']);
});

describe('passwords from a pipe', () => {
  const cases: { what: string; input: string; code: number; stderr: string; accepted?: string }[] = [
    { what: 'twice the same', input: 'secret\nsecret\n', code: 0, stderr: '', accepted: 'secret' },
    { what: 'without a last line end', input: 'secret\nsecret', code: 0, stderr: '', accepted: 'secret' },
    { what: 'line ends of Windows', input: 'secret\r\nsecret\r\n', code: 0, stderr: '', accepted: 'secret' },
    {
      what: 'bytes that a terminal would take as keys',
      input: 'a\x15\x7fb\na\x15\x7fb\n',
      code: 0,
      stderr: '',
      accepted: 'a\x15\x7fb',
    },
    { what: 'different', input: 'secret\nsecrets\n', code: 2, stderr: 'Error: Passwords do not match.\n' },
    { what: 'only one', input: 'secret\n', code: 2, stderr: 'Error: Passwords do not match.\n' },
    { what: 'empty', input: '\n', code: 1, stderr: 'Error: Empty password.\n' },
    { what: 'nothing', input: '', code: 1, stderr: 'Error: Empty password.\n' },
  ];
  for (const { what, input, code, stderr, accepted } of cases) {
    test(what, async (t) => {
      const file = join(makeFolder(t), 'pw');
      const outcome = await run(t, ['-c', file, 'u'], { input });
      assert.deepEqual([outcome.code, outcome.stderr], [code, stderr]);
      if (accepted === undefined) assert.equal(existsSync(file), false);
      else assert.equal(await accepts(file, 'u', accepted), true);
    });
  }
});

/** Runs a program on a terminal of its own, answers its prompts, and prints all that the terminal showed. */
const terminalScript = `
import json, os, pty, sys, termios
command, dialogue = json.loads(sys.argv[1])
pid, terminal = pty.fork()
if pid == 0:
    os.execv(command[0], command)
shown = b''
for prompt, keys in dialogue:
    start = len(shown)
    while prompt.encode() not in shown[start:]:
        shown += os.read(terminal, 1024)
    os.write(terminal, keys.encode())
try:
    while True:
        read = os.read(terminal, 1024)
        if not read:
            break
        shown += read
except OSError:
    pass
status = os.waitpid(pid, 0)[1]
print(json.dumps({'shown': shown.decode(), 'code': os.waitstatus_to_exitcode(status)}))
`;

describe('passwords from a terminal', { skip: skipWithout(python) }, () => {
  async function onTerminal(t: TestContext, args: string[], dialogue: [prompt: string, keys: string][]) {
    const parameters = JSON.stringify([[...program, ...args], dialogue]);
    const terminal = new Program(t, 'terminal', [python, '-c', terminalScript, parameters]);
    const { code } = await terminal.waitForEnd();
    assert.equal(code, 0, terminal.tail());
    return JSON.parse(terminal.output) as { shown: string; code: number };
  }

  test('are not shown', async (t) => {
    const file = join(makeFolder(t), 'pw');
    const outcome = await onTerminal(
      t,
      ['-c', file, 'u'],
      [
        ['Password: ', 'secret\r'],
        ['Reenter password: ', 'secret\r'],
      ],
    );
    assert.deepEqual(outcome, {
      shown: 'Password: \r\nReenter password: \r\nAdding password for user u\r\n',
      code: 0,
    });
    assert.equal(await accepts(file, 'u', 'secret'), true);
  });

  test('are edited with backspace and Ctrl-U', async (t) => {
    const file = join(makeFolder(t), 'pw');
    const { code } = await onTerminal(
      t,
      ['-c', file, 'u'],
      [
        ['Password: ', 'wrong\x15se\u20ac\x7fcretx\x08\r'],
        ['Reenter password: ', '\x7fsecret\r'],
      ],
    );
    assert.equal(code, 0);
    assert.equal(await accepts(file, 'u', 'secret'), true);
  });

  test('Ctrl-C ends without a change and with 0', async (t) => {
    const file = join(makeFolder(t), 'pw');
    for (const dialogue of [
      [['Password: ', 'sec\x03']],
      [
        ['Password: ', 'secret\r'],
        ['Reenter password: ', '\x03'],
      ],
    ] as [string, string][][]) {
      const { code, shown } = await onTerminal(t, ['-c', file, 'u'], dialogue);
      assert.equal(code, 0);
      assert.doesNotMatch(shown, /Adding|Error|sec/);
      assert.equal(existsSync(file), false);
    }
  });

  test('Ctrl-D on an empty line is an empty password', async (t) => {
    const file = join(makeFolder(t), 'pw');
    const { code, shown } = await onTerminal(t, ['-c', file, 'u'], [['Password: ', '\x04']]);
    assert.equal(code, 1);
    assert.match(shown, /Error: Empty password\.\r\n$/);
  });
});

describe("with Debian's Mosquitto", { skip: skipWithout(debianProgram, '/usr/sbin/mosquitto') }, () => {
  test('its files are read, and its salts kept short', async (t) => {
    const file = join(makeFolder(t), 'pw');
    const debian = { command: [debianProgram] };
    assert.equal((await run(t, ['-c', '-b', file, 'alice', 'one'], debian)).code, 0);
    assert.equal((await run(t, ['-H', 'sha512', '-b', file, 'bob', 'two'], debian)).code, 0);
    assert.equal(await accepts(file, 'alice', 'one'), true);
    assert.equal(await accepts(file, 'bob', 'two'), true);
    assert.equal(await accepts(file, 'alice', 'two'), false);
    await run(t, ['-b', file, 'carol', 'three']);
    assert.match(readFileSync(file, 'utf8'), /\ncarol:\$7\$1000\$[\w+/]{16}\$/);
    assert.equal((await run(t, ['-b', file, 'alice', 'four'], debian)).code, 0);
    assert.equal(await accepts(file, 'alice', 'four'), true);
    assert.equal(await accepts(file, 'carol', 'three'), true);
  });

  test('its broker lets in whom our files name', async (t) => {
    const file = join(makeFolder(t), 'pw');
    await run(t, ['-c', '--salt-bytes', '12', '-b', file, 'alice', 'pässword']);
    await run(t, ['-H', 'sha512', '-b', file, 'bob', 'two']);
    await run(t, ['-b', file, 'carol', 'three']);
    const config = `user root\nlistener {port} 127.0.0.1\npassword_file ${file}`;
    const broker = await startMosquitto(t, { config });
    const logins: [username: string, password: string, code: number][] = [
      ['alice', 'pässword', 0],
      ['bob', 'two', 0],
      ['carol', 'three', 0],
      ['alice', 'two', 5],
      ['carol', '', 5],
    ];
    for (const [username, password, code] of logins) {
      const args = ['-u', username, '-P', password, '-t', 'x', '-m', 'y', '-V', 'mqttv311'];
      await runClient(t, broker, 'mosquitto_pub', args, { code });
    }
  });
});
