/** The file of dynamic security: what is read, what is refused and where, how it is written. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatStateFile, parseStateFile } from '../../../../src/auth/dynamic-security/state-file.js';
import { parsePasswordHash, verifyPassword } from '../../../../src/auth/password-hash.js';

function parse(text: string): ReturnType<typeof parseStateFile> {
  return parseStateFile('f.json', text);
}

const faults: [text: string, line: number, fault: RegExp][] = [
  ['', 1, /not valid JSON: the text ends where a value has to be/],
  ['{"clients":[{"username":"u"', 1, /a comma or "}" has to be|the text ends where a comma or "}"/],
  ['{\n"clients": [\n{"username" "u"}]}', 3, /a colon has to be where "\\"" is/],
  ['[]', 1, /holds no JSON object/],
  ['{\n"roles": {}}', 1, /"roles" of .* is not a list/],
  [
    '{"clients":\n[\n{"username":"u","disabled":1}]}',
    3,
    /"clients\[0\]\.disabled" of .* is not true or false/,
  ],
  ['{"clients":[5]}', 1, /"clients\[0\]" of .* is not an object/],
  [
    '{"roles":[{"rolename":"r","acls":[{"topic":5}]}]}',
    1,
    /"roles\[0\]\.acls\[0\]\.topic" of .* is not a string/,
  ],
  ['{"defaultACLAccess":{"subscribe":"yes"}}', 1, /"defaultACLAccess.subscribe" of .* is not true or false/],
];

test('what is damaged is refused with its place', () => {
  for (const [text, line, fault] of faults) {
    const parsed = parse(text);
    assert.ok(!parsed.ok, text);
    assert.equal(parsed.errors[0]!.line, line, text);
    assert.match(parsed.errors[0]!.message, fault);
  }
});

test('what can have no effect is left out with a warning', () => {
  const parsed = parse(`{
    "clients": [{"username": "u", "roles": [{"rolename": "gone"}]}, {"username": "u"}, {}],
    "groups": [{"groupname": "g", "clients": [{"username": "nobody"}]}],
    "roles": [{"rolename": "r", "acls": [{"acltype": "nope", "topic": "x"}]}],
    "anonymousGroup": "nobody"
  }`);
  assert.ok(parsed.ok);
  assert.deepEqual(
    parsed.warnings.map(
      ({ line, message }) => `${line} ${message.replace('Warning: Dynamic security: ', '')}`,
    ),
    [
      '4 roles[0].acls[0] is left out: there is no acltype "nope".',
      '2 clients[0].roles[0] is left out: rolename "gone" is unknown.',
      '2 clients[1] is left out: another one has the username "u".',
      '2 clients[2] is left out: it has no username.',
      '3 groups[0].clients[0] is left out: username "nobody" is unknown.',
      '1 anonymousGroup: there is no group "nobody".',
    ],
  );
});

test('passwords of Mosquitto 2.0 and 2.1 are read, and written so that both read them', async () => {
  const hash = 'E86BUHKBVgh53P3w0YWhUA8UxFFfvQOK+AsdAixxvZ0MYwhKJXeQfSwHsJHMxixz6su/6/jROJNfxfS+Ns2aug==';
  const old = `"password":"${hash}","salt":"AAECAwQFBgcICQoL","iterations":101`;
  const parsed = parse(
    `{"clients":[{"username":"u","textName":"T",${old}},{"username":"v","encoded_password":"plain"}]}`,
  );
  assert.ok(parsed.ok);
  const { textname, encodedPassword } = parsed.state.clients.get('u')!;
  assert.equal(textname, 'T');
  const stored = parsePasswordHash(encodedPassword!, 'any salt');
  assert.ok(typeof stored !== 'string');
  assert.ok(await verifyPassword(stored, Buffer.from('midge-test')));
  assert.match(
    parsed.warnings[0]!.message,
    /clients\[1\] cannot log in: the password cannot be used, it is not hashed/,
  );
  const written = JSON.parse(formatStateFile(parsed.state)) as { clients: object[] };
  assert.deepEqual(written.clients, [
    {
      username: 'u',
      textname: 'T',
      roles: [],
      password: hash,
      salt: 'AAECAwQFBgcICQoL',
      iterations: 101,
      encoded_password: encodedPassword,
    },
    { username: 'v', roles: [], encoded_password: 'plain' },
  ]);
});

test('the file is laid out as Mosquitto does it', () => {
  const parsed = parse(
    '{"roles":[{"rolename":"r","acls":[{"acltype":"subscribePattern","topic":"#","allow":true}]}]}',
  );
  assert.ok(parsed.ok);
  const lines = formatStateFile(parsed.state).split('\n');
  assert.deepEqual(lines.slice(0, 4), [
    '{',
    '\t"changeIndex":\t0,',
    '\t"defaultACLAccess":\t{',
    '\t\t"publishClientSend":\tfalse,',
  ]);
  assert.deepEqual(lines.slice(-11), [
    '\t"roles":\t[{',
    '\t\t\t"rolename":\t"r",',
    '\t\t\t"allowwildcardsubs":\ttrue,',
    '\t\t\t"acls":\t[{',
    '\t\t\t\t\t"acltype":\t"subscribePattern",',
    '\t\t\t\t\t"topic":\t"#",',
    '\t\t\t\t\t"priority":\t0,',
    '\t\t\t\t\t"allow":\ttrue',
    '\t\t\t\t}]',
    '\t\t}]',
    '}',
  ]);
});
