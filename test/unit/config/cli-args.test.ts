/** The command line of the broker. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type CommandLine, parseCommandLine, type RunCommand } from '../../../src/config/cli-args.js';

const parse = (...args: string[]) => parseCommandLine(args, '1.2.3');

const run: RunCommand = {
  kind: 'run',
  configFile: undefined,
  earlierConfigFiles: [],
  ports: [],
  daemon: false,
  verbose: false,
  quiet: false,
  tlsKeylogFile: undefined,
};

describe('accepted', () => {
  const cases: readonly (readonly [args: readonly string[], command: CommandLine])[] = [
    [[], run],
    [['-c', 'a.conf'], { ...run, configFile: 'a.conf' }],
    [['--config', 'a.conf'], { ...run, configFile: 'a.conf' }],
    [['--config-file', 'a.conf'], { ...run, configFile: 'a.conf' }],
    [['-c', 'a', '-c', 'b', '-c', 'c'], { ...run, configFile: 'c', earlierConfigFiles: ['a', 'b'] }],
    [['-p', '1884', '--port', '1885'], { ...run, ports: [1884, 1885] }],
    [['-d', '-v'], { ...run, daemon: true, verbose: true }],
    [['--daemon', '--quiet', '--verbose'], { ...run, daemon: true, quiet: true, verbose: true }],
    [['--tls-keylog', 'keys.log'], { ...run, tlsKeylogFile: 'keys.log' }],
    [
      ['-c', 'a.conf', '--test-config'],
      { kind: 'test-config', configFile: 'a.conf', earlierConfigFiles: [] },
    ],
    [
      ['--test-config', '-c', 'a.conf'],
      { kind: 'test-config', configFile: 'a.conf', earlierConfigFiles: [] },
    ],
  ];
  for (const [args, command] of cases) {
    test(args.join(' ') || 'nothing', () => assert.deepEqual(parse(...args), command));
  }
});

describe('refused: one line on stderr, exit code 3', () => {
  const ports = Array.from({ length: 11 }, (_, index) => ['-p', String(18830 + index)]).flat();
  const cases: readonly (readonly [args: readonly string[], text: string])[] = [
    [['-c'], 'Error: -c argument given, but no config file specified.'],
    [['--config'], 'Error: -c argument given, but no config file specified.'],
    [['-p'], 'Error: -p argument given, but no port specified.'],
    [['-p', '0'], 'Error: Invalid port specified (0).'],
    [['-p', '65536'], 'Error: Invalid port specified (65536).'],
    [['-p', 'mqtt'], 'Error: Invalid port specified (0).'],
    [ports, 'Error: Only 10 ports can be specified on the command line.'],
    [['--tls-keylog'], 'Error: --tls-keylog argument given, but no file specified.'],
    [['--test-config'], 'Please provide a configuration file to test.'],
  ];
  for (const [args, text] of cases) {
    test(args.join(' '), () => {
      assert.deepEqual(parse(...args), {
        kind: 'print',
        output: [{ stream: 'stderr', text: `${text}\n` }],
        exitCode: 3,
      });
    });
  }

  for (const word of ['-x', '--verbos', 'mosquitto.conf', '-dv', '--config=a.conf', 'toString']) {
    test(`${word}: and the usage on stdout`, () => {
      const command = parse(word);
      assert.ok(command.kind === 'print');
      const [error, usage] = command.output;
      assert.equal(error?.stream, 'stderr');
      assert.equal(error?.text.split('\n')[0], `Error: Unknown option '${word}'.`);
      assert.equal(error?.text.includes("Did you mean '--verbose'?"), word === '--verbos');
      assert.equal(usage?.stream, 'stdout');
      assert.match(usage?.text ?? '', /^Usage: midge /m);
      assert.equal(command.exitCode, 3);
    });
  }
});

describe('printed: on stdout, exit code 0', () => {
  for (const args of [['-h'], ['--help'], ['-v', '--help', '--nonsense']]) {
    test(args.join(' '), () => {
      const command = parse(...args);
      assert.ok(command.kind === 'print');
      assert.equal(command.exitCode, 0);
      assert.deepEqual(
        command.output.map(({ stream }) => stream),
        ['stdout'],
      );
      for (const option of [
        '-c',
        '-d',
        '-h',
        '-p',
        '-q',
        '-v',
        '--test-config',
        '--tls-keylog',
        '--version',
      ]) {
        assert.ok(command.output[0]?.text.includes(option), option);
      }
    });
  }

  test('--version', () => {
    const command = parse('--version');
    assert.ok(command.kind === 'print');
    assert.equal(command.exitCode, 0);
    assert.equal(command.output[0]?.text.split('\n')[0], 'midge version 1.2.3');
  });
});
