/** The decision of `acl_file`: a table with both outcomes for each rule of it, then random files against an oracle. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { type AclRequest, compileAcl } from '../../../src/auth/acl-check.js';
import { type AclRule, parseAclFile } from '../../../src/auth/acl-file.js';

function rulesOf(text: string): AclRule[] {
  const result = parseAclFile('acl', text);
  if (!result.ok) assert.fail(JSON.stringify(result.errors));
  return result.rules;
}

const ANYBODY = undefined;
const YES = true;
const NO = false;

type Question = [
  user: string | undefined,
  clientId: string,
  request: AclRequest,
  topic: string,
  allowed: boolean,
];

const table: { what: string; acl: string | null; questions: Question[] }[] = [
  {
    what: 'without acl_file everything but the system topics is allowed',
    acl: null,
    questions: [
      [ANYBODY, 'c', 'write', 'a/b', YES],
      ['u', 'c', 'read', '$other/x', YES],
      ['u', 'c+', 'write', 'a', YES],
      ['u', 'c', 'read', '$SYS/broker/uptime', YES],
      ['u', 'c', 'write', '$SYS/broker/uptime', NO],
      ['u', 'c', 'write', '$SYS', NO],
      ['u', 'c', 'write', '$SYSTEM', NO],
      ['u', 'c', 'write', '$SYS/broker/connection/b/state', YES],
      ['u', 'c', 'write', '$SYS/broker/connection//state', YES],
      ['u', 'c', 'write', '$SYS/broker/connection/b/c/state', NO],
      ['u', 'c', 'write', '$SYS/broker/connection/b/state/x', NO],
      ['u', 'c', 'read', '$share/g/a', NO],
      ['u', 'c', 'write', '$share', NO],
      ['u', 'c', 'write', '$shareX/a', NO],
    ],
  },
  {
    what: 'an empty acl_file allows nothing',
    acl: '',
    questions: [
      [ANYBODY, 'c', 'read', 'a', NO],
      ['u', 'c', 'write', 'a', NO],
    ],
  },
  {
    what: 'no rule lifts the guard of the system topics',
    acl: 'topic #\ntopic $SYS/#\ntopic $share/#\ntopic $other/#\n',
    questions: [
      [ANYBODY, 'c', 'read', '$SYS/x', YES],
      [ANYBODY, 'c', 'write', '$SYS/x', NO],
      [ANYBODY, 'c', 'write', '$SYS/broker/connection/b/state', YES],
      [ANYBODY, 'c', 'read', '$share/a', NO],
      [ANYBODY, 'c', 'write', '$other/a', YES],
      [ANYBODY, 'c', 'write', '$another/a', NO],
    ],
  },
  {
    what: 'the connection state of a bridge needs a rule all the same',
    acl: 'topic #\n',
    questions: [[ANYBODY, 'c', 'write', '$SYS/broker/connection/b/state', NO]],
  },
  {
    what: 'each access grants what it says',
    acl: 'topic read r\ntopic write w\ntopic readwrite rw\ntopic b\n',
    questions: [
      [ANYBODY, 'c', 'read', 'r', YES],
      [ANYBODY, 'c', 'write', 'r', NO],
      [ANYBODY, 'c', 'read', 'w', NO],
      [ANYBODY, 'c', 'write', 'w', YES],
      [ANYBODY, 'c', 'read', 'rw', YES],
      [ANYBODY, 'c', 'write', 'rw', YES],
      [ANYBODY, 'c', 'read', 'b', YES],
      [ANYBODY, 'c', 'write', 'b', YES],
    ],
  },
  {
    what: 'filters match as in a subscription',
    acl: 'topic a/#\ntopic +/x/+\ntopic /y\n',
    questions: [
      [ANYBODY, 'c', 'read', 'a', YES],
      [ANYBODY, 'c', 'read', 'a/', YES],
      [ANYBODY, 'c', 'read', 'a/b/c', YES],
      [ANYBODY, 'c', 'read', 'ab', NO],
      [ANYBODY, 'c', 'read', 'q/x/q', YES],
      [ANYBODY, 'c', 'read', '/x/', YES],
      [ANYBODY, 'c', 'read', 'q/x', NO],
      [ANYBODY, 'c', 'read', 'q/x/q/q', NO],
      [ANYBODY, 'c', 'read', '$q/x/q', NO],
      [ANYBODY, 'c', 'read', '/y', YES],
      [ANYBODY, 'c', 'read', 'y', NO],
    ],
  },
  {
    what: 'users have their own rules and inherit none',
    acl: 'topic pub\nuser bob\ntopic home\nuser Bob\ntopic other\nuser bob\ntopic late\n',
    questions: [
      [ANYBODY, 'c', 'read', 'pub', YES],
      ['bob', 'c', 'read', 'pub', NO],
      ['bob', 'c', 'read', 'home', YES],
      ['bob', 'c', 'read', 'late', YES],
      ['bob', 'c', 'read', 'other', NO],
      ['Bob', 'c', 'read', 'other', YES],
      [ANYBODY, 'c', 'read', 'home', NO],
      ['eve', 'c', 'read', 'pub', NO],
      ['', 'c', 'read', 'pub', NO],
    ],
  },
  {
    what: 'deny comes first, wherever it stands',
    acl: 'user bob\ntopic home/#\ntopic deny home/secret\n',
    questions: [
      ['bob', 'c', 'read', 'home/x', YES],
      ['bob', 'c', 'read', 'home/secret', NO],
      ['bob', 'c', 'write', 'home/secret', NO],
    ],
  },
  {
    what: 'a rule that grants something else does not decide',
    acl: 'topic read a\ntopic write a\ntopic read b\npattern write +\n',
    questions: [
      [ANYBODY, 'c', 'write', 'a', YES],
      [ANYBODY, 'c', 'write', 'b', YES],
      [ANYBODY, 'c', 'read', 'b', YES],
      [ANYBODY, 'c', 'read', 'c', NO],
    ],
  },
  {
    what: 'patterns are for everybody',
    acl: 'user bob\npattern read c/%c\npattern write u/%u/#\n',
    questions: [
      [ANYBODY, 'one', 'read', 'c/one', YES],
      [ANYBODY, 'one', 'read', 'c/two', NO],
      [ANYBODY, 'one', 'write', 'u/one', NO],
      [ANYBODY, '', 'write', 'u/', NO],
      [ANYBODY, '%u', 'write', 'u/%u', NO],
      ['eve', 'one', 'write', 'u/eve', YES],
      ['eve', 'one', 'write', 'u/eve/x/y', YES],
      ['eve', 'one', 'write', 'u/one', NO],
      ['bob', 'one', 'read', 'c/one', YES],
      ['bob', 'one', 'write', 'c/one', NO],
    ],
  },
  {
    what: 'marks inside a level, and both in one filter',
    acl: 'pattern write dev-%c/%u\n',
    questions: [
      ['u', 'one', 'write', 'dev-one/u', YES],
      ['u', 'one', 'write', 'dev-two/u', NO],
      ['u', 'one', 'write', 'dev-%c/u', NO],
      [ANYBODY, 'one', 'write', 'dev-one/', NO],
    ],
  },
  {
    what: 'a mark in a filled-in name is not filled in again',
    acl: 'pattern write %c\n',
    questions: [
      ['u', '%u', 'write', '%u', YES],
      ['u', '%u', 'write', 'u', NO],
      ['u', '$&', 'write', '$&', NO],
      ['u', 'a$&b', 'write', 'a$&b', YES],
    ],
  },
  {
    what: "the user's rules are asked before the patterns",
    acl: 'user bob\ntopic write s/bob/x\ntopic deny s/bob/y\nuser eve\npattern deny s/%u/x\npattern write s/%u/+\n',
    questions: [
      ['bob', 'c', 'write', 's/bob/x', YES],
      ['bob', 'c', 'read', 's/bob/x', NO],
      ['bob', 'c', 'write', 's/bob/y', NO],
      ['bob', 'c', 'write', 's/bob/z', YES],
      ['eve', 'c', 'write', 's/eve/x', NO],
      ['eve', 'c', 'write', 's/eve/y', YES],
    ],
  },
  {
    what: 'wildcards in a client id or username open nothing, not even a plain pattern',
    acl: 'topic write own\nuser +\ntopic write mine\npattern write s/%c/d\npattern write plain\n',
    questions: [
      [ANYBODY, '+', 'write', 's/x/d', NO],
      [ANYBODY, '#', 'write', 's/#/d', NO],
      [ANYBODY, 'a+', 'write', 'plain', NO],
      [ANYBODY, 'a#', 'write', 'own', YES],
      ['+', 'c', 'write', 's/c/d', NO],
      ['+', 'c', 'write', 'mine', YES],
      ['x#', 'c', 'write', 'plain', NO],
      ['x', 'c', 'write', 'plain', YES],
    ],
  },
  {
    what: 'a slash in a client id or username reaches no other level',
    acl: 'pattern write s/%c/#\npattern write u/%u/#\npattern write plain\n',
    questions: [
      [ANYBODY, 'bob/private', 'write', 's/bob/private', NO],
      [ANYBODY, 'bob/private', 'write', 's/bob/private/x', NO],
      [ANYBODY, 'bob', 'write', 's/bob/private/x', YES],
      ['bob/private', 'c', 'write', 'u/bob/private/x', NO],
      ['bob/private', 'c', 'write', 'plain', YES],
    ],
  },
  {
    what: 'a slash does not escape a denial either',
    acl: 'pattern deny s/%c/#\npattern deny u/%u\npattern write #\n',
    questions: [
      [ANYBODY, 'a/b', 'write', 's/a/b/x', NO],
      [ANYBODY, 'a/b', 'write', 's/a/c', YES],
      ['a/b', 'c', 'write', 'u/a/b', NO],
      ['a/b', 'c', 'write', 'u/a/c', YES],
    ],
  },
  {
    what: 'a client id that begins with $ does not open system topics',
    acl: 'pattern %c/#\npattern $x/%c\npattern $y/#\npattern deny %c/no\n',
    questions: [
      [ANYBODY, '$SYS', 'read', '$SYS/broker/uptime', NO],
      [ANYBODY, '$foo', 'write', '$foo/x', NO],
      [ANYBODY, 'foo', 'write', 'foo/x', YES],
      [ANYBODY, 'foo', 'write', '$x/foo', YES],
      [ANYBODY, '$y', 'write', '$y/yes', YES],
      [ANYBODY, '$y', 'write', '$y/no', NO],
    ],
  },
];

describe('decisions', () => {
  for (const { what, acl, questions } of table) {
    test(what, () => {
      const checker = compileAcl(acl === null ? null : rulesOf(acl));
      for (const [user, clientId, request, topic, allowed] of questions) {
        const client = checker.forClient(user, clientId);
        const asked = () => (request === 'read' ? client.canRead(topic) : client.canWrite(topic));
        const text = `${user} ${clientId} ${request} ${topic}`;
        assert.equal(asked(), allowed, text);
        assert.equal(asked(), allowed, `${text}, asked again`);
        assert.equal(checker.check(user, clientId, topic, request).allowed, allowed, `${text}, explained`);
      }
    });
  }
});

test('the deciding line is named', () => {
  const checker = compileAcl(
    rulesOf(
      'topic read a\ntopic a\ntopic deny b\ntopic deny +\npattern deny p/%c\npattern p/#\npattern write p/%c\n',
    ),
  );
  const cases: [request: AclRequest, topic: string, clientId: string, line: number | null][] = [
    ['read', 'q', 'c', 4],
    ['read', 'b', 'c', 4],
    ['read', 'p/x', 'c', 6],
    ['write', 'p/x', 'c', 6],
    ['write', 'p/c', 'c', 5],
    ['write', 'p/x', 'c+', null],
    ['write', 'x/y', 'c', null],
    ['write', '$SYS/y', 'c', null],
  ];
  for (const [request, topic, clientId, line] of cases) {
    const { rule } = checker.check(undefined, clientId, topic, request);
    assert.equal(rule?.line ?? null, line, `${request} ${topic}`);
  }
  const plain = compileAcl(rulesOf('topic read a\ntopic readwrite a\ntopic read b\n'));
  assert.equal(plain.check(undefined, 'c', 'a', 'read').rule?.line, 1, 'the first that grants');
  assert.equal(plain.check(undefined, 'c', 'a', 'write').rule?.line, 2);
  assert.equal(plain.check(undefined, 'c', 'a', 'read').why, 'acl:1 "topic read a"');
  assert.equal(plain.check(undefined, 'c', 'b', 'write').why, 'no rule grants it');
  assert.equal(compileAcl(null).check(undefined, 'c', 'a', 'read').why, 'no acl_file applies');
  assert.equal(
    checker.check(undefined, 'c+', 'p/x', 'read').why,
    'ACL denying access to client with dangerous client id "c+"',
  );
  assert.equal(
    checker.check('#', 'c', 'p/x', 'read').why,
    'ACL denying access to client with dangerous username "#"',
  );
  assert.equal(checker.check('#', 'c', '$SYS/x', 'write').why, 'clients may not write $SYS topics');
});

test('clients of a user share their rights where no pattern tells them apart', () => {
  const plain = compileAcl(rulesOf('user bob\ntopic a\n'));
  assert.equal(plain.forClient('bob', 'one'), plain.forClient('bob', 'two'));
  assert.equal(plain.forClient('eve', 'one'), plain.forClient('mallory', 'two'));
  const patterns = compileAcl(rulesOf('user bob\ntopic a\npattern %c\n'));
  assert.notEqual(patterns.forClient('bob', 'one'), patterns.forClient('bob', 'two'));
});

test('what is remembered stays right when more topics come than fit', () => {
  const client = compileAcl(rulesOf('topic read even/+\npattern write %c/+\n')).forClient(undefined, 'c');
  for (let round = 0; round < 2; round += 1) {
    for (let i = 0; i < 1000; i += 1) {
      assert.equal(client.canRead(`even/${i}`), true);
      assert.equal(client.canWrite(`even/${i}`), false);
      assert.equal(client.canWrite(`c/${i}`), true);
      assert.equal(client.canWrite(`d/${'x'.repeat(i)}`), false);
    }
  }
});

/**
 * The steps of the decision one by one, rule by rule, without any structure: what the compiled form is measured by.
 * A `/` or a leading `$` in a name opens nothing, but does not escape a denial.
 */
function oracle(
  rules: AclRule[],
  user: string | undefined,
  clientId: string,
  topic: string,
  request: AclRequest,
): boolean {
  if (topic.startsWith('$share')) return false;
  const isBridgeState = /^\$SYS\/broker\/connection\/[^/]*\/state$/.test(topic);
  if (topic.startsWith('$SYS') && request === 'write' && !isBridgeState) return false;

  const own = rules.filter(({ scope }) =>
    user === undefined ? scope.kind === 'anonymous' : scope.kind === 'user' && scope.username === user,
  );
  const decided = walk(own, request, ({ filter }) => filterMatches(filter, topic));
  if (decided !== null) return decided;

  const patterns = rules.filter(({ scope }) => scope.kind === 'pattern');
  if (patterns.length === 0) return false;
  if (/[+#]/.test(`${user ?? ''}${clientId}`)) return false;
  const common = walk(patterns, request, ({ filter, access }) => {
    if (user === undefined && filter.includes('%u')) return false;
    const filled = (text: string) => text.replace(/%c|%u/g, (mark) => (mark === '%c' ? clientId : user!));
    if (access === 'deny' && filterMatches(filled(filter), topic)) return true;
    return (
      levelsMatch(filter.split('/'), topic.split('/'), filled) &&
      filter.startsWith('$') === topic.startsWith('$')
    );
  });
  return common ?? false;
}

function walk(rules: AclRule[], request: AclRequest, matches: (rule: AclRule) => boolean): boolean | null {
  const denials = rules.filter(({ access }) => access === 'deny');
  const others = rules.filter(({ access }) => access !== 'deny');
  for (const rule of [...denials, ...others]) {
    if (!matches(rule)) continue;
    if (rule.access === 'deny') return false;
    if (rule.access === 'readwrite' || rule.access === request) return true;
  }
  return null;
}

function filterMatches(filter: string, topic: string): boolean {
  if (filter.startsWith('$') !== topic.startsWith('$')) return false;
  return levelsMatch(filter.split('/'), topic.split('/'), (level) => level);
}

function levelsMatch(filter: string[], topic: string[], fill: (level: string) => string): boolean {
  if (filter[0] === '#') return true;
  if (filter.length === 0 || topic.length === 0) return filter.length === topic.length;
  if (filter[0] !== '+' && fill(filter[0]!) !== topic[0]) return false;
  return levelsMatch(filter.slice(1), topic.slice(1), fill);
}

test('random files decide as the oracle does', () => {
  // Few words, so that filters, topics, users and client ids often meet.
  const word = fc.constantFrom('a', 'a', 'a', 'b', 'b', 'b', '', '$SYS', '$x');
  const name = fc.constantFrom('a', 'a', 'a', 'b', 'b', 'b', 'a/b', '+', '$SYS', '$x', 'a#', '%u', '');
  const level = fc.oneof(
    { weight: 1, arbitrary: word },
    { weight: 1, arbitrary: fc.constantFrom('+', '%c', '%u', 'a%c') },
  );
  const filter = fc
    .tuple(fc.array(level, { minLength: 1, maxLength: 2 }), fc.boolean())
    .map(([levels, hash]) => (hash ? [...levels, '#'] : levels).join('/'))
    .filter((text) => text !== '');
  const access = fc.constantFrom('read', 'write', 'readwrite', 'readwrite', 'readwrite', 'readwrite', 'deny');
  const topicLine = fc.tuple(access, filter).map(([a, f]) => `topic ${a} ${f}`);
  const patternLine = fc.tuple(access, filter).map(([a, f]) => `pattern ${a} ${f}`);
  const userLine = fc.constantFrom('user a', 'user b', 'user +');
  const line = fc.oneof(
    { weight: 4, arbitrary: topicLine },
    { weight: 3, arbitrary: patternLine },
    { weight: 1, arbitrary: userLine },
  );
  const topic = fc
    .oneof(
      fc.array(word, { minLength: 1, maxLength: 3 }).map((levels) => levels.join('/')),
      fc.constant('$SYS/broker/connection/a/state'),
    )
    .filter((text) => text !== '');
  const question = fc.record({
    user: fc.option(name, { nil: undefined }),
    clientId: name,
    topic,
    request: fc.constantFrom<AclRequest>('read', 'write'),
  });
  let allowed = 0;
  let asked = 0;
  fc.assert(
    fc.property(
      fc.array(line, { minLength: 8, maxLength: 16, size: 'max' }),
      fc.array(question, { minLength: 1, maxLength: 30 }),
      (lines, questions) => {
        const rules = rulesOf(lines.join('\n'));
        const checker = compileAcl(rules);
        for (const { user, clientId, topic, request } of questions) {
          const client = checker.forClient(user, clientId);
          const expected = oracle(rules, user, clientId, topic, request);
          const message = JSON.stringify({ user, clientId, topic, request });
          assert.equal(
            request === 'read' ? client.canRead(topic) : client.canWrite(topic),
            expected,
            message,
          );
          assert.equal(client.explain(topic, request).allowed, expected, `${message} explained`);
          asked += 1;
          allowed += expected ? 1 : 0;
        }
      },
    ),
    { numRuns: 1000 },
  );
  // The property says something only if both answers are common.
  assert.ok(allowed > asked / 10 && allowed < asked * 0.9, `${allowed} of ${asked} allowed`);
});
