/** The grammar of a bridge's `topic` lines. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { BridgeTopic } from '../../../src/config/option-types.js';
import { load, settingsOf, texts } from './config-support.js';

const bridge = 'connection far\naddress 192.0.2.1\n';

type Row = readonly [
  line: string,
  pattern: string,
  direction: BridgeTopic['direction'],
  qos: number,
  localPrefix?: string | undefined,
  remotePrefix?: string | undefined,
];

const accepted: readonly Row[] = [
  ['a/#', 'a/#', 'out', 0],
  ['a in', 'a', 'in', 0],
  ['a BOTH 2', 'a', 'both', 2],
  ['a Out 1 l/ r/', 'a', 'out', 1, 'l/', 'r/'],
  ['a out 1 "" r/', 'a', 'out', 1, undefined, 'r/'],
  ['a out 1 l/', 'a', 'out', 1, 'l/'],
  ['a out 1 l/ ""', 'a', 'out', 1, 'l/'],
  ['a out 1 l/ r/ more words', 'a', 'out', 1, 'l/', 'r/'],
  ['a out # comment', 'a', 'out', 0],
  ['a out 1 #l r', 'a', 'out', 1],
  ['a out 1 l #r', 'a', 'out', 1, 'l'],
  ['# in 0x2', '#', 'in', 0],
  ['"a b/#" in 1', 'a b/#', 'in', 1],
  ['"a b"', 'a b', 'out', 0],
  ['"" both 1 here there', '', 'both', 1, 'here', 'there'],
];

const prefixHelp = (prefix: string) => `'${prefix}' is put before topics, which hold neither '+' nor '#'.`;
const syntax = "'topic' takes PATTERN [in|out|both [QOS [LOCAL-PREFIX [REMOTE-PREFIX]]]].";
const remappingHelp = `An empty pattern needs both prefixes, the local and the remote topic: ${syntax}`;

const refused: readonly (readonly [line: string, error: string, help: string])[] = [
  ['', "Error: Empty 'topic' value in configuration.", `The value is missing: ${syntax}`],
  [
    'a outt',
    "Error: Invalid bridge topic direction 'outt'.",
    `'outt' is not allowed: ${syntax} Did you mean 'out'?`,
  ],
  ['a #', "Error: Invalid bridge topic direction '#'.", `'#' is not allowed: ${syntax}`],
  ['a out 3', "Error: Invalid bridge QoS level '3'.", `'3' is not allowed: ${syntax}`],
  ['a out -1', "Error: Invalid bridge QoS level '-1'.", `'-1' is not allowed: ${syntax}`],
  ['a out 0 l/# r/', "Error: Invalid bridge topic local prefix 'l/#'.", prefixHelp('l/#')],
  ['a out 0 l/ r/+/', "Error: Invalid bridge topic remote prefix 'r/+/'.", prefixHelp('r/+/')],
  ...[
    ['# out 1 house remote/', 'local', 'house', '#'],
    ['# in 1 house/ remote', 'remote', 'remote', '#'],
    ['+/a both 1 h r', 'local', 'h', '+/a'],
    ['# out 1 "" remote', 'remote', 'remote', '#'],
  ].map(([line, side, prefix, pattern]): [string, string, string] => [
    line!,
    `Error: Invalid bridge topic ${side} prefix and pattern combination '${prefix}${pattern}'.`,
    `'+' and '#' are whole levels: write the prefix as '${prefix}/'.`,
  ]),
  [
    `a out 1 ${'/'.repeat(201)} r`,
    `Error: Invalid bridge topic local prefix and pattern combination '${'/'.repeat(201)}a'.`,
    'It is not a topic filter: it is too long, or has too many levels.',
  ],
  ['""', 'Error: Invalid bridge remapping.', remappingHelp],
  ['"" out 0 here', 'Error: Invalid bridge remapping.', remappingHelp],
  ['"" out 0 "" there', 'Error: Invalid bridge remapping.', remappingHelp],
  [
    '"a b out',
    'Error: Missing closing quote in topic value (b out).',
    'A pattern in double quotes ends with a double quote before a space or the end of the line.',
  ],
  [
    '"a b"out',
    'Error: Missing closing quote in topic value (b"out).',
    'A pattern in double quotes ends with a double quote before a space or the end of the line.',
  ],
  [
    '"abc" out',
    'Error: Missing closing quote in topic value (out).',
    'Only a pattern with a space in it is put in double quotes: write abc.',
  ],
  [
    'a/#/b out',
    "Error: Invalid bridge topic 'a/#/b'.",
    "'a/#/b' is not a topic filter: '+' is a whole level, '#' a whole level and the last.",
  ],
];

describe('accepted topic lines', () => {
  for (const [line, pattern, direction, qos, localPrefix, remotePrefix] of accepted) {
    test(`topic ${line}`, () => {
      assert.deepEqual(settingsOf(`${bridge}topic ${line}\n`).bridges[0]?.topic, [
        { pattern, direction, qos, localPrefix, remotePrefix },
      ]);
    });
  }

  test('text in the place of the QoS counts as 0, and is pointed out', () => {
    const result = load(`${bridge}topic a out home/\n`);
    assert.equal(result.ok && result.settings.bridges[0]?.topic[0]?.qos, 0);
    assert.equal(
      texts(result, 'warning')[0],
      "Warning: 'home/' stands where a topic line has its QoS, using 0.",
    );
  });
});

describe('refused topic lines', () => {
  for (const [line, error, help] of refused) {
    test(`topic ${line}`, () => {
      const result = load(`${bridge}topic ${line}\n`);
      assert.deepEqual(texts(result), [error, 'Error found at mosquitto.conf:3.', help]);
    });
  }
});

describe('a line that says what an earlier one says is skipped', () => {
  const pairs: readonly (readonly [earlier: string, later: string, kept: number])[] = [
    ['a out 0', 'a out 0', 1],
    ['a', 'a out 0', 1],
    ['a out 0 l/ r/', 'a out 0', 1],
    ['a out 0', 'a out 0 l/', 1],
    ['a out 0 l/', 'a out 0 m/', 2],
    ['a out 0', 'a out 1', 2],
    ['a out 0', 'a both 0', 2],
    ['a out 0', 'b out 0', 2],
  ];
  for (const [earlier, later, kept] of pairs) {
    test(`topic ${earlier}, then topic ${later}`, () => {
      const result = load(`${bridge}topic ${earlier}\ntopic ${later}\n`);
      assert.equal(result.ok && result.settings.bridges[0]?.topic.length, kept);
      assert.deepEqual(
        texts(result, 'information'),
        kept === 1 ? ["Duplicate bridge topic 'a', skipping"] : [],
      );
    });
  }
});
