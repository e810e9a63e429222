/** From options to the CONNECT packet and the way to the broker. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { defaultSettings, type ProgramName } from '../../../../../src/cli/clients/options/client-settings.js';
import { connectPacket, dialTarget } from '../../../../../src/cli/clients/options/connect-options.js';
import { parseOptions } from '../../../../../src/cli/clients/options/option-parser.js';
import { SetupError } from '../../../../../src/cli/clients/options/usage-error.js';
import type { ConnectPacket } from '../../../../../src/mqtt/packets.js';

function settingsOf(words: string, program: ProgramName = 'mosquitto_pub') {
  const settings = defaultSettings(program);
  parseOptions(settings, words === '' ? [] : words.split(' '));
  return settings;
}

const connect = (words: string, program?: ProgramName) => connectPacket(settingsOf(words, program));

describe('CONNECT', () => {
  const rows: [words: string, expected: Partial<ConnectPacket>, program?: ProgramName][] = [
    ['', { version: 4, clientId: '', cleanStart: true, keepAlive: 60, properties: {} }],
    ['-V 5', { version: 5, properties: { receiveMaximum: 20 } }],
    ['', { version: 5, properties: { receiveMaximum: 1 } }, 'mosquitto_rr'],
    ['-V 5 -C 3', { properties: { receiveMaximum: 3 } }, 'mosquitto_sub'],
    ['-V 5 -C 30', { properties: { receiveMaximum: 20 } }, 'mosquitto_sub'],
    ['-V 5 -M 7', { properties: { receiveMaximum: 20 } }],
    ['-D connect receive-maximum 7', { properties: { receiveMaximum: 7 } }],
    ['-c -i x', { cleanStart: false, clientId: 'x', properties: {} }],
    ['-c -i x -V 5', { properties: { receiveMaximum: 20, sessionExpiryInterval: 0xffffffff } }],
    ['-x 60', { cleanStart: true, properties: { receiveMaximum: 20, sessionExpiryInterval: 60 } }],
    ['-x 0', { properties: { receiveMaximum: 20 } }],
    ['-c -i x -x 0', { cleanStart: false, properties: { receiveMaximum: 20 } }],
    ['-x ∞ -i x', { properties: { receiveMaximum: 20, sessionExpiryInterval: 0xffffffff } }],
    [
      '-c -i x -D connect session-expiry-interval 9',
      { properties: { receiveMaximum: 20, sessionExpiryInterval: 9 } },
    ],
    ['-u name -P secret', { username: 'name', password: Buffer.from('secret') }],
    ['-V 5 -P secret', { password: Buffer.from('secret') }],
    ['-I pre-', { clientId: `pre-${process.pid}` }],
    [
      '--will-topic w',
      { will: { topic: 'w', payload: Buffer.alloc(0), qos: 0, retain: false, properties: {} } },
    ],
  ];
  for (const [words, expected, program] of rows) {
    test(words || `nothing, ${program ?? 'mosquitto_pub'}`, () => {
      const packet = connect(words, program);
      for (const [key, value] of Object.entries(expected)) {
        assert.deepEqual(packet[key as keyof ConnectPacket], value, key);
      }
    });
  }

  test('MQTT 3.1 without an id gets one that is new each time', () => {
    const [one, two] = [connect('-V 31').clientId, connect('-V 31').clientId];
    assert.match(one, /^mosq-[A-Za-z0-9]{18}$/);
    assert.notEqual(one, two);
  });
});

describe('what cannot be', () => {
  const rows: [words: string, text: string][] = [
    ['-P secret', 'Error: Problem setting username and/or password.'],
    ['-D connect user-property a b -V 311', 'Unable to connect (This feature is not supported).'],
    ['--will-topic w -D will user-property a b -V 311', 'Error: Problem setting will.'],
  ];
  for (const [words, text] of rows) {
    test(words, () => assert.throws(() => connect(words), new SetupError(text)));
  }

  test('an empty id', () => {
    const settings = defaultSettings('mosquitto_pub');
    parseOptions(settings, ['-i', '']);
    assert.throws(() => connectPacket(settings), new SetupError('Error: Invalid id.'));
  });
});

describe('the way', () => {
  const rows: [words: string, port: number, tls: boolean][] = [
    ['', 1883, false],
    ['-p 1884', 1884, false],
    ['-p 8883', 8883, true],
    ['-p 8883 --no-tls', 8883, false],
    ['-p 8883 --unix /socket', 8883, false],
    ['--cafile /dev/null', 8883, true],
    ['--capath /nonexistent', 8883, true],
    ['--cafile /dev/null -p 1', 1, true],
    ['--psk aa --psk-identity x', 8883, true],
    ['--tls-use-os-certs', 1883, true],
    ['--no-tls --cafile /dev/null --psk aa', 1883, false],
    ['-L mqtt://h/t', 1883, false],
    ['-L mqtts://h/t', 8883, true],
    ['-L mqtts://h:1/t', 1, true],
    ['-L mqtt://h:8883/t', 8883, true],
    ['-L ws://h/t', 1883, false],
    ['-L wss://h/t', 8883, true],
  ];
  for (const [words, port, tls] of rows) {
    test(words || 'nothing', async () => {
      const target = await dialTarget(settingsOf(words));
      assert.deepEqual([target.port, target.tls !== undefined], [port, tls]);
    });
  }

  test('--latency wants small packets sent at once', async () => {
    assert.equal((await dialTarget(settingsOf('--latency', 'mosquitto_rr'))).noDelay, true);
    assert.equal((await dialTarget(settingsOf('--nodelay'))).noDelay, true);
    assert.equal((await dialTarget(settingsOf(''))).noDelay, false);
  });

  test('a pre-shared key with an odd number of digits has a zero before them', async () => {
    const { tls } = await dialTarget(settingsOf('--psk abc --psk-identity x'));
    assert.deepEqual(tls?.preSharedKey, { identity: 'x', key: Buffer.of(0x0a, 0xbc) });
  });

  test('the version of TLS is the lowest to take', async () => {
    for (const [words, version] of [
      ['--cafile /dev/null', 'TLSv1.2'],
      ['--cafile /dev/null --tls-version tlsv1.3', 'TLSv1.3'],
    ] as const) {
      assert.equal((await dialTarget(settingsOf(words))).tls?.options.minVersion, version);
    }
    const old = settingsOf('--cafile /dev/null --tls-version tlsv1.1');
    const text = 'Error: Problem setting TLS options, check the options are valid.';
    await assert.rejects(dialTarget(old), new SetupError(text));
  });
});
