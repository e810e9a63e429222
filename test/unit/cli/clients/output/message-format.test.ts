/** `-F`: formats and payloads, byte for byte. Lines marked 2.0.11 were printed by Debian's mosquitto_sub. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { UsageError } from '../../../../../src/cli/clients/options/usage-error.js';
import type { Moment } from '../../../../../src/cli/clients/output/format-input.js';
import { compileFormat, expandFormat } from '../../../../../src/cli/clients/output/message-format.js';
import type { Properties, PublishPacket } from '../../../../../src/mqtt/packets.js';

process.env.TZ = 'Europe/Berlin';

/** A summer day: 14:15:16.123456789 at +0200, a Wednesday. */
const NOW: Moment = { seconds: Date.UTC(2020, 4, 6, 12, 15, 16) / 1000, nanoseconds: 123456789 };

function message(payload: string | Uint8Array, rest: Partial<PublishPacket> = {}): PublishPacket {
  return {
    type: 'publish',
    topic: 'T/y',
    payload: Buffer.from(payload as string),
    qos: 0,
    retain: false,
    dup: false,
    packetId: 0,
    properties: {},
    ...rest,
  };
}

interface Expanded {
  bytes: Buffer;
  complaints: string[];
}

function expand(format: string, input: PublishPacket, pretty = false): Expanded {
  const complaints: string[] = [];
  const complain = (text: string) => complaints.push(text);
  return {
    bytes: expandFormat(compileFormat(format), { message: input, now: NOW, pretty, complain }),
    complaints,
  };
}

type Row = [format: string, message: PublishPacket, expected: string | Buffer];

function table(rows: readonly Row[]): void {
  for (const [format, input, expected] of rows) {
    const payload = Buffer.from(input.payload).toString('latin1');
    test(`${JSON.stringify(format)} of ${JSON.stringify(payload.slice(0, 40))}`, () => {
      const { bytes, complaints } = expand(format, input);
      assert.deepEqual(complaints, []);
      assert.equal(bytes.toString('latin1'), Buffer.from(expected as string).toString('latin1'));
    });
  }
}

const hello = message('hello');
const object = message('{"a":1}', { topic: 'r/1', retain: true });
const binary = message(Uint8Array.of(0x00, 0xff, 0x80, 0x0a, 0xc3));
const acknowledged = message('x', { qos: 2, packetId: 77 });
const empty = message('');

const full: Properties = {
  subscriptionIdentifiers: [5],
  userProperties: [
    ['k', 'v'],
    ['k', 'w'],
  ],
  contentType: 'c/t',
  correlationData: Buffer.from('abc'),
  payloadFormatIndicator: 1,
  responseTopic: 'a/b',
  messageExpiryInterval: 100,
};
const rich = message('{"a":1}', { properties: full });
const aliased = message('x', { properties: { topicAlias: 7 } });

describe('literal text and escapes', () => {
  table([
    ['', hello, ''],
    ['plain', hello, 'plain'],
    ['é%tü', hello, 'éT/yü'],
    ['%%|%5%|100%%', hello, '%|%|100%'],
    ['\\\\|\\0|\\a|\\e|\\n|\\r|\\t|\\v|', hello, '\\|\0|\x07|\x1b|\n|\r|\t|\v|'],
    ['\udcff\udc80', hello, Buffer.of(0xff, 0x80)],
  ]);
});

describe('payload', () => {
  table([
    ['%p', hello, 'hello'],
    ['%5p|%3p|%-8p|%08p|%-08p', hello, 'hello|hel|hello   |000hello|hello   '], // 2.0.11
    ['%8.2p|%.2p|%0p|%.p|%5.p', hello, '   hello|hello|hello|hello|hello'], // 2.0.11
    ['%10p|', object, '   {"a":1}|'],
    ['[%p]', empty, '[]'],
    ['[%4p]', empty, '[    ]'],
    ['%p', binary, Buffer.of(0x00, 0xff, 0x80, 0x0a, 0xc3)],
    ['%3p', binary, Buffer.of(0x00, 0xff, 0x80)],
    ['%7p', binary, Buffer.of(0x20, 0x20, 0x00, 0xff, 0x80, 0x0a, 0xc3)],
    ['%07p', binary, Buffer.of(0x30, 0x30, 0x00, 0xff, 0x80, 0x0a, 0xc3)],
    ['%-7p|', binary, Buffer.of(0x00, 0xff, 0x80, 0x0a, 0xc3, 0x20, 0x20, 0x7c)],
    ['%p%p', hello, 'hellohello'],
    ['%l|%5l|%05l|%-5l|%-05l|%.2l|%5.3l', hello, '5|    5|00005|5    |5    |5|    5'], // 2.0.11
    ['%l', binary, '5'],
    ['%l', empty, '0'],
  ]);
});

describe('hexadecimal', () => {
  table([
    ['%x', hello, '68656c6c6f'], // 2.0.11
    ['%X', hello, '68656C6C6F'], // 2.0.11
    ['%x', binary, '00ff800ac3'],
    ['%X', binary, '00FF800AC3'],
    ['%x', empty, ''],
    ['%4x|', empty, '    |'],
    ['%2x', hello, '6865'], // 2.0.11
    ['%20x', hello, '          68656c6c6f'],
    ['%-20x|', hello, '68656c6c6f          |'],
    ['%020x', hello, '000000000068656c6c6f'],
    ['%-020X|', hello, '68656C6C6F          |'],
    ['%11x|%9x', hello, ' 68656c6c6f|68656c6c6f'],
    ['%.2x', message(Uint8Array.of(0x18, 0x83)), '18 83'],
    ['%.2:x', message(Uint8Array.of(0x18, 0x83)), '18:83'],
    ['%.4x', message(Uint8Array.of(0x18, 0x83, 0x01, 0x02)), '1883 0102'],
    ['%.3x', message(Uint8Array.of(0x18, 0x83)), '188 3'],
    ['%.1-X', binary, '0-0-F-F-8-0-0-A-C-3'],
    ['%.0x|%.x', hello, '68656c6c6f|68656c6c6f'],
    ['%.2 x', hello, '68 65 6c 6c 6f'],
    ['%2.2:x', hello, '68:65'],
    ['%12.2:x', hello, '  68:65:6c:6c:6f'],
    ['%.20x', hello, '68656c6c6f'],
  ]);
});

describe('topic, numbers and flags', () => {
  table([
    ['%t', hello, 'T/y'],
    ['%10t|%.2t|%-10t|', hello, '       T/y|T/|T/y       |'], // 2.0.11
    ['%010t|%-010t|%10.2t|', hello, '       T/y|T/y       |        T/|'], // 2.0.11
    ['%.0t|%.t|%0t', hello, '||T/y'], // 2.0.11
    ['%.3t', message('', { topic: 'äöü' }), Buffer.of(0xc3, 0xa4, 0xc3)],
    ['%m|%5m|%05m|%-5m|%q|%5q|%05q|%r|%5r|%05r', hello, '0|    0|00000|0    |0|0|0|0|0|0'], // 2.0.11
    ['%m|%05m|%q', acknowledged, '77|00077|2'],
    ['%r|%q|%l|%x|%.2:x', object, '1|0|7|7b2261223a317d|7b:22:61:22:3a:31:7d'],
    ['%10.3t|%-10t|%05l|%10p|', object, '       r/1|r/1       |00007|   {"a":1}|'],
  ]);
});

describe('properties', () => {
  table([
    ['%S|%A|%C|%D|%E|%F|%P|%R|', rich, '5||c/t|abc|100|1|k:v k:w|a/b|'], // 2.0.11
    ['%10A|%10S|%-10E|%010F|%10C|', rich, '          |         5|100       |0000000001|       c/t|'], // 2.0.11
    ['%10.2C|%10R|%10P|%10D|%010E|', rich, '        c/|       a/b|k:v k:w|abc|0000000100|'], // 2.0.11
    ['%.1R|%-5R|%.1C', rich, 'a|a/b  |c'],
    ['%S|%A|%C|%D|%E|%F|%P|%R|', hello, '||||||||'], // 2.0.11
    ['%10A|%10S|%-10E|%010F|', hello, '          |          |          |0000000000|'],
    ['%10C|%10.2C|%10R|%10P|%10D|', hello, '          |          ||||'], // 2.0.11
    [
      '%-10S|%-010A|',
      message('', { properties: { subscriptionIdentifiers: [5] } }),
      '5         |0000000000|',
    ],
    ['%A|%3A|%03A|%-3A|', aliased, '7|  7|007|7  |'],
    ['%S', message('', { properties: { subscriptionIdentifiers: [9, 4] } }), '9'],
    [
      '%D',
      message('', { properties: { correlationData: Uint8Array.of(0, 255, 10) } }),
      Buffer.of(0, 255, 10),
    ],
  ]);
});

function float64(value: number): PublishPacket {
  return message(new Uint8Array(Float64Array.of(value).buffer));
}

function float32(value: number): PublishPacket {
  return message(new Uint8Array(Float32Array.of(value).buffer));
}

describe('floating point', () => {
  table([
    ['%d', float64(Math.PI), '3.141593'],
    ['%.2d|%.0d|%.10d', float64(Math.PI), '3.14|3|3.1415926536'],
    ['%10.2d|%-10.2d|%010.2d|', float64(-Math.PI), '     -3.14|-3.14     |-000003.14|'],
    ['%.0d', float64(0.5), '0'],
    ['%.0d', float64(1.5), '2'],
    ['%.0d', float64(2.5), '2'],
    ['%d', float64(-0), '-0.000000'],
    ['%d', float64(1e22), '10000000000000000000000.000000'],
    ['%.1d', float64(2 ** 80), '1208925819614629174706176.0'],
    ['%.30d', float64(2 ** -30), '0.000000000931322574615478515625'],
    ['%d|%06d', float64(Number.POSITIVE_INFINITY), 'inf|   inf'],
    ['%d', float64(Number.NEGATIVE_INFINITY), '-inf'],
    ['%d', float64(Number.NaN), 'nan'],
    ['%d', float64(Number.MIN_VALUE), '0.000000'],
    ['%f', float32(1.5), '1.500000'],
    ['%.10f', float32(0.1), '0.1000000015'],
    ['%09.3f|', float32(-2.25), '-0002.250|'],
  ]);

  for (const [format, text] of [
    ['<%d>', 'Error: Message payload is not a double (8 bytes) on topic T/y.'],
    ['<%f>', 'Error: Message payload is not a float (4 bytes) on topic T/y.'],
  ] as const) {
    test(`${format} of another length`, () => {
      const { bytes, complaints } = expand(format, hello);
      assert.deepEqual(complaints, [text]);
      assert.equal(bytes.toString(), '<>');
    });
  }
});

describe('time', () => {
  table([
    ['%I', hello, '2020-05-06T14:15:16+0200'],
    ['%30I|%.10I|%-30I|', hello, '      2020-05-06T14:15:16+0200|2020-05-06|2020-05-06T14:15:16+0200      |'],
    ['%10I|%030I', hello, '2020-05-06T14:15:16+0200|      2020-05-06T14:15:16+0200'],
    ['%U|%30U|%.3U', hello, '1588767316.123456789|1588767316.123456789|1588767316.123456789'],
    ['@Y-@m-@d @H:@M:@S.@N @z', hello, '2020-05-06 14:15:16.123456789 +0200'],
    ['@s', hello, '1588767316'],
    ['@@|@Y@@', hello, '@|2020@'],
    ['@a @A @b @B @C @d @e @F', hello, 'Wed Wednesday May May 20 06  6 2020-05-06'],
    ['@g @G @h @I @j @k @l @p @P', hello, '20 2020 May 02 127 14  2 PM pm'],
    ['@R|@T|@u|@U|@V|@w|@W|@y|@n|@t', hello, '14:15|14:15:16|3|18|19|3|18|20|\n|\t'],
    ['@c|@D|@x|@X|@r|@%', hello, 'Wed May  6 14:15:16 2020|05/06/20|05/06/20|14:15:16|02:15:16 PM|%'],
    ['@!|@E|@O|@_|@-d|@+|@L|@é|@ |@0|@#|', hello, '%!|%E|%O|%_|%-d|%+|%L|%é|% |%0|%#|'], // 2.0.11
    ['@f @i @J @K @o @q @Q @v @1', hello, '%f %i %J %K %o %q %Q %v %1'], // 2.0.11
  ]);
});

const TST = '"tst":"2020-05-06T14:15:16.123456+0200"';

describe('JSON', () => {
  table([
    ['%j', object, `{${TST},"topic":"r/1","qos":0,"retain":true,"payloadlen":7,"payload":"{\\"a\\":1}"}`],
    ['%J', object, `{${TST},"topic":"r/1","qos":0,"retain":true,"payloadlen":7,"payload":{"a":1}}`],
    ['%j', empty, `{${TST},"topic":"T/y","qos":0,"retain":false,"payloadlen":0,"payload":null}`],
    ['%J', empty, `{${TST},"topic":"T/y","qos":0,"retain":false,"payloadlen":0,"payload":null}`],
    [
      '%j',
      acknowledged,
      `{${TST},"topic":"T/y","qos":2,"retain":false,"payloadlen":1,"mid":77,"payload":"x"}`,
    ],
    [
      '%j',
      message(Buffer.from('he\\"l\tlo\x01\x7f\xff\xc3\xa9/\x00zz', 'latin1')),
      Buffer.from(
        `{${TST},"topic":"T/y","qos":0,"retain":false,"payloadlen":17,"payload":"he\\\\\\"l\\tlo\\u0001\x7f\xff\xc3\xa9/"}`,
        'latin1',
      ),
    ],
    [
      '%j',
      rich,
      `{${TST},"topic":"T/y","qos":0,"retain":false,"payloadlen":7,"properties":{"subscription-identifier":5,` +
        '"user-properties":[{"k":"v"},{"k":"w"}],"content-type":"c/t","correlation-data":"abc",' +
        '"payload-format-indicator":1,"response-topic":"a/b","message-expiry-interval":100},"payload":"{\\"a\\":1}"}',
    ],
    [
      '<%J>',
      message('[1 , 2]'),
      `<{${TST},"topic":"T/y","qos":0,"retain":false,"payloadlen":7,"payload":[1,2]}>`,
    ],
  ]);

  test('--pretty', () => {
    const { bytes } = expand('%J', message('{"b":[1,{"c":{}}]}'), true);
    const lines = [
      '{',
      `\t"tst":\t"2020-05-06T14:15:16.123456+0200",`,
      '\t"topic":\t"T/y",',
      '\t"qos":\t0,',
      '\t"retain":\tfalse,',
      '\t"payloadlen":\t18,',
      '\t"payload":\t{',
      '\t\t"b":\t[1, {',
      '\t\t\t\t"c":\t{',
      '\t\t\t\t}',
      '\t\t\t}]',
      '\t}',
      '}',
    ];
    assert.equal(bytes.toString(), lines.join('\n'));
  });

  test('%J of what is no JSON prints nothing', () => {
    const { bytes, complaints } = expand('<%J>', hello);
    assert.deepEqual(complaints, ['Error: Message payload is not valid JSON on topic T/y.']);
    assert.equal(bytes.toString(), '<>');
  });
});

describe('formats that are none', () => {
  const rows: [format: string, message: string][] = [
    ['%', 'Error: Incomplete format specifier.'],
    ['%10', 'Error: Incomplete format specifier.'],
    ['%-', 'Error: Incomplete format specifier.'],
    ['%10.5', 'Error: Incomplete format specifier.'],
    ['@', 'Error: Incomplete format specifier.'],
    ['%v', "Error: Invalid format specifier 'v'."],
    ['%--5p', "Error: Invalid format specifier '-'."],
    ['%0-5p', "Error: Invalid format specifier '-'."],
    ['%:', "Error: Invalid format specifier ':'."],
    ['%.2:q:', ''],
    ['%é', "Error: Invalid format specifier 'é'."],
    ['\\', 'Error: Incomplete escape specifier.'],
    ['\\q', "Error: Invalid escape specifier 'q'."],
  ];
  for (const [format, text] of rows) {
    test(JSON.stringify(format), () => {
      if (text === '') assert.doesNotThrow(() => compileFormat(format));
      else assert.throws(() => compileFormat(format), new UsageError(text, 'one-blank-line'));
    });
  }
});
