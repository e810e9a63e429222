/** The commands of dynamic security beside the recorded answers of Mosquitto 2.1.2; and whom they disconnect. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { COMMAND_NAMES, executeCommand, Outcome } from '../../../../src/auth/dynamic-security/commands.js';
import { commandsIn, isCommand, responseTo } from '../../../../src/auth/dynamic-security/control-request.js';
import type { DynamicSecurityState } from '../../../../src/auth/dynamic-security/state.js';
import { formatStateFile, parseStateFile } from '../../../../src/auth/dynamic-security/state-file.js';
import { projectFolder } from '../../../support/project.js';

const fixtures = join(projectFolder, 'test', 'fixtures', 'dynamic-security');
const firstText = readFileSync(join(fixtures, 'first.json'), 'utf8');

function firstState(): DynamicSecurityState {
  const parsed = parseStateFile('first.json', firstText);
  assert.ok(parsed.ok);
  return parsed.state;
}

async function ask(
  state: DynamicSecurityState,
  payload: string,
): Promise<{ answer: string; outcome: Outcome }> {
  const outcome = new Outcome();
  const addressesOf = async () => new Map([['admin', ['127.0.0.1']]]);
  const responses: unknown[] = [];
  for (const entry of commandsIn(Buffer.from(payload), COMMAND_NAMES)) {
    const commanding = { state, outcome, addressesOf };
    responses.push(isCommand(entry) ? responseTo(entry, await executeCommand(entry, commanding)) : entry);
  }
  return { answer: JSON.stringify({ responses }), outcome };
}

const request = (command: string, fields: object = {}): string =>
  JSON.stringify({ commands: [{ command, ...fields }] });

test('each request is answered as by Mosquitto 2.1.2, and what it says is stored', async () => {
  const text = readFileSync(join(fixtures, 'requests.json'), 'utf8');
  const requests = JSON.parse(text) as { request: string; answer: string }[];
  assert.ok(requests.length >= 200);
  const state = firstState();
  for (const { request: payload, answer } of requests) {
    assert.equal((await ask(state, payload)).answer, answer, payload);
  }
  const again = parseStateFile('again.json', formatStateFile(state));
  assert.ok(again.ok);
  assert.deepEqual(
    again.warnings.map(({ message }) => message),
    [],
  );
  assert.deepEqual(again.state, state);
});

/** Client `u` has role `own`, its group `g` has role `theirs`. */
async function peopled(): Promise<DynamicSecurityState> {
  const state = firstState();
  for (const rolename of ['own', 'theirs', 'unused']) await ask(state, request('createRole', { rolename }));
  await ask(state, request('createGroup', { groupname: 'g', roles: [{ rolename: 'theirs' }] }));
  await ask(state, request('createClient', { username: 'v' }));
  const u = { username: 'u', roles: [{ rolename: 'own' }], groups: [{ groupname: 'g' }] };
  await ask(state, request('createClient', u));
  return state;
}

const acl = { acltype: 'subscribeLiteral', topic: 'x' };

const kicks: [command: string, fields: object, kicked: string[], anonymous?: boolean][] = [
  ['createClient', { username: 'w' }, []],
  ['enableClient', { username: 'u' }, []],
  ['disableClient', { username: 'u' }, ['u']],
  ['deleteClient', { username: 'u' }, ['u']],
  ['deleteClient', { username: 'nobody' }, []],
  ['setClientId', { username: 'u' }, ['u']],
  ['setClientPassword', { username: 'u', password: 'p' }, ['u']],
  ['modifyClient', { username: 'u' }, ['u']],
  ['addClientRole', { username: 'u', rolename: 'unused' }, ['u']],
  ['removeClientRole', { username: 'u', rolename: 'unused' }, ['u']],
  ['addGroupClient', { username: 'v', groupname: 'g' }, ['v']],
  ['removeGroupClient', { username: 'v', groupname: 'g' }, ['v']],
  ['addGroupRole', { groupname: 'g', rolename: 'unused' }, ['u']],
  ['removeGroupRole', { groupname: 'g', rolename: 'unused' }, ['u']],
  ['addGroupRole', { groupname: 'unauthenticated', rolename: 'unused' }, [], true],
  ['modifyGroup', { groupname: 'g', clients: [{ username: 'v' }] }, ['u', 'v']],
  ['deleteGroup', { groupname: 'g' }, ['u']],
  ['setAnonymousGroup', { groupname: 'unauthenticated' }, [], true],
  ['modifyRole', { rolename: 'own' }, []],
  ['modifyRole', { rolename: 'own', acls: [] }, ['u']],
  ['addRoleACL', { rolename: 'theirs', ...acl }, ['u']],
  ['removeRoleACL', { rolename: 'theirs', ...acl }, []], // there is none
  ['deleteRole', { rolename: 'theirs' }, ['u']],
  ['deleteRole', { rolename: 'unused' }, []],
  ['setDefaultACLAccess', { acls: [{ acltype: 'subscribe', allow: true }] }, []],
  ['listClients', {}, []],
];

test('those are disconnected whose rights a command may change', async () => {
  for (const [command, fields, kicked, anonymous = false] of kicks) {
    const state = await peopled();
    const { outcome } = await ask(state, request(command, fields));
    assert.deepEqual([...outcome.kicked].sort(), kicked, `${command} ${JSON.stringify(fields)}`);
    assert.equal(outcome.kicksAnonymous, anonymous, command);
  }
});

test('a role that is deleted is gone from clients and groups however they came to it', async () => {
  const state = await peopled();
  await ask(state, request('deleteRole', { rolename: 'own' }));
  await ask(state, request('deleteRole', { rolename: 'theirs' }));
  assert.deepEqual([...state.clients.get('u')!.roles], []);
  assert.deepEqual([...state.groups.get('g')!.roles], []);
});

test('the same group twice creates no client, and leaves no member', async () => {
  const state = await peopled();
  const groups = [{ groupname: 'g' }, { groupname: 'g' }];
  const { answer, outcome } = await ask(state, request('createClient', { username: 'w', groups }));
  assert.equal(answer, '{"responses":[{"command":"createClient","error":"Internal error"}]}');
  assert.equal(outcome.hasChanged, false);
  assert.deepEqual([...state.groups.get('g')!.members], ['u']);
});

test('passwords do not come into the log', async () => {
  const state = firstState();
  const { outcome } = await ask(
    state,
    JSON.stringify({
      commands: [
        { command: 'createClient', username: 'a', password: 'secret' },
        { command: 'createClient', username: 'b' },
        { command: 'setClientPassword', username: 'b', password: 'secret' },
      ],
    }),
  );
  assert.deepEqual(outcome.lines, [
    'createClient | username=a | password=*****',
    'createClient | username=b | password=no password',
    'setClientPassword | username=b | password=******',
  ]);
});
