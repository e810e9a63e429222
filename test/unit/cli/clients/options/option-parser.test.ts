/** The options of the three commands: what they set, and what is said of those that are wrong. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  type ClientSettings,
  checkSettings,
  defaultSettings,
  type ProgramName,
} from '../../../../../src/cli/clients/options/client-settings.js';
import { optionsOf, parseOptions } from '../../../../../src/cli/clients/options/option-parser.js';
import { OPTION_TABLE } from '../../../../../src/cli/clients/options/option-table.js';
import { type Hint, UsageError } from '../../../../../src/cli/clients/options/usage-error.js';

const PROGRAMS: Readonly<Record<string, ProgramName>> = {
  P: 'mosquitto_pub',
  S: 'mosquitto_sub',
  R: 'mosquitto_rr',
};

function parse(letter: string, words: string[]): ClientSettings {
  const settings = defaultSettings(PROGRAMS[letter]!);
  assert.equal(parseOptions(settings, words), undefined);
  return settings;
}

function check(letter: string, words: string[]): ClientSettings {
  const settings = parse(letter, words);
  checkSettings(settings);
  return settings;
}

/** A value that each option takes. */
const VALUES: Readonly<Record<string, string[]>> = {
  '-A': ['127.0.0.1'],
  '-C': ['3'],
  '-D': ['publish', 'content-type', 'text'],
  '-e': ['topic'],
  '-F': ['%t %p'],
  '-k': ['10'],
  '-L': ['mqtt://host/topic'],
  '-M': ['5'],
  '-p': ['1234'],
  '-q': ['1'],
  '-V': ['mqttv5'],
  '-W': ['3'],
  '-x': ['60'],
  '--proxy': ['socks5h://proxy'],
  '--random-filter': ['50'],
  '--repeat': ['2'],
  '--repeat-delay': ['0.5'],
  '--retain-handling': ['new'],
  '--will-qos': ['1'],
};

describe('every option is known by its names, to its programs only', () => {
  for (const option of OPTION_TABLE) {
    for (const name of [option.short, option.long]) {
      if (name === undefined || name === '--help' || name === '--version') continue;
      test(name, () => {
        const value =
          option.argument === undefined
            ? []
            : (VALUES[option.short ?? ''] ?? VALUES[option.long ?? ''] ?? ['x']);
        for (const letter of 'PSR') {
          if (option.clients.includes(letter)) parse(letter, [name, ...value]);
          else {
            assert.throws(
              () => parse(letter, [name, ...value]),
              new UsageError(`Error: Unknown option '${name}'.`, 'one-blank-line'),
            );
          }
        }
      });
    }
  }
});

describe('names', () => {
  test('are used once', () => {
    const names = OPTION_TABLE.flatMap(({ short, long }) => [short, long]).filter(
      (name) => name !== undefined,
    );
    assert.equal(new Set(names).size, names.length);
  });

  test('values are words of their own', () => {
    for (const word of ['-ta', '--topic=a', '-dq', '']) {
      assert.throws(
        () => parse('P', [word]),
        new UsageError(`Error: Unknown option '${word}'.`, 'one-blank-line'),
      );
    }
  });

  test('help and version end the parsing', () => {
    for (const letter of 'PSR') {
      assert.equal(parseOptions(defaultSettings(PROGRAMS[letter]!), ['-d', '--help', '--nosuch']), 'help');
      assert.equal(parseOptions(defaultSettings(PROGRAMS[letter]!), ['--version', '--nosuch']), 'version');
    }
  });
});

describe('missing arguments', () => {
  const whats: Readonly<Record<string, string>> = {
    '-A': 'address',
    '-C': 'count',
    '-e': 'response topic',
    '-F': 'format',
    '-f': 'file',
    '-h': 'host',
    '-I': 'id prefix',
    '-i': 'id',
    '-k': 'keepalive',
    '-L': 'URL',
    '-m': 'message',
    '-o': 'options file',
    '-P': 'password',
    '-p': 'port',
    '-q': 'QoS',
    '-T': 'topic filter',
    '-t': 'topic',
    '-U': 'unsubscribe topic',
    '-u': 'username',
    '-W': 'timeout',
    '-x': 'session expiry interval',
    '--cafile': 'file',
    '--capath': 'directory',
    '--cert': 'file',
    '--ciphers': 'ciphers',
    '--key': 'file',
    '--keyform': 'keyform',
    '--protocol-version': 'version',
    '--proxy': 'proxy url',
    '--psk': 'key',
    '--psk-identity': 'identity',
    '--random-filter': 'chance',
    '--repeat': 'count',
    '--repeat-delay': 'time',
    '--retain-handling': 'option',
    '--tls-alpn': 'protocol',
    '--tls-engine': 'engine_id',
    '--tls-engine-kpass-sha1': 'kpass sha1',
    '--tls-keylog': 'file',
    '--tls-version': 'version',
    '--unix': 'socket path',
    '--will-payload': 'will payload',
    '--will-qos': 'will QoS',
    '--will-topic': 'will topic',
  };
  for (const letter of 'PSR') {
    for (const { short, long, argument, shownAs } of optionsOf(PROGRAMS[letter]!)) {
      if (argument === undefined || argument === 'properties' || short === '-M') continue;
      const shown = shownAs ?? short ?? long!;
      test(`${PROGRAMS[letter]} ${shown}`, () => {
        const text = `Error: ${shown} argument given but no ${whats[shown]} specified.`;
        for (const name of [short, long]) {
          if (name !== undefined) assert.throws(() => parse(letter, [name]), new UsageError(text));
        }
      });
    }
  }

  test('-M', () => {
    const text = 'Error: -M argument given but max_inflight not specified.';
    assert.throws(() => parse('P', ['-M']), new UsageError(text));
  });
});

describe('values out of range', () => {
  const rows: [letter: string, words: string, text: string, hint?: Hint][] = [
    ['P', '-k 4', 'Invalid keepalive given, it must be between 5 and 65535 inclusive.'],
    ['P', '-k 65536', 'Invalid keepalive given, it must be between 5 and 65535 inclusive.'],
    ['P', '-k x', 'Invalid keepalive given, it must be between 5 and 65535 inclusive.'],
    ['P', '-q 3', 'Invalid QoS given: 3', 'one-blank-line'],
    ['S', '-q -1', 'Invalid QoS given: -1', 'one-blank-line'],
    ['P', '--will-qos 3', 'Invalid will QoS 3.'],
    ['P', '-p 70000', 'Invalid port given: 70000', 'one-blank-line'],
    ['P', '-p -1', 'Invalid port given: -1', 'one-blank-line'],
    ['S', '-C 0', 'Invalid message count "0".'],
    ['S', '-W 0', 'Invalid timeout "0".'],
    ['R', '-W -3', 'Invalid timeout "-3".'],
    ['P', '-M 0', 'Maximum inflight messages must be greater than 0.'],
    ['P', '--repeat 0', '--repeat argument must be >0.'],
    ['P', '--repeat-delay -1', '--repeat-delay argument must be >=0.0.'],
    ['S', '--random-filter 0', '--random-filter chance must be between 0.1-100.0'],
    ['S', '--random-filter 100.1', '--random-filter chance must be between 0.1-100.0'],
    ['S', '--retain-handling old', "Unknown value 'old' for --retain-handling."],
    ['P', '-V 4', 'Invalid protocol version argument given.'],
    ['P', '-x abc', 'session-expiry-interval not a number.'],
    ['P', '-x 99999999999', 'session-expiry-interval out of range.'],
    ['P', '-x -5', 'session-expiry-interval out of range.'],
    ['P', '-L foo://bar', 'Unsupported URL scheme.'],
    ['P', '-L mqtt://host', 'Invalid URL for -L argument specified - topic missing.', 'one-blank-line'],
    ['P', '--proxy http://x', 'Unsupported proxy protocol: http://x', 'one-blank-line'],
    ['P', '--proxy socks5h://a%41@x', 'Invalid proxy.', 'one-blank-line'],
    ['P', '-t a/#', "Invalid publish topic 'a/#', does it contain '+' or '#'?", 'one-blank-line'],
    ['R', '-e +', "Invalid response topic '+', does it contain '+' or '#'?", 'one-blank-line'],
    ['P', '--will-topic #', "Invalid will topic '#', does it contain '+' or '#'?", 'one-blank-line'],
    [
      'S',
      '-t a#',
      "Invalid subscription topic 'a#', are all '+' and '#' wildcards correct?",
      'one-blank-line',
    ],
    ['S', '-T a#', "Invalid filter topic 'a#', are all '+' and '#' wildcards correct?", 'one-blank-line'],
    [
      'S',
      '-U a+',
      "Invalid unsubscribe topic 'a+', are all '+' and '#' wildcards correct?",
      'one-blank-line',
    ],
    ['P', '-t \udcff', 'Malformed UTF-8 in -t argument.'],
    ['S', '-T \udcff', 'Malformed UTF-8 in -T argument.'],
    ['S', '-U \udcff', 'Malformed UTF-8 in -U argument.'],
    ['R', '-e \udcff', 'Malformed UTF-8 in -e argument.'],
    ['P', '--will-topic \udcff', 'Malformed UTF-8 in --will-topic argument.'],
    ['P', '-L mqtt://h/\udcff', 'Malformed UTF-8 in -L topic argument.'],
    ['P', '-i a -I b', '-i and -I argument cannot be used together.'],
    ['P', '-I a -i b', '-i and -I argument cannot be used together.'],
    ['P', '-m a -n', 'Only one type of message can be sent at once.'],
    ['P', '-l -s', 'Only one type of message can be sent at once.'],
    ['R', '-f a -m b', 'Only one type of message can be sent at once.'],
  ];
  for (const [letter, words, text, hint] of rows) {
    test(`${PROGRAMS[letter]} ${words}`, () => {
      assert.throws(() => parse(letter, words.split(' ')), new UsageError(`Error: ${text}`, hint));
    });
  }
});

describe('options that do not go together', () => {
  const rows: [letter: string, words: string, text: string, hint?: Hint][] = [
    ['P', '-t a', 'Both topic and message must be supplied.', 'usage'],
    ['P', '-m a', 'Both topic and message must be supplied.', 'usage'],
    ['S', '-d', 'You must specify a topic to subscribe to (-t) or unsubscribe from (-U).'],
    ['R', '-t a -m b', 'All of topic, message, and response topic must be supplied.'],
    ['R', '-e a -m b', 'All of topic, message, and response topic must be supplied.'],
    ['R', '-t a -e b', 'All of topic, message, and response topic must be supplied.'],
    ['S', '-c -t a', 'You must provide a client id if you are using the -c option.'],
    ['S', '-c -t a -I x', 'You must provide a client id if you are using the -c option.'],
    [
      'R',
      '-c -t a -e b -n',
      'You must provide a client id if you are using an infinite session expiry interval.',
    ],
    ['S', '-x ∞ -t a', 'You must provide a client id if you are using an infinite session expiry interval.'],
    ['S', '-x -1 -t a', 'You must provide a client id if you are using an infinite session expiry interval.'],
    ['P', '--will-payload a', 'Will payload given, but no will topic given.'],
    ['P', '--will-retain', 'Will retain given, but no will topic given.'],
    ['P', '--cert a', 'Both certfile and keyfile must be provided if one of them is set.'],
    ['P', '--key a', 'Both certfile and keyfile must be provided if one of them is set.'],
    [
      'P',
      '--psk a --psk-identity b --cafile c',
      'Only one of --psk or --cafile/--capath may be used at once.',
    ],
    [
      'P',
      '--psk a --psk-identity b --capath c',
      'Only one of --psk or --cafile/--capath may be used at once.',
    ],
    ['P', '--psk a', '--psk-identity required if --psk used.'],
    ['P', '--keyform pem', 'If keyform is set, keyfile must be also specified.'],
  ];
  for (const [letter, words, text, hint = 'one-blank-line'] of rows) {
    test(`${PROGRAMS[letter]} ${words}`, () => {
      assert.throws(() => check(letter, words.split(' ')), new UsageError(`Error: ${text}`, hint));
    });
  }

  test('mosquitto_sub -R --retained-only', () => {
    const text = "\nError: Combining '-R' and '--retained-only' makes no sense.";
    assert.throws(() => check('S', ['-t', 'a', '-R', '--retained-only']), new UsageError(text, 'none'));
  });

  test('but these do', () => {
    check('P', ['--no-tls', '--psk', 'aa', '--cert', 'x', '-t', 'a', '-n']);
    check('S', ['-U', 'a']);
    check('S', ['-x', '60', '-t', 'a']);
  });
});

describe('settings', () => {
  const rows: [letter: string, words: string[], expected: Partial<ClientSettings>][] = [
    ['P', [], { host: 'localhost', port: undefined, version: 4, keepAlive: 60, qos: 0, cleanSession: true }],
    ['R', [], { version: 5 }],
    ['P', ['-h', 'a', '-h', 'b', '-p', '12x'], { host: 'b', port: 12 }],
    ['P', ['-x', '60'], { sessionExpiry: 60, version: 5 }],
    ['P', ['-x', '4294967295'], { sessionExpiry: 'never' }],
    ['P', ['-x', '60', '-V', '311'], { sessionExpiry: 60, version: 4 }],
    ['P', ['-V', '31'], { version: 3 }],
    ['P', ['-D', 'will', 'user-property', 'a', 'b', '-d'], { version: 5, debug: true }],
    ['P', ['-m', '\udcff'], { message: { kind: 'text', payload: Buffer.of(0xff) } }],
    ['P', ['-m', ''], { message: { kind: 'text', payload: Buffer.alloc(0) } }],
    ['P', ['--repeat-delay', '0.25'], { repeatDelayMs: 250 }],
    ['S', ['-t', 'a', '-t', 'b/#'], { topics: ['a', 'b/#'] }],
    ['S', ['-R'], { noRetained: true, retainHandling: 2 }],
    ['S', ['--retain-handling', 'new'], { retainHandling: 1 }],
    [
      'P',
      ['-L', 'MQTT://us@er:pa:ss@host:1/a//b'],
      { host: 'er', port: 0, username: 'us', password: undefined, topics: ['a//b'] },
    ],
    [
      'P',
      ['-L', 'mqtt://user:pa:ss@host:1884/a/b'],
      { host: 'host', port: 1884, username: 'user', password: Buffer.from('pa:ss'), topics: ['a/b'] },
    ],
    ['S', ['-L', 'ws://host/%20/+/#'], { host: 'host', port: 1883, webSocket: true, topics: ['%20/+/#'] }],
    ['P', ['-L', 'wss://host/a', '-p', '99'], { host: 'host', port: 99, webSocket: true }],
    ['P', ['-L', 'mqtts://host/a'], { port: 8883, webSocket: false }],
    [
      'P',
      ['--proxy', 'socks5h://us%40er:p%3a%25@[::1]:99'],
      { proxy: { host: '::1', port: 99, username: 'us@er', password: 'p:%' } },
    ],
    [
      'P',
      ['--proxy', 'socks5h://proxy'],
      { proxy: { host: 'proxy', port: 1080, username: undefined, password: undefined } },
    ],
  ];
  for (const [letter, words, expected] of rows) {
    test(`${PROGRAMS[letter]} ${words.join(' ')}`, () => {
      const settings = parse(letter, words);
      for (const [key, value] of Object.entries(expected)) {
        assert.deepEqual(settings[key as keyof ClientSettings], value, key);
      }
    });
  }
});
