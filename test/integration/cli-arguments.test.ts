/**
 * Arguments that are empty, no text, or too long: the commands say so as Mosquitto 2.1 does, and end with 1. Nothing is
 * sent, and no way on which nothing was sent ends with 0. (Mosquitto 2.0 sends some of them.)
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { textBytes } from '../../src/cli/clients/options/argument-text.js';
import type { ProgramName } from '../../src/cli/clients/options/client-settings.js';
import { startBroker } from '../support/brokers/broker.js';
import { COMMAND_ENVIRONMENT, ourCommand } from '../support/clients/client-commands.js';
import { RawClient } from '../support/clients/raw-client.js';
import { runCommand } from '../support/run-command.js';

const concurrency = 3;

const P = 'mosquitto_pub';
const S = 'mosquitto_sub';
const R = 'mosquitto_rr';

/** What no string in a packet should hold, as the shell passes it. */
const MALFORMED: Readonly<Record<string, string>> = {
  'U+0001': 'a\x01b',
  'U+007F': 'a\x7fb',
  'U+009F': 'a\u009fb',
  'U+FDD0': 'a\ufdd0b',
  'U+10FFFF': 'a\u{10ffff}b',
  '65536 bytes': 'a'.repeat(65536),
};

const malformedArguments: [program: ProgramName, words: string[], stderr: string][] = [
  [P, ['-m', 'x', '-t'], 'Error: Malformed UTF-8 in -t argument.'],
  [P, ['-m', 'x', '-t', 'a', '--will-topic'], 'Error: Malformed UTF-8 in --will-topic argument.'],
  [P, ['-m', 'x', '-t', 'a', '-i'], 'Error: Malformed UTF-8 in -i argument.'],
  [P, ['-m', 'x', '-t', 'a', '-I'], 'Error: Malformed UTF-8 in -I argument.'],
  [P, ['-m', 'x', '-t', 'a', '-u'], 'Error: Problem setting username and/or password.'],
  [S, ['-t'], 'Error: Malformed UTF-8 in -t argument.'],
  [S, ['-t', 'a', '-T'], 'Error: Malformed UTF-8 in -T argument.'],
  [S, ['-U'], 'Error: Malformed UTF-8 in -U argument.'],
  [R, ['-m', 'x', '-e', 'r', '-t'], 'Error: Malformed UTF-8 in -t argument.'],
  [R, ['-m', 'x', '-t', 'a', '-e'], 'Error: Malformed UTF-8 in -e argument.'],
];

const DISALLOWED = Object.entries(MALFORMED).filter(([name]) => name !== '65536 bytes');

const malformedProperties: [words: string[], stderr: string][] = [
  [['publish', 'content-type'], 'Error adding property content-type 6'],
  [['will', 'response-topic'], 'Error adding property response-topic 6'],
  [['connect', 'authentication-method'], 'Error adding property authentication-method 6'],
  [['disconnect', 'reason-string'], 'Error adding property reason-string 6'],
  [['publish', 'user-property', 'key'], 'Error adding property user-property 7'],
];

const emptyArguments: [program: ProgramName, words: string[], stderr: string][] = [
  [P, ['-t', '', '-m', 'x'], "Error: Invalid publish topic '', does it contain '+' or '#'?"],
  [P, ['-L', 'mqtt://localhost/', '-m', 'x'], "Error: Invalid publish topic '', does it contain '+' or '#'?"],
  [
    P,
    ['-t', 'a', '-m', 'x', '--will-topic', ''],
    "Error: Invalid will topic '', does it contain '+' or '#'?",
  ],
  [P, ['-t', 'a', '-m', 'x', '-h', ''], 'Unable to connect (Lookup error).'],
  [P, ['-L', 'mqtt:///a', '-m', 'x'], 'Unable to connect (Lookup error).'],
  [P, ['-t', 'a', '-m', 'x', '-A', ''], 'Unable to connect (Lookup error).'],
  [P, ['-t', 'a', '-m', 'x', '--unix', ''], 'Unable to connect (Invalid input).'],
  [P, ['-t', 'a', '-m', 'x', '-i', ''], 'Error: Invalid id.'],
  [
    P,
    ['-t', 'a', '-m', 'x', '--tls-use-os-certs', '--tls-alpn', ''],
    'Unable to connect (A TLS error occurred).',
  ],
  [
    P,
    ['-t', 'a', '-m', 'x', '-D', 'publish', 'response-topic', ''],
    'Error: Protocol error when communicating with broker.',
  ],
  [
    P,
    ['-t', 'a', '-m', 'x', '-D', 'publish', 'response-topic', 'a/#'],
    'Error: Protocol error when communicating with broker.',
  ],
  [
    P,
    ['-t', 'a', '-m', 'x', '--will-topic', 'w', '-D', 'will', 'response-topic', '+'],
    'Error: Problem setting will.',
  ],
  [S, ['-t', ''], "Error: Invalid subscription topic '', are all '+' and '#' wildcards correct?"],
  [
    S,
    ['-L', 'mqtt://localhost/'],
    "Error: Invalid subscription topic '', are all '+' and '#' wildcards correct?",
  ],
  [S, ['-U', ''], "Error: Invalid unsubscribe topic '', are all '+' and '#' wildcards correct?"],
  [S, ['-t', 'a', '-T', ''], "Error: Invalid filter topic '', are all '+' and '#' wildcards correct?"],
  [R, ['-t', '', '-e', 'r', '-m', 'x'], "Error: Invalid publish topic '', does it contain '+' or '#'?"],
  [R, ['-t', 'a', '-e', '', '-m', 'x'], "Error: Invalid response topic '', does it contain '+' or '#'?"],
];

const otherArguments: [program: ProgramName, words: string[], stderr: string][] = [
  [
    P,
    ['-t', 'a', '-m', 'x', '-u', 'n', '-P', 'x'.repeat(65536)],
    'Error: Problem setting username and/or password.',
  ],
  [
    P,
    ['-t', 'a', '-m', 'x', '--will-topic', 'w', '--will-payload', 'x'.repeat(65536)],
    'Error: Problem setting will.',
  ],
  [S, ['-F', '%k'], "Error: Invalid format specifier 'k'."],
  [S, ['-F', '%k', '--nope'], "Error: Invalid format specifier 'k'."],
  [S, ['--nope', '-F', '%k'], "Error: Unknown option '--nope'."],
  [S, ['-F', '%k', '-t', 'a', '-q', '3'], "Error: Invalid format specifier 'k'."],
  [R, ['-F', '%k', '-m', 'x'], "Error: Invalid format specifier 'k'."],
  [S, ['-t', 'a', '-o', '/dev/null', '-F', '%k', '-o', '/dev/null'], 'Error: Duplicate -o argument given.'],
  [P, ['-t', 'a', '-m', 'x', '-o'], 'Error: -o argument given but no options file specified.'],
];

/** @returns the first line of standard error, and the exit code */
async function refusal(
  program: ProgramName,
  words: readonly string[],
): Promise<[string | undefined, number | null]> {
  const { stderr, code } = await runCommand([...ourCommand(program), ...words], { env: COMMAND_ENVIRONMENT });
  return [stderr.toString().split('\n')[0], code];
}

test('malformed arguments', { concurrency }, async (t) => {
  const tests: Promise<void>[] = [];
  malformedArguments.forEach(([program, words, stderr], row) => {
    // Every argument, and every kind of malformed text: not each with each.
    const kinds = Object.entries(MALFORMED);
    for (const [kind, text] of [kinds[row % kinds.length]!, kinds[(row + 3) % kinds.length]!]) {
      tests.push(
        t.test(`${program} ${words.join(' ')} ${kind}`, async () => {
          assert.deepEqual(await refusal(program, [...words, text]), [stderr, 1]);
        }),
      );
    }
  });
  malformedProperties.forEach(([words, stderr], row) => {
    const [kind, text] = DISALLOWED[row % DISALLOWED.length]!;
    tests.push(
      t.test(`-D ${words.join(' ')} ${kind}`, async () => {
        const args = ['-t', 'a', '-m', 'x', '--will-topic', 'w', '-D', ...words, text];
        assert.deepEqual(await refusal(P, args), [stderr, 1]);
      }),
    );
  });
  await Promise.all(tests);
});

test('bytes that are no UTF-8', { skip: process.platform !== 'linux' }, async () => {
  const script = `exec "$@" -t a -m x -i "$(printf 'a\\377b')"`;
  const command = ['/bin/sh', '-c', script, 'sh', ...ourCommand(P)];
  const { stderr, code } = await runCommand(command, { env: COMMAND_ENVIRONMENT });
  assert.deepEqual([stderr.toString().split('\n')[0], code], ['Error: Malformed UTF-8 in -i argument.', 1]);
  assert.deepEqual(textBytes('a\udcffb'), Buffer.from('61ff62', 'hex'));
});

for (const [what, rows] of [
  ['empty arguments', emptyArguments],
  ['other arguments', otherArguments],
] as const) {
  test(what, { concurrency }, async (t) => {
    await Promise.all(
      rows.map(([program, words, stderr]) =>
        t.test(`${program} ${words.map((word) => word.slice(0, 20) || "''").join(' ')}`, async () => {
          assert.deepEqual(await refusal(program, words), [stderr, 1]);
        }),
      ),
    );
  });
}

test('with a broker', { concurrency }, async (t) => {
  const broker = await startBroker(t, { config: 'max_packet_size 100' });
  const address = ['-h', '127.0.0.1', '-p', String(broker.port)];
  const tooLarge = 'x'.repeat(200);

  await t.test('a message that the broker would not take', async () => {
    const args = [...address, '-V', '5', '-t', 'a', '-m', tooLarge];
    assert.deepEqual(await refusal(P, args), ['Error: Message payload is too large.', 1]);
    const request = [...address, '-t', 'a', '-e', 'b', '-m', tooLarge];
    assert.deepEqual(await refusal(R, request), ['Error: Message payload is too large.', 1]);
  });

  await t.test('lines, of which one cannot be sent', async (t) => {
    const reader = await RawClient.connect(t, broker, 4);
    await reader.subscribe('lines', 1);
    const args = [...ourCommand(P), ...address, '-V', '5', '-t', 'lines', '-q', '1', '-l'];
    const { stderr, code } = await runCommand(args, {
      input: `one\n${tooLarge}\ntwo\n`,
      env: COMMAND_ENVIRONMENT,
    });
    assert.deepEqual([stderr.toString(), code], ['Error: Message payload is too large.\n', 1]);
    for (const line of ['one', 'two']) {
      const { packetId } = await reader.expectPublish('lines', line);
      reader.sendAck('puback', packetId);
    }
  });

  await t.test('a line goes out with its NUL', async (t) => {
    const reader = await RawClient.connect(t, broker, 4);
    await reader.subscribe('nul');
    const args = [...ourCommand(P), ...address, '-t', 'nul', '-l'];
    const { code } = await runCommand(args, { input: 'a\0b\n\0\n', env: COMMAND_ENVIRONMENT });
    assert.equal(code, 0);
    await reader.expectPublish('nul', 'a\0b');
    await reader.expectPublish('nul', '\0');
  });
});
