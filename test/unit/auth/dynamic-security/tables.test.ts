/** The decisions of dynamic security: whose rule counts, and what a rule matches. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TopicAcl } from '../../../../src/auth/acl-check.js';
import { parseStateFile } from '../../../../src/auth/dynamic-security/state-file.js';
import { DynamicSecurityTables, wholeChange } from '../../../../src/auth/dynamic-security/tables.js';

type Rule = [acltype: string, topic: string, allow: boolean, priority?: number | undefined];

interface Given {
  roles: Record<string, Rule[]>;
  defaults?: object;
  client?: object;
  groups?: object[];
  wildcards?: Record<string, boolean>;
  anonymousGroup?: string;
}

function tablesOf({ roles, defaults = {}, client = {}, groups = [], wildcards = {}, anonymousGroup }: Given) {
  const text = JSON.stringify({
    defaultACLAccess: defaults,
    clients: [{ username: 'u', roles: Object.keys(roles).map((rolename) => ({ rolename })), ...client }],
    groups,
    anonymousGroup,
    roles: Object.entries(roles).map(([rolename, rules]) => ({
      rolename,
      allowwildcardsubs: wildcards[rolename],
      acls: rules.map(([acltype, topic, allow, priority = 0]) => ({ acltype, topic, allow, priority })),
    })),
  });
  const parsed = parseStateFile('f.json', text);
  assert.ok(parsed.ok);
  return new DynamicSecurityTables(wholeChange(parsed.state));
}

function aclOf(given: Given, clientId = 'c', username: string | null = 'u'): TopicAcl {
  return tablesOf(given).forClient(username ?? undefined, clientId, null);
}

test('defaults hold where nothing matches, but never for $CONTROL', () => {
  const closed = aclOf({ roles: {} });
  assert.deepEqual(
    [closed.canWrite('a'), closed.canRead('a'), closed.canSubscribe('a'), closed.canUnsubscribe('a')],
    [false, true, false, true],
  );
  const all = { publishClientSend: true, publishClientReceive: true, subscribe: true, unsubscribe: true };
  const open = aclOf({ roles: {}, defaults: all });
  assert.deepEqual([open.canWrite('a'), open.canSubscribe('#')], [true, true]);
  for (const topic of ['$CONTROL/x', '$CONTROLX/y']) {
    assert.deepEqual(
      [open.canWrite(topic), open.canRead(topic), open.canSubscribe(topic), open.canUnsubscribe(topic)],
      [false, false, false, false],
    );
  }
});

test('own roles come before those of groups, higher priorities first, then names', () => {
  const roles: Given['roles'] = {
    a: [['publishClientSend', 't', true]],
    b: [['publishClientSend', 't', false]],
  };
  assert.equal(aclOf({ roles }).canWrite('t'), true); // by name
  const listed = [
    { rolename: 'a', priority: 1 },
    { rolename: 'b', priority: 2 },
  ];
  assert.equal(aclOf({ roles, client: { roles: listed } }).canWrite('t'), false);
  const group = { groupname: 'g', roles: [{ rolename: 'a', priority: 99 }], clients: [{ username: 'u' }] };
  const own = [{ rolename: 'b', priority: -9 }];
  assert.equal(aclOf({ roles, client: { roles: own }, groups: [group] }).canWrite('t'), false);
  assert.equal(aclOf({ roles, client: { roles: [] }, groups: [group] }).canWrite('t'), true);
});

test('in a role the first that matches decides: by priority, then as they were added', () => {
  const send = (topic: string, allow: boolean, priority?: number): Rule => [
    'publishClientSend',
    topic,
    allow,
    priority,
  ];
  assert.equal(aclOf({ roles: { r: [send('a/#', true), send('a/b', false)] } }).canWrite('a/b'), true);
  assert.equal(aclOf({ roles: { r: [send('a/#', true), send('a/b', false, 1)] } }).canWrite('a/b'), false);
});

test('a literal subscription ACL comes before all patterns of its role', () => {
  const r: Rule[] = [
    ['subscribePattern', 'a/#', true, 99],
    ['subscribeLiteral', 'a/+', false],
  ];
  const acl = aclOf({ roles: { r } });
  assert.deepEqual([acl.canSubscribe('a/+'), acl.canSubscribe('a/b')], [false, true]);
});

const coverage: [topic: string, covered: string[], not: string[]][] = [
  ['a/#', ['a', 'a/b', 'a/+', 'a/+/#'], ['#', '+', 'b']],
  ['b/+/c', ['b/+/c', 'b/x/c'], ['b/#', 'b/x/d']],
  ['+/+', ['a/+', 'a/b', '+/+'], ['#', '+/#', 'a']],
  ['#', ['a', '#', '+/a'], ['$SYS/#', '$share/g/a', '$CONTROL/x']],
  ['$share/g/#', ['$share/g/a/+'], ['$share/h/a', 'a']],
  ['d/%c/x', ['d/c/x'], ['d/%c/x', 'd/other/x']],
  ['d/%u', ['d/u'], ['d/c']],
  ['f/x%c', ['f/x%c'], ['f/xc']],
];

test('a pattern covers a filter or does not', () => {
  for (const [topic, covered, not] of coverage) {
    const acl = aclOf({
      roles: {
        r: [
          ['subscribePattern', topic, true],
          ['unsubscribePattern', topic, false],
        ],
      },
    });
    for (const filter of covered) {
      assert.equal(acl.canSubscribe(filter), true, `${topic} covers ${filter}`);
      assert.equal(acl.canUnsubscribe(filter), false, `${topic} covers ${filter}`);
    }
    for (const filter of not)
      assert.equal(acl.canSubscribe(filter), false, `${topic} does not cover ${filter}`);
  }
});

test('%c and %u stand for whole levels, and for no name with a wildcard or a slash', () => {
  const roles: Given['roles'] = {
    r: [
      ['publishClientSend', 'd/%c/x', true],
      ['publishClientSend', 'e/%u', true],
      ['publishClientSend', 'f/x%c', true],
    ],
  };
  const acl = aclOf({ roles });
  assert.deepEqual(
    ['d/c/x', 'e/u', 'f/x%c', 'd/%c/x', 'f/xc'].map((topic) => acl.canWrite(topic)),
    [true, true, true, false, false],
  );
  assert.equal(aclOf({ roles }, 'c/x').canWrite('d/c/x'), false);
  const subscribe: Given['roles'] = { r: [['subscribePattern', 'd/%c', true]] };
  assert.equal(aclOf({ roles: subscribe }, '+').canSubscribe('d/+'), false);
  const group = { groupname: 'g', roles: [{ rolename: 'r' }] };
  const anonymous = aclOf({ roles, groups: [group], anonymousGroup: 'g' }, 'c', null);
  assert.deepEqual([anonymous.canWrite('d/c/x'), anonymous.canWrite('e/u')], [true, false]);
});

test('without allowwildcardsubs a role refuses wildcards, unless a higher role has allowed them', () => {
  const roles: Given['roles'] = {
    a: [['subscribePattern', 'x/#', true]],
    b: [
      ['subscribeLiteral', 'y/#', true],
      ['subscribePattern', 'y/#', true],
    ],
  };
  const acl = aclOf({ roles, wildcards: { b: false }, defaults: { subscribe: true } });
  assert.deepEqual(
    ['x/+', 'y/#', 'y/a', 'z/#', 'z'].map((filter) => acl.canSubscribe(filter)),
    [true, false, true, false, true],
  );
});

test('rights that are held follow a change', () => {
  const tables = tablesOf({ roles: { r: [['publishClientSend', 'a', true]] } });
  const acl = tables.forClient('u', 'c', null);
  assert.equal(acl.canWrite('a'), true);
  const defaults = {
    publishClientSend: false,
    publishClientReceive: true,
    subscribe: false,
    unsubscribe: true,
  };
  tables.update({ defaults, anonymousGroup: null, clients: [], groups: [], roles: [['r', null]] });
  assert.equal(acl.canWrite('a'), false);
  assert.match(acl.explain('a', 'write').why, /no publishClientSend ACL of its roles matches it/);
});
