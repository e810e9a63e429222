/** What `topic` lines make of names, in both directions, line by line of the reference [mosq: topic]. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { TopicMap } from '../../../src/bridge/topic-map.js';
import type { BridgeDirection, BridgeTopic } from '../../../src/config/option-types.js';

/** `PATTERN DIRECTION QOS LOCAL REMOTE` as in the file; `""` is an empty pattern, or no prefix. */
function line(text: string): BridgeTopic {
  const [pattern = '', direction = 'out', qos = '0', local, remote] = text.split(' ');
  const prefix = (word: string | undefined) => (word === undefined || word === '""' ? undefined : word);
  return {
    pattern: pattern === '""' ? '' : pattern,
    direction: direction as BridgeDirection,
    qos: Number(qos) as 0 | 1 | 2,
    localPrefix: prefix(local),
    remotePrefix: prefix(remote),
  };
}

const mapOf = (text: string) => new TopicMap(text.split(' | ').map(line));

type Row = readonly [lines: string, from: string, to: string];

const toRemote: readonly Row[] = [
  // One line, every combination of prefixes.
  ['p out 0 L/ R/', 'L/p', 'R/p'],
  ['p out 0 L/ ""', 'L/p', 'p'],
  ['p out 0 "" R/', 'p', 'R/p'],
  ['p out 0 "" ""', 'p', 'p'],
  ['p out 0', 'p', 'p'],
  ['p', 'p', 'p'],
  ['p both 0 L/ R/', 'L/p', 'R/p'],
  // A line that only leads in changes no name on the way out.
  ['p in 0 L/ R/', 'L/p', 'L/p'],
  // An empty pattern maps one topic to one other.
  ['"" out 0 local remote', 'local', 'remote'],
  ['"" out 0 a/b/c x', 'a/b/c', 'x'],
  ['"" out 0 local remote', 'local/more', 'local/more'],
  ['"" both 0 local remote', 'local', 'remote'],
  // Prefixes are put before the pattern as they are.
  ['p out 0 L R', 'Lp', 'Rp'],
  ['p out 0 L R', 'L/p', 'L/p'],
  ['/p out 0 L R', 'L/p', 'R/p'],
  ['p out 0 a/b/ c/', 'a/b/p', 'c/p'],
  ['p out 0 a/ b/c/d/', 'a/p', 'b/c/d/p'],
  // Wildcards.
  ['# out 0 L/ R/', 'L/a', 'R/a'],
  ['# out 0 L/ R/', 'L/a/b/c', 'R/a/b/c'],
  ['# out 0 L/ R/', 'L/', 'R/'],
  ['# out 0 L/ R/', 'L', 'R/L'],
  ['# out 0 L/ R/', 'X/a', 'X/a'],
  ['# out 0 "" R/', 'a', 'R/a'],
  ['# out 0 "" R/', '/a', 'R//a'],
  ['# out 0 L/ ""', 'L/a', 'a'],
  ['# out 0 L/ ""', 'L/', ''],
  ['a/# out 0 L/ R/', 'L/a', 'R/a'],
  ['a/# out 0 L/ R/', 'L/a/b', 'R/a/b'],
  ['a/# out 0 L/ R/', 'L/ab', 'L/ab'],
  ['+/p out 0 L/ R/', 'L/x/p', 'R/x/p'],
  ['+/p out 0 L/ R/', 'L/x/y/p', 'L/x/y/p'],
  ['+ out 0 L/ R/', 'L/x', 'R/x'],
  ['+ out 0 L/ R/', 'L/x/y', 'L/x/y'],
  ['a/+/c/# out 0 L/ R/', 'L/a/b/c/d/e', 'R/a/b/c/d/e'],
  // Topics that begin with `$` are matched only by what names them.
  ['# out 0 "" R/', '$SYS/broker/uptime', '$SYS/broker/uptime'],
  ['$SYS/# out 0 "" R/', '$SYS/broker/uptime', 'R/$SYS/broker/uptime'],
  ['broker/# out 0 $SYS/ R/', '$SYS/broker/uptime', 'R/broker/uptime'],
  // The first line that matches decides.
  ['a/# out 0 L/ R1/ | # out 0 L/ R2/', 'L/a/x', 'R1/a/x'],
  ['a/# out 0 L/ R1/ | # out 0 L/ R2/', 'L/b/x', 'R2/b/x'],
  ['# out 0 L/ R2/ | a/# out 0 L/ R1/', 'L/a/x', 'R2/a/x'],
  ['a out 0 "" R1/ | a out 1 "" R2/', 'a', 'R1/a'],
  // Lines without prefixes are passed over.
  ['a/# out 0 | # out 0 "" R/', 'a/x', 'R/a/x'],
  ['a/# out 0 "" "" | a/x out 0 "" R/', 'a/x', 'R/a/x'],
  ['# out 0 | # out 0 "" R/', 'a', 'R/a'],
  // So are lines of the other direction.
  ['# in 0 L/ R1/ | # out 0 L/ R2/', 'L/a', 'R2/a'],
  // UTF-8 beyond one byte, and beyond the basic plane.
  ['# out 0 Büro/ дом/', 'Büro/Tür', 'дом/Tür'],
  ['# out 0 🏠/ h/', '🏠/🚪', 'h/🚪'],
  // What was cut off stands in the name again.
  ['# out 0 L/ R/', 'L/L/a', 'R/L/a'],
];

const toLocal: readonly Row[] = [
  ['p in 0 L/ R/', 'R/p', 'L/p'],
  ['p in 0 L/ ""', 'p', 'L/p'],
  ['p in 0 "" R/', 'R/p', 'p'],
  ['p in 0 "" ""', 'p', 'p'],
  ['p both 2 L/ R/', 'R/p', 'L/p'],
  ['p out 0 L/ R/', 'R/p', 'R/p'],
  ['"" in 0 local remote', 'remote', 'local'],
  ['"" both 0 local remote', 'remote', 'local'],
  ['"" in 0 local remote', 'remote/more', 'remote/more'],
  ['# in 0 L/ R/', 'R/a/b', 'L/a/b'],
  // Matched by R/#, but it does not begin with R/.
  ['# in 0 L/ R/', 'R', 'L/R'],
  ['# in 0 "" R/', 'R/', ''],
  ['+/p in 0 L/ R/', 'R/x/p', 'L/x/p'],
  ['a/# in 0 L1/ R/ | # in 0 L2/ R/', 'R/a', 'L1/a'],
  ['a/# in 0 L1/ R/ | # in 0 L2/ R/', 'R/b', 'L2/b'],
  ['# in 0 | # in 0 L/ ""', 'a', 'L/a'],
  ['# out 0 L1/ R/ | # in 0 L2/ R/', 'R/a', 'L2/a'],
  ['broker/# in 0 far/ $SYS/', '$SYS/broker/uptime', 'far/broker/uptime'],
  ['# in 0 far/ ""', '$SYS/broker/uptime', '$SYS/broker/uptime'],
];

describe('names on the way out', () => {
  for (const [lines, from, to] of toRemote) {
    test(`topic ${lines}: ${from} → ${to}`, () => assert.equal(mapOf(lines).toRemote(from), to));
  }
});

describe('names on the way in', () => {
  for (const [lines, from, to] of toLocal) {
    test(`topic ${lines}: ${from} → ${to}`, () => assert.equal(mapOf(lines).toLocal(from), to));
  }
});

describe('subscriptions', () => {
  const rows: readonly [lines: string, local: string, remote: string, unwanted: string][] = [
    ['a out 1 L/ R/', 'L/a 1', '', 'R/a'],
    ['a in 2 L/ R/', '', 'R/a 2', ''],
    ['a both 1 L/ R/', 'L/a 1', 'R/a 1', ''],
    ['a out 1 | b in 0 | c both 2', 'a 1, c 2', 'b 0, c 2', 'a'],
    ['"" both 1 local remote', 'local 1', 'remote 1', ''],
    // Twice the same filter: the later QoS, as with two SUBSCRIBE packets.
    ['a out 2 "" R1/ | a out 0 "" R2/', 'a 0', '', 'R1/a, R2/a'],
    // What one line sends out and another brings in must not be unsubscribed from.
    ['a out 0 "" x/ | x/a in 0', 'a 0', 'x/a 0', ''],
  ];
  for (const [lines, local, remote, unwanted] of rows) {
    test(`topic ${lines}`, () => {
      const map = mapOf(lines);
      const text = (filters: readonly { filter: string; qos: number }[]) =>
        filters.map(({ filter, qos }) => `${filter} ${qos}`).join(', ');
      assert.equal(text(map.localFilters), local);
      assert.equal(text(map.remoteFilters), remote);
      assert.equal(map.unwantedRemoteFilters.join(', '), unwanted);
    });
  }
});
