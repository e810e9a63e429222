import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { defaultSettings } from '../../../../../src/cli/clients/options/client-settings.js';
import {
  type PropertyCommand,
  takePropertyOption,
  toProperties,
} from '../../../../../src/cli/clients/options/property-option.js';
import { UsageError } from '../../../../../src/cli/clients/options/usage-error.js';
import type { Properties } from '../../../../../src/mqtt/packets.js';
import { encodeProperties } from '../../../../../src/mqtt/properties.js';

function take(...options: string[][]): Record<PropertyCommand, Properties> {
  const { properties } = defaultSettings('mosquitto_pub');
  for (const words of options) assert.equal(takePropertyOption(properties, words), words.length);
  const taken: Record<string, Properties> = {};
  for (const [command, list] of Object.entries(properties)) {
    taken[command] = toProperties(command as PropertyCommand, list);
  }
  return taken as Record<PropertyCommand, Properties>;
}

const bytes = (text: string) => Buffer.from(text);

describe('taken', () => {
  const rows: [command: PropertyCommand, words: string[], expected: Properties][] = [
    ['connect', ['connect', 'authentication-data', 'x\udcff'], { authenticationData: Buffer.of(0x78, 0xff) }],
    ['connect', ['connect', 'authentication-method', 'm'], { authenticationMethod: 'm' }],
    ['connect', ['connect', 'maximum-packet-size', '4294967295'], { maximumPacketSize: 4294967295 }],
    ['connect', ['connect', 'receive-maximum', '7'], { receiveMaximum: 7 }],
    ['connect', ['connect', 'request-problem-information', '0'], { requestProblemInformation: 0 }],
    ['connect', ['connect', 'request-response-information', '1'], { requestResponseInformation: 1 }],
    ['connect', ['connect', 'session-expiry-interval', '5'], { sessionExpiryInterval: 5 }],
    ['connect', ['connect', 'topic-alias-maximum', '10'], { topicAliasMaximum: 10 }],
    ['connect', ['Connect', 'USER-Property', 'K', 'V'], { userProperties: [['K', 'V']] }],
    ['publish', ['publish', 'content-type', 't'], { contentType: 't' }],
    ['publish', ['publish', 'correlation-data', 'd'], { correlationData: bytes('d') }],
    ['publish', ['publish', 'message-expiry-interval', '9x'], { messageExpiryInterval: 9 }],
    ['publish', ['publish', 'message-expiry-interval', 'abc'], { messageExpiryInterval: 0 }],
    ['publish', ['publish', 'response-topic', 'r'], { responseTopic: 'r' }],
    ['publish', ['publish', 'topic-alias', '4'], { topicAlias: 4 }],
    [
      'subscribe',
      ['subscribe', 'subscription-identifier', '268435455'],
      { subscriptionIdentifiers: [268435455] },
    ],
    ['subscribe', ['subscribe', 'user-property', 'a', 'b'], { userProperties: [['a', 'b']] }],
    ['unsubscribe', ['unsubscribe', 'user-property', 'a', 'b'], { userProperties: [['a', 'b']] }],
    ['disconnect', ['disconnect', 'session-expiry-interval', '1'], { sessionExpiryInterval: 1 }],
    ['disconnect', ['disconnect', 'reason-string', 'why'], { reasonString: 'why' }],
    ['disconnect', ['disconnect', 'server-reference', 'there'], { serverReference: 'there' }],
    ['will', ['will', 'will-delay-interval', '8'], { willDelayInterval: 8 }],
    ['will', ['will', 'content-type', 't'], { contentType: 't' }],
  ];
  for (const [command, words, expected] of rows) {
    test(words.join(' '), () => assert.deepEqual(take(words)[command], expected));
  }

  test('in the order given', () => {
    const { publish, will } = take(
      ['publish', 'user-property', 'a', '1'],
      ['publish', 'content-type', 't'],
      ['publish', 'user-property', 'b', '2'],
      ['will', 'content-type', 't'],
      ['will', 'user-property', 'a', '1'],
      ['will', 'will-delay-interval', '8'],
      ['will', 'user-property', 'b', '2'],
    );
    const hex = (properties: Properties) => Buffer.from(encodeProperties(properties)).toString('hex');
    assert.equal(hex(publish), '26000161000131' + '03000174' + '26000162000132');
    assert.equal(hex(will), '03000174' + '26000161000131' + '1800000008' + '26000162000132');
  });

  test('several, user properties more than once', () => {
    const { publish } = take(
      ['publish', 'user-property', 'a', '1'],
      ['publish', 'content-type', 't'],
      ['publish', 'user-property', 'a', '2'],
    );
    assert.deepEqual(publish, {
      userProperties: [
        ['a', '1'],
        ['a', '2'],
      ],
      contentType: 't',
      order: ['userProperties', 'contentType', 'userProperties'],
    });
  });
});

describe('refused', () => {
  const notEnough = '--property argument given but not enough arguments specified.';
  const rows: [words: string[], text: string][] = [
    [[], notEnough],
    [['publish'], notEnough],
    [['publish', 'content-type'], notEnough],
    [['connect', 'user-property', 'a'], notEnough],
    [['foo', 'bar', 'baz'], 'Invalid command foo given in --property argument.'],
    [['connack', 'user-property', 'baz'], 'Invalid command connack given in --property argument.'],
    [['publish', 'bar', 'baz'], 'Invalid property name bar given in --property argument.'],
    [
      ['connect', 'content-type', 'a'],
      'content-type property not allowed for connect in --property argument.',
    ],
    [
      ['publish', 'subscription-identifier', '3'],
      'subscription-identifier property not supported for publish in --property argument.',
    ],
    [
      ['puback', 'reason-string', 'a'],
      'reason-string property not supported for puback in --property argument.',
    ],
    [
      ['auth', 'user-property', 'a', 'b'],
      'user-property property not supported for auth in --property argument.',
    ],
    [['publish', 'topic-alias', '70000'], 'Property value (70000) out of range for property topic-alias.'],
    [
      ['publish', 'payload-format-indicator', '300'],
      'Property value (300) out of range for property payload-format-indicator.',
    ],
    [
      ['publish', 'message-expiry-interval', '-1'],
      'Property value (-1) out of range for property message-expiry-interval.',
    ],
    [
      ['publish', 'message-expiry-interval', '4294967296'],
      'Property value (4294967296) out of range for property message-expiry-interval.',
    ],
    [
      ['subscribe', 'subscription-identifier', '268435456'],
      'Property value (268435456) out of range for property subscription-identifier.',
    ],
    [['publish', 'content-type', 'x'.repeat(65536)], 'Property value too long for property content-type.'],
    [
      ['publish', 'correlation-data', 'x'.repeat(65536)],
      'Property value too long for property correlation-data.',
    ],
    [
      ['publish', 'user-property', 'a', 'é'.repeat(32768)],
      'Property value too long for property user-property.',
    ],
  ];
  for (const [words, text] of rows) {
    test(words.join(' ').slice(0, 60), () => {
      assert.throws(() => take(words), new UsageError(`Error: ${text}`));
    });
  }

  test('one given twice', () => {
    const option = ['publish', 'content-type', 't'];
    const text = 'Error in PUBLISH properties: Duplicate property in property list';
    assert.throws(() => take(option, option), new UsageError(text, 'one-blank-line'));
  });

  test('a value that MQTT forbids', () => {
    const text =
      'Error in PUBLISH properties: A network protocol error occurred when communicating with the broker';
    assert.throws(() => take(['publish', 'topic-alias', '0']), new UsageError(text, 'one-blank-line'));
  });
});
