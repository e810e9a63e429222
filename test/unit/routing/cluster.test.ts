import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Publication } from '../../../src/mqtt/publication.js';
import { Cluster } from '../../../src/routing/cluster.js';
import { congest, relieve, type TestLink, testLink } from '../../support/brokers/links.js';
import { assertGrowsLinearly } from '../../support/growth.js';

function clusterOf(...workers: number[]): { cluster: Cluster; links: Map<number, TestLink> } {
  const cluster = new Cluster();
  const links = new Map(workers.map((worker) => [worker, testLink(worker)]));
  for (const { link } of links.values()) cluster.add(link);
  return { cluster, links };
}

function publication(topic: string, fields: { qos?: 0 | 1; retain?: boolean } = {}): Publication {
  return Publication.create({ topic, payload: Buffer.from('x'), qos: 0, retain: false, ...fields });
}

const bit = (...workers: number[]): number => workers.reduce((mask, worker) => mask | (1 << worker), 0);

describe('a barrier', () => {
  test('is passed at once where there is no other worker', () => {
    let passed = false;
    new Cluster().barrier([['a', 1]], () => {
      passed = true;
    });
    assert.ok(passed);
  });

  test('tells every worker of the changes, and waits for each', () => {
    const { cluster, links } = clusterOf(1, 2, 31);
    let passed = 0;
    cluster.barrier([['a', 1]], () => {
      passed += 1;
    });
    for (const { port } of links.values()) {
      assert.deepEqual(port.take(), [{ kind: 'interest', sequence: 1, changes: [['a', 1]], isAll: false }]);
    }
    for (const worker of [2, 31]) cluster.confirmed(worker, 1);
    assert.equal(passed, 0);
    cluster.confirmed(1, 1);
    assert.equal(passed, 1);
  });

  test('without changes waits for those before it all the same', () => {
    const { cluster } = clusterOf(1);
    const passed: string[] = [];
    cluster.barrier([['a', 1]], () => passed.push('first'));
    cluster.barrier([], () => passed.push('second'));
    assert.deepEqual(passed, []);
    cluster.confirmed(1, 2); // a confirmation holds for all before it
    assert.deepEqual(passed, ['first', 'second']);
  });

  test('does not wait for a worker that dies meanwhile', () => {
    const { cluster } = clusterOf(1, 2);
    const passed: number[] = [];
    cluster.barrier([], () => passed.push(1));
    cluster.barrier([], () => passed.push(2));
    cluster.confirmed(1, 1);
    cluster.hold(2);
    assert.deepEqual(passed, [1]);
    cluster.hold(1);
    assert.deepEqual(passed, [1, 2]);
    cluster.barrier([], () => passed.push(3));
    assert.deepEqual(passed, [1, 2, 3]);
  });

  test('does not wait for a worker that came after it, but the next one does', () => {
    const { cluster } = clusterOf(1);
    const passed: number[] = [];
    cluster.barrier([], () => passed.push(1));
    cluster.add(testLink(2).link);
    cluster.barrier([], () => passed.push(2));
    cluster.confirmed(1, 2);
    assert.deepEqual(passed, [1]);
    cluster.confirmed(2, 2);
    assert.deepEqual(passed, [1, 2]);
  });

  test('may be followed by another from within', () => {
    const { cluster } = clusterOf(1);
    const passed: number[] = [];
    cluster.barrier([], () => {
      passed.push(1);
      cluster.barrier([], () => passed.push(2));
    });
    cluster.confirmed(1, 1);
    assert.deepEqual(passed, [1]);
    cluster.confirmed(1, 2);
    assert.deepEqual(passed, [1, 2]);
  });

  test('costs the same however many are open', () => {
    assertGrowsLinearly(5000, (count) => {
      const { cluster } = clusterOf(1, 2);
      let passed = 0;
      for (let i = 0; i < count; i += 1) cluster.barrier([], () => (passed += 1));
      return () => {
        for (let sequence = 1; sequence <= count; sequence += 1) cluster.confirmed(1, sequence);
        for (let sequence = 1; sequence <= count; sequence += 1) cluster.confirmed(2, sequence);
        assert.equal(passed, count);
      };
    });
  });

  test('each is passed once, in order, when all that live have confirmed it', () => {
    const worker = fc.integer({ min: 1, max: 4 });
    const step = fc.oneof(
      fc.record({ kind: fc.constant('barrier' as const), worker }),
      fc.record({ kind: fc.constant('confirm' as const), worker }),
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('die' as const), worker }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('begin' as const), worker }) },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
        const { cluster, links } = clusterOf(1, 2, 3);
        const passed: number[] = [];
        /** Who has not confirmed each barrier. */
        const missing: Set<number>[] = [];
        /** The barriers that were told to anyone, by their sequence. */
        const told: Set<number>[] = [];
        for (const { kind, worker } of steps) {
          if (kind === 'barrier') {
            const number = missing.length;
            missing.push(new Set(links.keys()));
            if (links.size > 0) told.push(missing[number]!);
            cluster.barrier([], () => passed.push(number));
          } else if (kind === 'confirm') {
            const interest = links.get(worker)?.port.posted.shift();
            if (interest?.kind !== 'interest') continue;
            cluster.confirmed(worker, interest.sequence);
            told[interest.sequence - 1]!.delete(worker);
          } else if (kind === 'die') {
            if (!links.delete(worker)) continue;
            cluster.hold(worker);
            for (const workers of missing) workers.delete(worker);
          } else if (!links.has(worker)) {
            links.set(worker, testLink(worker));
            cluster.add(links.get(worker)!.link);
          }
          const open = missing.findIndex((workers) => workers.size > 0);
          const expected = Array.from({ length: open < 0 ? missing.length : open }, (_, i) => i);
          assert.deepEqual(passed, expected);
        }
      }),
    );
  });
});

describe('forwarding', () => {
  function topicsAt(links: Map<number, TestLink>): Record<number, string[]> {
    return Object.fromEntries(
      [...links].map(([worker, { port, flush }]) => {
        flush();
        return [worker, port.takeTopics()];
      }),
    );
  }

  test('goes to the workers of the mask that are there', () => {
    const { cluster, links } = clusterOf(1, 2, 31);
    assert.equal(cluster.forward(publication('t'), bit(1, 5, 31)), 0);
    assert.deepEqual(topicsAt(links), { 1: ['t'], 2: [], 31: ['t'] });
  });

  test('of what is retained below $SYS goes to every worker, to be kept', () => {
    const { cluster, links } = clusterOf(1, 2);
    cluster.forward(publication('$SYS/t', { retain: true }), bit(1));
    cluster.forward(publication('stored', { retain: true }), bit(1));
    assert.deepEqual(topicsAt(links), { 1: ['$SYS/t', 'stored'], 2: ['$SYS/t'] });
  });

  test('drops and counts QoS 0 for a congested link, and nothing else', () => {
    const { cluster, links } = clusterOf(1, 2);
    congest(links.get(1)!);
    links.get(1)!.port.take();
    assert.equal(cluster.forward(publication('q0'), bit(1, 2)), 1);
    assert.equal(cluster.forward(publication('q1', { qos: 1 }), bit(1, 2)), 0);
    assert.equal(cluster.forward(publication('$SYS/t', { retain: true }), bit(1, 2)), 0);
    assert.deepEqual(topicsAt(links), { 1: ['q1', '$SYS/t'], 2: ['q0', 'q1', '$SYS/t'] });
  });

  test('to a shared group drops and counts QoS 0 alike', () => {
    const { cluster, links } = clusterOf(1);
    congest(links.get(1)!);
    links.get(1)!.port.take();
    assert.equal(cluster.forwardToGroup(publication('q0'), 1, '$share/g/#'), 1);
    assert.equal(cluster.forwardToGroup(publication('q1', { qos: 1 }), 1, '$share/g/#'), 0);
    assert.deepEqual(topicsAt(links), { 1: ['q1'] });
  });

  test('knows which masks are congested', () => {
    const { cluster, links } = clusterOf(1, 31);
    congest(links.get(31)!);
    assert.deepEqual(
      [bit(1), bit(31), bit(1, 31), bit(2), 0, -1].map((mask) => cluster.congested(mask)),
      [false, true, true, false, false, true],
    );
    relieve(links.get(31)!);
    assert.equal(cluster.congested(-1), false);
    cluster.hold(1);
    assert.deepEqual([cluster.congested(bit(1)), cluster.congested(bit(31))], [true, false]);
  });
});
