/** `acl_file`: reading its lines. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseAclFile } from '../../../src/auth/acl-file.js';

/** The rules as short texts: scope, access, filter, line. */
function read(text: string): string[] {
  const result = parseAclFile('acl', text);
  if (!result.ok) assert.fail(JSON.stringify(result.errors));
  return result.rules.map(({ scope, access, filter, line }) => {
    const whose = scope.kind === 'user' ? `user=${scope.username}` : scope.kind;
    return `${whose} ${access} ${filter} @${line}`;
  });
}

function faults(text: string): [number, string][] {
  const result = parseAclFile('f', text);
  assert.ok(!result.ok, `${JSON.stringify(text)} is refused`);
  return result.errors.map(({ line, message }) => [line, message]);
}

describe('rules', () => {
  const cases: [what: string, text: string, rules: string[]][] = [
    ['nothing', '', []],
    ['comments and blank lines', '# c\n\n   \n\r\n', []],
    ['before the first user: anonymous', 'topic read a/b\n', ['anonymous read a/b @1']],
    ['access left out', 'topic a/b\n', ['anonymous readwrite a/b @1']],
    [
      'each access',
      'topic read a\ntopic write a\ntopic readwrite a\ntopic deny a',
      ['anonymous read a @1', 'anonymous write a @2', 'anonymous readwrite a @3', 'anonymous deny a @4'],
    ],
    [
      'a single word is always the filter',
      'topic deny\ntopic read \n',
      ['anonymous readwrite deny @1', 'anonymous readwrite read @2'],
    ],
    ['a filter with spaces needs the access', 'topic read a  b/c d\n', ['anonymous read a  b/c d @1']],
    ['a user', 'user bob\ntopic a\n', ['user=bob readwrite a @2']],
    ['a user with spaces', ' user   bob  smith \ntopic a\n', ['user=bob  smith readwrite a @2']],
    [
      'a user twice',
      'user bob\ntopic a\nuser eve\ntopic b\nuser bob\ntopic c\n',
      ['user=bob readwrite a @2', 'user=eve readwrite b @4', 'user=bob readwrite c @6'],
    ],
    [
      'a pattern belongs to nobody, and the user goes on after it',
      'user bob\npattern read %u/#\ntopic a\n',
      ['pattern read %u/# @2', 'user=bob readwrite a @3'],
    ],
    ['spaces', '   topic    write     a/#   \n', ['anonymous write a/# @1']],
    ['a tab at the end', 'topic a\t\n', ['anonymous readwrite a @1']],
    ['line ends of Windows', 'user bob\r\ntopic a\r\n', ['user=bob readwrite a @2']],
    ['no line end', 'topic write $SYS/#', ['anonymous write $SYS/# @1']],
    ['in a topic line %c is nothing special', 'topic a/%c\n', ['anonymous readwrite a/%c @1']],
  ];
  for (const [what, text, rules] of cases) test(what, () => assert.deepEqual(read(text), rules));

  test('a rule keeps its line as written', () => {
    const result = parseAclFile('acl', '  topic  read   a \n');
    assert.ok(result.ok);
    assert.equal(result.rules[0]!.text, 'topic  read   a');
    assert.equal(result.rules[0]!.file, 'acl');
  });
});

describe('faults', () => {
  const cases: [text: string, message: string][] = [
    ['topic\n', 'Error: Empty topic in acl_file "f".'],
    ['topic   \n', 'Error: Empty topic in acl_file "f".'],
    ['pattern\n', 'Error: Empty topic in acl_file "f".'],
    ['user\n', 'Error: Missing username in acl_file "f".'],
    ['user  \n', 'Error: Missing username in acl_file "f".'],
    ['topic foo a\n', 'Error: Invalid topic access type "foo" in acl_file "f".'],
    ['topic READ a\n', 'Error: Invalid topic access type "READ" in acl_file "f".'],
    ['pattern foo %c\n', 'Error: Invalid topic access type "foo" in acl_file "f".'],
    ['topic a#\n', 'Error: Invalid ACL topic "a#" in acl_file "f".'],
    ['topic read a/#/b\n', 'Error: Invalid ACL topic "a/#/b" in acl_file "f".'],
    ['topic read a/+b\n', 'Error: Invalid ACL topic "a/+b" in acl_file "f".'],
    ['pattern read %c#\n', 'Error: Invalid ACL topic "%c#" in acl_file "f".'],
    ['topic write a  # why\n', 'Error: Invalid ACL topic "a  # why" in acl_file "f".'],
    ['topic a\0b\n', 'Error: Invalid ACL topic "a\0b" in acl_file "f".'],
    [`topic ${'/'.repeat(201)}\n`, `Error: Invalid ACL topic "${'/'.repeat(201)}" in acl_file "f".`],
    ['Topic read a\n', 'Error: Invalid line in acl_file "f": Topic.'],
    ['topics read a\n', 'Error: Invalid line in acl_file "f": topics.'],
    ['foo bar\n', 'Error: Invalid line in acl_file "f": foo.'],
    [' # not a comment\n', 'Error: Invalid line in acl_file "f": #.'],
    ['\ttopic read a\n', 'Error: Invalid line in acl_file "f": \ttopic.'],
    ['topic\tread a\n', 'Error: Invalid line in acl_file "f": topic\tread.'],
  ];
  for (const [text, message] of cases) {
    test(JSON.stringify(text.slice(0, 40)), () => assert.deepEqual(faults(text), [[1, message]]));
  }

  test('all of them are told', () => {
    const text = 'topic a\nfoo\n# c\ntopic x y z\nuser bob\ntopic a/#/b\n';
    assert.deepEqual(
      faults(text).map(([line]) => line),
      [2, 4, 6],
    );
  });
});

describe('warnings', () => {
  test('a pattern in which nothing is filled in', () => {
    const result = parseAclFile('f', 'pattern read a\npattern read %c\npattern read x/%u/#\ntopic read a\n');
    assert.ok(result.ok);
    assert.deepEqual(
      result.warnings.map(({ line, message }) => [line, message]),
      [[1, "Warning: ACL pattern 'a' does not contain '%c' or '%u'."]],
    );
  });

  test('a line that was not UTF-8', () => {
    const result = parseAclFile('f', Buffer.from('topic deny caf\xe9/#', 'latin1').toString('utf8'));
    assert.ok(result.ok);
    assert.deepEqual(
      result.warnings.map(({ line }) => line),
      [1],
    );
  });
});
