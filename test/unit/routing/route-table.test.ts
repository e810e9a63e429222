import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { type Interest, type Route, RouteTable } from '../../../src/routing/route-table.js';
import type { Subscription } from '../../../src/session/subscription.js';
import { parseSharedFilter, topicMatchesFilter } from '../../../src/topic/topic-filter.js';
import { durableSubscriptionTo, subscriptionTo, testSession } from '../../support/brokers/sessions.js';
import { assertGrowsLinearly } from '../../support/growth.js';
import { fewFilter, fewTopic } from '../../support/packets/topic-arbitraries.js';

const filter = fc.oneof(
  { weight: 3, arbitrary: fewFilter },
  {
    weight: 1,
    arbitrary: fc.tuple(fc.constantFrom('g', 'h'), fewFilter).map(([g, f]) => `$share/${g}/${f}`),
  },
);

const worker = fc.constantFrom(1, 2, 31);

type Change =
  | { kind: 'add'; filter: string }
  | { kind: 'remove'; which: number }
  | { kind: 'remote'; worker: number; filter: string; count: number }
  | { kind: 'forget'; worker: number };

const change: fc.Arbitrary<Change> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('add' as const), filter }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('remove' as const), which: fc.nat() }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('remote' as const), worker, filter, count: fc.nat(3) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('forget' as const), worker }) },
);

/** What is subscribed, in plain lists. */
class Model {
  readonly subscriptions: Subscription[] = [];
  /** Counts by worker, by filter. */
  readonly remote = new Map<number, Map<string, number>>();

  setRemote(worker: number, [filter, count]: Interest): void {
    const counts = this.remote.get(worker) ?? new Map();
    counts.set(filter, parseSharedFilter(filter) === undefined ? Math.min(count, 1) : count);
    this.remote.set(worker, counts);
  }

  expectRoute(route: Route, topic: string): void {
    const matching = this.subscriptions.filter((one) => matches(one.filter, topic));
    const ordinary = matching.filter((one) => !isShared(one.filter));
    assert.deepEqual(new Set(route.subscriptions), new Set(ordinary));
    assert.equal(route.subscriptions.length, ordinary.length);
    const remote = [...this.remote].filter(([, counts]) =>
      some(counts, (f) => !isShared(f) && matches(f, topic)),
    );
    assert.deepEqual(workersOf(route.remote), remote.map(([worker]) => worker).sort());
    const groups = new Map<string, string[]>();
    const member = (key: string, who: string): void => {
      if (isShared(key) && matches(key, topic)) groups.set(key, [...(groups.get(key) ?? []), who]);
    };
    for (const one of this.subscriptions) member(one.filter, 'here');
    for (const [worker, counts] of this.remote) {
      for (const [key, count] of counts) for (let i = 0; i < count; i += 1) member(key, String(worker));
    }
    assert.deepEqual(route.groups.map(({ key }) => key).sort(), [...groups.keys()].sort());
    for (const group of route.groups) {
      const turns = groups.get(group.key)!.map(() => {
        const next = group.next();
        return typeof next === 'number' ? String(next) : 'here';
      });
      assert.deepEqual(turns.sort(), groups.get(group.key)!.sort(), 'each member has one turn a round');
    }
    const reached = new Set(remote.map(([worker]) => worker));
    for (const whos of groups.values()) for (const who of whos) if (who !== 'here') reached.add(Number(who));
    assert.deepEqual(workersOf(route.workers), [...reached].sort());
  }
}

const isShared = (filter: string): boolean => parseSharedFilter(filter) !== undefined;

function matches(filter: string, topic: string): boolean {
  const shared = parseSharedFilter(filter);
  return topicMatchesFilter(topic, typeof shared === 'object' ? shared.filter : filter);
}

function some(counts: Map<string, number>, wanted: (filter: string) => boolean): boolean {
  return [...counts].some(([filter, count]) => count > 0 && wanted(filter));
}

function workersOf(mask: number): number[] {
  return Array.from({ length: 32 }, (_, bit) => bit)
    .filter((bit) => (mask & (1 << bit)) !== 0)
    .sort();
}

function routeTo(table: RouteTable, topic: string): Route {
  const bytes = Buffer.from(`..${topic}.`);
  const route = table.route(bytes, 2, bytes.length - 1);
  assert.ok(route !== null);
  assert.equal(route.topic, topic);
  return route;
}

describe('the route table', () => {
  test('routes as its subscriptions stand, whatever it remembers', () => {
    const run = fc.tuple(change, fc.array(fewTopic, { maxLength: 4, size: 'max' }));
    fc.assert(
      fc.property(fc.array(run, { maxLength: 40, size: 'max' }), (steps) => {
        const table = new RouteTable();
        const model = new Model();
        const asked = new Set<string>();
        for (const [step, topics] of steps) {
          if (step.kind === 'add') {
            const subscription = subscriptionTo(step.filter);
            model.subscriptions.push(subscription);
            table.add(subscription);
          } else if (step.kind === 'remove') {
            if (model.subscriptions.length === 0) continue;
            const [removed] = model.subscriptions.splice(step.which % model.subscriptions.length, 1);
            table.remove(removed!);
          } else if (step.kind === 'remote') {
            table.setRemote(step.worker, [step.filter, step.count]);
            model.setRemote(step.worker, [step.filter, step.count]);
          } else {
            table.replaceRemote(step.worker, []);
            model.remote.delete(step.worker);
          }
          for (const topic of topics) asked.add(topic);
          for (const topic of asked) model.expectRoute(routeTo(table, topic), topic);
          const shared = model.subscriptions.filter((one) => isShared(one.filter)).length;
          assert.equal(table.sharedSubscriptionCount, shared);
          assert.equal(table.subscriptionCount, model.subscriptions.length - shared);
        }
      }),
      { numRuns: 200 },
    );
  });

  test('of a dead worker knows what is stored for, until its successor tells what it has', () => {
    const table = new RouteTable();
    const interests: Interest[] = [
      ['both', 1, true],
      ['live', 1],
      ['$share/stored/shared', 2, true],
      ['$share/live/shared', 1],
    ];
    for (const interest of interests) {
      table.setRemote(1, interest);
      table.setRemote(2, interest);
    }
    table.forgetUnlessDurable(1);
    const masks = (topic: string) => {
      const { remote, workers, durable } = table.routeOf(topic);
      return { remote, workers, durable };
    };
    assert.deepEqual(masks('both'), { remote: 0b110, workers: 0b110, durable: 0b110 });
    assert.deepEqual(masks('live'), { remote: 0b100, workers: 0b100, durable: 0 });
    assert.deepEqual(masks('shared'), { remote: 0, workers: 0b110, durable: 0b110 });
    assert.deepEqual(
      table.routeOf('shared').groups.map(({ key, remoteMembers }) => [key, [...remoteMembers.keys()]]),
      [
        ['$share/stored/shared', [1, 2]],
        ['$share/live/shared', [2]],
      ],
    );
    table.replaceRemote(1, [['live', 1, true]]);
    assert.deepEqual(masks('both'), { remote: 0b100, workers: 0b100, durable: 0b100 });
    assert.deepEqual(masks('live'), { remote: 0b110, workers: 0b110, durable: 0b010 });
    assert.deepEqual(masks('shared'), { remote: 0, workers: 0b100, durable: 0b100 });
  });

  test('tells its changes so that another table knows what it knows', () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('add' as const), filter, durable: fc.boolean() }),
      fc.record({ kind: fc.constant('remove' as const), which: fc.nat() }),
    );
    const steps = fc.array(step, { maxLength: 40, size: 'max' });
    fc.assert(
      fc.property(steps, fc.array(fewTopic, { maxLength: 5 }), (steps, topics) => {
        const here = new RouteTable();
        const told = new RouteTable();
        const subscriptions: Subscription[] = [];
        for (const next of steps) {
          let interest: Interest | null = null;
          if (next.kind === 'add') {
            const subscription = next.durable
              ? durableSubscriptionTo(next.filter)
              : subscriptionTo(next.filter);
            subscriptions.push(subscription);
            interest = here.add(subscription);
          } else if (subscriptions.length > 0) {
            const [removed] = subscriptions.splice(next.which % subscriptions.length, 1);
            interest = here.remove(removed!);
          }
          if (interest !== null) told.setRemote(3, interest);
        }
        const startedLater = new RouteTable();
        for (const interest of here.interests()) startedLater.setRemote(3, interest);
        for (const topic of topics) {
          const { subscriptions: local, groups } = here.routeOf(topic);
          const isDurable = subscriptions.some((one) => one.durable && matches(one.filter, topic));
          for (const table of [told, startedLater]) {
            const route = table.routeOf(topic);
            assert.deepEqual(workersOf(route.remote), local.length > 0 ? [3] : []);
            assert.deepEqual(workersOf(route.durable), isDurable ? [3] : []);
            const known = route.groups.map(({ key, remoteMembers }) => [key, remoteMembers.get(3)]);
            assert.deepEqual(known.sort(), groups.map(({ key, members }) => [key, members.length]).sort());
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  test('[MQTT-3.3.2-2] has no route for what is no topic name', () => {
    const table = new RouteTable();
    table.add(subscriptionTo('#'));
    for (const bytes of ['', '+', 'a/#', 'a\0b', '\xff', `${'/'.repeat(201)}`]) {
      const buffer = Buffer.from(bytes, 'latin1');
      for (let again = 0; again < 2; again += 1) assert.equal(table.route(buffer, 0, buffer.length), null);
    }
  });

  test('gives the same object from the second time on, as long as nothing changes', () => {
    const table = new RouteTable();
    table.add(subscriptionTo('a/+'));
    const once = routeTo(table, 'a/b');
    const route = routeTo(table, 'a/b');
    assert.ok(once !== route, 'most topics that come once never come again');
    assert.ok(routeTo(table, 'a/b') === route);
    table.add(subscriptionTo('c'));
    const later = routeTo(table, 'a/b');
    assert.ok(later !== route);
    assert.ok(routeTo(table, 'a/b') === later);
  });

  test('does not remember topics so long that they would fill the memory', () => {
    const table = new RouteTable();
    const topic = 'long/'.repeat(100) + 'x'.repeat(10_000);
    table.add(subscriptionTo('long/#'));
    routeTo(table, topic);
    const route = routeTo(table, topic);
    assert.equal(route.subscriptions.length, 1);
    assert.ok(routeTo(table, topic) !== route);
  });

  test('more topics than it remembers find their way', () => {
    const table = new RouteTable();
    table.add(subscriptionTo('even/+'));
    for (let round = 0; round < 2; round += 1) {
      for (let i = 0; i < 20_000; i += 1) {
        const topic = `${i % 2 === 0 ? 'even' : 'odd'}/${i}`;
        assert.equal(routeTo(table, topic).subscriptions.length, (i + 1) % 2);
      }
    }
  });

  test('remembers a topic that comes again, though others have taken all places', () => {
    const table = new RouteTable();
    for (let i = 0; i < 50_000; i += 1) routeTo(table, `once/${i}`);
    routeTo(table, 'often');
    const route = routeTo(table, 'often');
    for (let i = 0; i < 1000; i += 1) routeTo(table, `once more/${i}`);
    assert.ok(routeTo(table, 'often') === route);
  });

  test('overlapping subscriptions come in tree order [mosq: allow_duplicate_messages]', () => {
    const table = new RouteTable();
    const inOrder = ['a/b', 'a/+', 'a/#', '+/b', '#'];
    for (const one of inOrder.toReversed()) table.add(subscriptionTo(one));
    assert.deepEqual(
      routeTo(table, 'a/b').subscriptions.map((one) => one.filter),
      inOrder,
    );
  });
});

describe('what one client can pile up costs in proportion to its number', () => {
  test('shared groups on one filter, until the last has gone', () => {
    assertGrowsLinearly(5000, (count) => () => {
      const routes = new RouteTable();
      const { session } = testSession();
      const members: Subscription[] = [];
      for (let i = 0; i < count; i += 1) members.push(subscriptionTo(`$share/${i}/a`, 0, session));
      for (const member of members) routes.add(member);
      for (const member of members) routes.remove(member);
      assert.equal(routes.sharedSubscriptionCount, 0);
      assert.deepEqual(routes.interests(), []);
    });
  });

  test('what another worker tells of as many groups, until it has died', () => {
    assertGrowsLinearly(5000, (count) => () => {
      const routes = new RouteTable();
      for (let i = 0; i < count; i += 1) routes.setRemote(1, [`$share/${i}/a`, 1]);
      for (let i = 0; i < count; i += 2) routes.setRemote(1, [`$share/${i}/a`, 0]);
      assert.equal(routes.routeOf('a').groups.length, count / 2);
      routes.replaceRemote(1, []);
      assert.equal(routes.routeOf('a').groups.length, 0);
    });
  });

  test('members of one group', () => {
    assertGrowsLinearly(2000, (count) => {
      const members: Subscription[] = [];
      for (let i = 0; i < count; i += 1) members.push(durableSubscriptionTo('$share/g/a'));
      return () => {
        const routes = new RouteTable();
        for (const member of members) routes.add(member);
        for (const member of members.toReversed()) routes.remove(member);
      };
    });
  });

  test('subscriptions to one filter, until the last has gone', () => {
    assertGrowsLinearly(5000, (count) => {
      const { session } = testSession();
      const subscriptions: Subscription[] = [];
      for (let i = 0; i < count; i += 1) subscriptions.push(subscriptionTo('a', 0, session));
      return () => {
        const routes = new RouteTable();
        for (const subscription of subscriptions) routes.add(subscription);
        for (const subscription of subscriptions.toReversed()) routes.remove(subscription);
        for (const subscription of subscriptions) routes.add(subscription);
        for (const subscription of subscriptions) routes.remove(subscription);
        assert.deepEqual(routes.interests(), []);
      };
    });
  });

  test('filters with shared groups that one topic matches', () => {
    const levels = 13;
    assertGrowsLinearly(2 ** (levels - 3), (count) => {
      const routes = new RouteTable();
      for (let i = 0; i < count; i += 1) {
        const bits = i.toString(2).padStart(levels, '0');
        const filter = [...bits].map((bit) => (bit === '1' ? 'a' : '+')).join('/');
        routes.add(subscriptionTo(`$share/g/${filter}`));
      }
      const topic = new Array(levels).fill('a').join('/');
      return () => {
        for (let attempt = 0; attempt < 20; attempt += 1) {
          routes.setRemote(1, ['changes/all/routes', attempt % 2]);
          assert.equal(routes.routeOf(topic).groups.length, count);
        }
      };
    });
  });
});

describe('a subscription takes little memory', () => {
  const count = 20_000;
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const usedBytes = (): number => {
    collect();
    return process.memoryUsage().heapUsed;
  };
  // What client and table have of it, but for the text of the filter.
  const rows: [name: string, bytesMax: number, filterOf: (i: number) => string][] = [
    ['of levels in the middle', 250, (i) => `a/${i}/b`],
    ['of one level', 250, (i) => `${i}`],
    ['below one node', 250, (i) => `x/y/${i}`],
    ['with + behind', 400, (i) => `a/${i}/+`],
    ['with # behind', 300, (i) => `${i}/#`],
    ['with + before', 300, (i) => `+/x/${i}`],
  ];
  for (const [name, bytesMax, filterOf] of rows) {
    test(name, () => {
      const { session } = testSession();
      const filters = Array.from({ length: count }, (_, i) => filterOf(i));
      const routes = new RouteTable();
      const before = usedBytes();
      for (const filter of filters) {
        const subscription = subscriptionTo(filter, 1, session);
        session.subscriptions.set(filter, subscription);
        routes.add(subscription);
      }
      const each = (usedBytes() - before) / count;
      assert.ok(each < bytesMax, `${Math.round(each)} bytes`);
      assert.equal(routes.subscriptionCount, filters.length);
    });
  }

  test('for another worker', () => {
    const routes = new RouteTable();
    const filters = Array.from({ length: count }, (_, i) => `a/${i}/b`);
    const before = usedBytes();
    for (const filter of filters) routes.setRemote(1, [filter, 1]);
    const each = (usedBytes() - before) / count;
    assert.ok(each < 200, `${Math.round(each)} bytes`);
    assert.equal(routes.routeOf('a/7/b').remote, 2);
  });
});

describe('a shared group', () => {
  const key = '$share/g/a';

  test('takes strict turns in the order in which members joined [MQTT-4.8.2-4]', () => {
    const table = new RouteTable();
    const members = [1, 2, 3].map(() => subscriptionTo(key));
    for (const member of members) table.add(member);
    const turns = Array.from({ length: 7 }, () => routeTo(table, 'a').groups[0]!.next());
    assert.deepEqual(turns, [...members, ...members, members[0]]);
  });

  test('gives members on other workers as many turns as those here', () => {
    const table = new RouteTable();
    const here = subscriptionTo(key);
    table.add(here);
    table.setRemote(2, [key, 2]);
    table.setRemote(1, [key, 1]);
    const group = routeTo(table, 'a').groups[0]!;
    const turns = Array.from({ length: 8 }, () => group.next());
    assert.deepEqual(turns, [here, 2, 2, 1, here, 2, 2, 1]);
  });

  test('takes turns of its own for what other workers send to its members here', () => {
    const table = new RouteTable();
    const members = [1, 2].map(() => subscriptionTo(key));
    for (const member of members) table.add(member);
    table.setRemote(1, [key, 5]);
    const group = table.group(key)!;
    assert.deepEqual(
      Array.from({ length: 3 }, () => group.nextLocal('a')),
      [...members, members[0]],
    );
  });

  test('is gone with its last member', () => {
    const table = new RouteTable();
    const member = subscriptionTo(key);
    table.add(member);
    const group = table.group(key)!;
    table.remove(member);
    assert.equal(table.group(key), undefined);
    assert.deepEqual([group.next(), group.nextLocal('a')], [undefined, undefined]);
    assert.deepEqual(routeTo(table, 'a').groups, []);
  });

  test('two groups on one filter each get a copy', () => {
    const table = new RouteTable();
    for (const group of ['g', 'h']) table.add(subscriptionTo(`$share/${group}/a`));
    assert.deepEqual(
      routeTo(table, 'a').groups.map((group) => group.key),
      ['$share/g/a', '$share/h/a'],
    );
  });
});
