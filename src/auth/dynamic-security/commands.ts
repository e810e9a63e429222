/**
 * The commands on `$CONTROL/dynamic-security/v1`: what each one checks, changes, answers and logs, and whom it
 * disconnects, as Mosquitto 2.1 does. Of several faults the first in the order of these checks is reported. Nothing is
 * changed by a command that fails.
 */
import { isPlainUtf8 } from '../../base/utf8.js';
import { isValidTopicFilter } from '../../topic/topic-filter.js';
import { type ControlCommand, type ControlResult, UNKNOWN_COMMAND } from './control-request.js';
import { newPassword } from './first-state.js';
import { JsonObject, type JsonValue } from './json-reader.js';
import {
  type Acl,
  type AclType,
  aclTypeOf,
  type Client,
  DEFAULT_TYPES,
  type DynamicSecurityState,
  defaultTypeOf,
  emptyClient,
  emptyGroup,
  emptyRole,
  type Group,
  NO_PRIORITY,
  type Priorities,
  type Role,
  sortedAcls,
  sortedNames,
  type Texts,
} from './state.js';
import { clampedPriority, listOf } from './state-file.js';

/** What the commands of one request have led to. */
export class Outcome {
  /** Something is to be written, even if it is as before. */
  hasChanged = false;
  /** What workers have to know anew. */
  readonly clients = new Set<string>();
  readonly groups = new Set<string>();
  readonly roles = new Set<string>();
  /** Whose connections end. */
  readonly kicked = new Set<string>();
  kicksAnonymous = false;
  /** What is logged of each successful command, without the name of who asked. */
  readonly lines: string[] = [];
}

/** The addresses from which users are connected. */
export type AddressesOf = (usernames: readonly string[]) => Promise<ReadonlyMap<string, readonly string[]>>;

export interface Commanding {
  readonly state: DynamicSecurityState;
  readonly outcome: Outcome;
  readonly addressesOf: AddressesOf;
}

/** The end of a command that cannot be executed; the message is the answer's `error`. */
class CommandFault extends Error {}

type Run = (fields: JsonObject, commanding: Commanding) => object | undefined | Promise<object | undefined>;

export async function executeCommand(
  command: ControlCommand,
  commanding: Commanding,
): Promise<ControlResult> {
  if (!command.isKnown) return UNKNOWN_COMMAND;
  try {
    const data = await COMMANDS[command.name]!(command.fields, commanding);
    return data === undefined ? {} : { data };
  } catch (error) {
    if (error instanceof CommandFault) return { error: error.message };
    throw error;
  }
}

const COMMANDS: Readonly<Record<string, Run>> = {
  addClientRole,
  addGroupClient,
  addGroupRole,
  addRoleACL,
  createClient,
  createGroup,
  createRole,
  deleteClient,
  deleteGroup,
  deleteRole,
  disableClient: (fields, commanding) => setDisabled(fields, commanding, 'disableClient', true),
  enableClient: (fields, commanding) => setDisabled(fields, commanding, 'enableClient', false),
  getAnonymousGroup,
  getClient,
  getDefaultACLAccess,
  getGroup,
  getRole,
  listClients,
  listGroups,
  listRoles,
  modifyClient,
  modifyGroup,
  modifyRole,
  removeClientRole,
  removeGroupClient,
  removeGroupRole,
  removeRoleACL,
  setAnonymousGroup,
  setClientId,
  setClientPassword,
  setDefaultACLAccess,
};

export const COMMAND_NAMES = Object.keys(COMMANDS);

const TEXT_BYTES_MAX = 65536;

// ------------------------------------------------------------------- general

function getDefaultACLAccess(_fields: JsonObject, { state, outcome }: Commanding): object {
  outcome.lines.push('getDefaultACLAccess');
  return { acls: DEFAULT_TYPES.map((acltype) => ({ acltype, allow: state.defaults[acltype] })) };
}

function setDefaultACLAccess(fields: JsonObject, { state, outcome }: Commanding): undefined {
  const acls = fields.get('acls');
  if (!Array.isArray(acls)) throw new CommandFault('Missing/invalid actions array');
  for (const entry of acls) {
    if (!(entry instanceof JsonObject)) continue;
    const acltype = defaultTypeOf(entry.text('acltype') ?? '');
    const allow = entry.get('allow');
    if (acltype === undefined || typeof allow !== 'boolean') continue;
    state.defaults[acltype] = allow;
    outcome.lines.push(`setDefaultACLAccess | acltype=${acltype} | allow=${allow}`);
  }
  changed(state, outcome);
}

function getAnonymousGroup(_fields: JsonObject, { state, outcome }: Commanding): object {
  outcome.lines.push('getAnonymousGroup');
  return { group: { groupname: state.anonymousGroup ?? '' } };
}

function setAnonymousGroup(fields: JsonObject, { state, outcome }: Commanding): undefined {
  const group = groupOf(fields, state);
  state.anonymousGroup = group.groupname;
  outcome.kicksAnonymous = true;
  changed(state, outcome, `setAnonymousGroup | groupname=${group.groupname}`);
}

// ------------------------------------------------------------------- clients

async function createClient(fields: JsonObject, { state, outcome }: Commanding): Promise<undefined> {
  const username = newName(fields, 'username', 'Invalid/missing username', 'Empty username', USERNAME_FAULT);
  const password = typedText(fields, 'password', 'Invalid/missing password');
  const clientid = typedText(fields, 'clientid', 'Invalid/missing client id');
  if (clientid !== undefined) checkText(clientid, 'Client ID not valid UTF-8');
  const client = emptyClient(username);
  setTypedTexts(fields, client);
  if (state.clients.has(username)) throw new CommandFault('Client already exists');
  client.clientid = clientid || undefined;
  client.roles = rolesOf(fields, state, ROLES_FAULT) ?? new Map();
  for (const entry of listIn(fields, 'groups') ?? []) {
    const groupname = entry instanceof JsonObject ? entry.text('groupname') : undefined;
    if (groupname === undefined) continue;
    if (!state.groups.has(groupname)) throw new CommandFault('Group not found');
    if (client.groups.has(groupname)) throw new CommandFault('Internal error');
    client.groups.set(groupname, priorityOf(entry as JsonObject));
  }
  if (password) client.encodedPassword = await newPassword(password);
  state.clients.set(username, client);
  for (const groupname of client.groups.keys()) state.groups.get(groupname)!.members.add(username);
  outcome.clients.add(username);
  const shown = password ? '*****' : 'no password';
  changed(state, outcome, `createClient | username=${username} | password=${shown}`);
}

function deleteClient(fields: JsonObject, { state, outcome }: Commanding): undefined {
  const client = clientNamed(wantedText(fields, 'username', 'Invalid/missing username'), state);
  const { username } = client;
  for (const groupname of client.groups.keys()) state.groups.get(groupname)!.members.delete(username);
  state.clients.delete(username);
  clientChanged(username, state, outcome, `deleteClient | username=${username}`);
}

function setDisabled(
  fields: JsonObject,
  { state, outcome }: Commanding,
  command: string,
  disabled: boolean,
): undefined {
  const client = clientOf(fields, state);
  client.disabled = disabled;
  outcome.clients.add(client.username);
  if (disabled) outcome.kicked.add(client.username);
  changed(state, outcome, `${command} | username=${client.username}`);
}

async function getClient(fields: JsonObject, { state, outcome, addressesOf }: Commanding): Promise<object> {
  const client = clientOf(fields, state);
  outcome.lines.push(`getClient | username=${client.username}`);
  const addresses = await addressesOf([client.username]);
  return { client: clientObject(client, addresses) };
}

function clientObject(client: Client, addresses: ReadonlyMap<string, readonly string[]>): object {
  const { username, clientid, disabled, roles, groups } = client;
  return {
    username,
    ...(clientid === undefined ? {} : { clientid }),
    ...textsOf(client),
    ...(disabled ? { disabled } : {}),
    roles: listOf(roles, 'rolename'),
    groups: listOf(groups, 'groupname'),
    connections: (addresses.get(username) ?? []).map((address) => ({ address })),
  };
}

async function listClients(fields: JsonObject, { state, outcome, addressesOf }: Commanding): Promise<object> {
  const { totalCount, names, isVerbose } = page(fields, state.clients, 'listClients', outcome);
  if (!isVerbose) return { totalCount, clients: names };
  const addresses = await addressesOf(names);
  return { totalCount, clients: names.map((name) => clientObject(state.clients.get(name)!, addresses)) };
}

async function modifyClient(fields: JsonObject, { state, outcome }: Commanding): Promise<undefined> {
  const client = clientOf(fields, state);
  const { username } = client;
  const roles = rolesOf(fields, state, ROLES_FAULT);
  const groups = membersIn(fields, 'groups', 'groupname', state.groups);
  const password = fields.text('password');
  const clientid = fields.text('clientid');
  if (password) client.encodedPassword = await newPassword(password);
  if (clientid !== undefined) client.clientid = clientid || undefined;
  setTexts(fields, client);
  if (roles !== undefined) client.roles = roles;
  if (groups !== undefined) {
    for (const groupname of client.groups.keys()) state.groups.get(groupname)!.members.delete(username);
    for (const groupname of groups.keys()) state.groups.get(groupname)!.members.add(username);
    client.groups = groups;
  }
  clientChanged(username, state, outcome, `modifyClient | username=${username}`);
}

function setClientId(fields: JsonObject, { state, outcome }: Commanding): undefined {
  const username = checkedText(fields, 'username', 'Invalid/missing username', USERNAME_FAULT);
  const clientid = typedText(fields, 'clientid', 'Invalid/missing client ID') ?? '';
  checkText(clientid, 'Client ID not valid UTF-8');
  clientNamed(username, state).clientid = clientid || undefined;
  clientChanged(username, state, outcome, `setClientId | username=${username} | clientid=${clientid}`);
}

async function setClientPassword(fields: JsonObject, { state, outcome }: Commanding): Promise<undefined> {
  const username = checkedText(fields, 'username', 'Invalid/missing username', USERNAME_FAULT);
  const password = wantedText(fields, 'password', 'Invalid/missing password');
  if (password === '') throw new CommandFault('Empty password is not allowed');
  const client = clientNamed(username, state);
  client.encodedPassword = await newPassword(password);
  clientChanged(username, state, outcome, `setClientPassword | username=${username} | password=******`);
}

function addClientRole(fields: JsonObject, { state, outcome }: Commanding): undefined {
  const { client, rolename } = clientAndRole(fields, state);
  const { username } = client;
  if (client.roles.has(rolename)) throw new CommandFault('Internal error');
  const priority = priorityOf(fields);
  client.roles.set(rolename, priority);
  const line = `addClientRole | username=${username} | rolename=${rolename} | priority=${priority}`;
  clientChanged(username, state, outcome, line);
}

function removeClientRole(fields: JsonObject, { state, outcome }: Commanding): undefined {
  const { client, rolename } = clientAndRole(fields, state);
  const { username } = client;
  client.roles.delete(rolename);
  clientChanged(username, state, outcome, `removeClientRole | username=${username} | rolename=${rolename}`);
}

function clientAndRole(
  fields: JsonObject,
  state: DynamicSecurityState,
): { client: Client; rolename: string } {
  const username = checkedText(fields, 'username', 'Invalid/missing username', USERNAME_FAULT);
  const rolename = checkedText(fields, 'rolename', ROLE_MISSING, ROLE_FAULT);
  const client = clientNamed(username, state);
  return { client, rolename: roleNamed(rolename, state).rolename };
}

function clientChanged(
  username: string,
  state: DynamicSecurityState,
  outcome: Outcome,
  line: string,
): undefined {
  outcome.clients.add(username);
  outcome.kicked.add(username);
  changed(state, outcome, line);
}

// -------------------------------------------------------------------- groups

function createGroup(fields: JsonObject, { state, outcome }: Commanding): undefined {
  const groupname = newName(fields, 'groupname', GROUP_MISSING, 'Empty groupname', GROUP_FAULT);
  const group = emptyGroup(groupname);
  setTypedTexts(fields, group);
  if (state.groups.has(groupname)) throw new CommandFault('Group already exists');
  group.roles = rolesOf(fields, state, 'Internal error') ?? new Map();
  state.groups.set(groupname, group);
  outcome.groups.add(groupname);
  changed(state, outcome, `createGroup | groupname=${groupname}`);
}

function deleteGroup(fields: JsonObject, { state, outcome }: Commanding): undefined {
  const { groupname, members } = groupOf(fields, state);
  if (state.anonymousGroup === groupname) throw new CommandFault('Deleting the anonymous group is forbidden');
  for (const username of members) {
    state.clients.get(username)!.groups.delete(groupname);
    outcome.clients.add(username);
    outcome.kicked.add(username);
  }
  state.groups.delete(groupname);
  outcome.groups.add(groupname);
  changed(state, outcome, `deleteGroup | groupname=${groupname}`);
}

function getGroup(fields: JsonObject, { state, outcome }: Commanding): object {
  const group = groupOf(fields, state);
  outcome.lines.push(`getGroup | groupname=${group.groupname}`);
  return { group: groupObject(group) };
}

function groupObject(group: Group): object {
  const { groupname, members, roles } = group;
  return {
    groupname,
    ...textsOf(group),
    clients: sortedNames(members).map((username) => ({ username })),
    roles: listOf(roles, 'rolename'),
  };
}

function listGroups(fields: JsonObject, { state, outcome }: Commanding): object {
  const { totalCount, names, isVerbose } = page(fields, state.groups, 'listGroups', outcome);
  if (!isVerbose) return { totalCount, groups: names };
  return { totalCount, groups: names.map((name) => groupObject(state.groups.get(name)!)) };
}

function modifyGroup(fields: JsonObject, { state, outcome }: Commanding): undefined {
  const group = groupOf(fields, state);
  const { groupname, members } = group;
  const roles = rolesOf(fields, state, ROLES_FAULT);
  const clients = membersIn(fields, 'clients', 'username', state.clients);
  setTexts(fields, group);
  if (roles !== undefined) group.roles = roles;
  kickMembers(group, state, outcome);
  if (clients !== undefined) {
    for (const username of members) {
      state.clients.get(username)!.groups.delete(groupname);
      outcome.clients.add(username);
    }
    members.clear();
    for (const [username, priority] of clients) {
      state.clients.get(username)!.groups.set(groupname, priority);
      members.add(username);
      outcome.clients.add(username);
    }
    kickMembers(group, state, outcome);
  }
  outcome.groups.add(groupname);
  changed(state, outcome, `modifyGroup | groupname=${groupname}`);
}

function addGroupClient(fields: JsonObject, { state, outcome }: Commanding): undefined {
  const { client, group } = clientAndGroup(fields, state);
  const { groupname, members } = group;
  const { username } = client;
  if (members.has(username)) throw new CommandFault('Client is already in this group');
  const priority = priorityOf(fields);
  members.add(username);
  client.groups.set(groupname, priority);
  const line = `addGroupClient | groupname=${groupname} | username=${username} | priority=${priority}`;
  clientChanged(username, state, outcome, line);
}

function removeGroupClient(fields: JsonObject, { state, outcome }: Commanding): undefined {
  const { client, group } = clientAndGroup(fields, state);
  const { groupname, members } = group;
  const { username } = client;
  members.delete(username);
  client.groups.delete(groupname);
  clientChanged(
    username,
    state,
    outcome,
    `removeGroupClient | groupname=${groupname} | username=${username}`,
  );
}

function clientAndGroup(fields: JsonObject, state: DynamicSecurityState): { client: Client; group: Group } {
  const username = checkedText(fields, 'username', 'Invalid/missing username', USERNAME_FAULT);
  const groupname = checkedText(fields, 'groupname', GROUP_MISSING, GROUP_FAULT);
  return { client: clientNamed(username, state), group: groupNamed(groupname, state) };
}

function addGroupRole(fields: JsonObject, { state, outcome }: Commanding): undefined {
  const { group, rolename } = groupAndRole(fields, state);
  if (group.roles.has(rolename)) throw new CommandFault('Group is already in this role');
  const priority = priorityOf(fields);
  group.roles.set(rolename, priority);
  const { groupname } = group;
  groupChanged(
    group,
    state,
    outcome,
    `addGroupRole | groupname=${groupname} | rolename=${rolename} | priority=${priority}`,
  );
}

function removeGroupRole(fields: JsonObject, { state, outcome }: Commanding): undefined {
  const { group, rolename } = groupAndRole(fields, state);
  group.roles.delete(rolename);
  groupChanged(
    group,
    state,
    outcome,
    `removeGroupRole | groupname=${group.groupname} | rolename=${rolename}`,
  );
}

function groupAndRole(fields: JsonObject, state: DynamicSecurityState): { group: Group; rolename: string } {
  const groupname = checkedText(fields, 'groupname', GROUP_MISSING, GROUP_FAULT);
  const rolename = checkedText(fields, 'rolename', ROLE_MISSING, ROLE_FAULT);
  const group = groupNamed(groupname, state);
  return { group, rolename: roleNamed(rolename, state).rolename };
}

function groupChanged(group: Group, state: DynamicSecurityState, outcome: Outcome, line: string): undefined {
  outcome.groups.add(group.groupname);
  kickMembers(group, state, outcome);
  changed(state, outcome, line);
}

function kickMembers({ groupname, members }: Group, state: DynamicSecurityState, outcome: Outcome): void {
  for (const username of members) outcome.kicked.add(username);
  if (state.anonymousGroup === groupname) outcome.kicksAnonymous = true;
}

// --------------------------------------------------------------------- roles

function createRole(fields: JsonObject, { state, outcome }: Commanding): undefined {
  const rolename = newName(fields, 'rolename', ROLE_MISSING, 'Empty rolename', ROLE_FAULT);
  const role = emptyRole(rolename);
  setTypedTexts(fields, role);
  const allows = fields.get('allowwildcardsubs');
  if (allows !== undefined && typeof allows !== 'boolean')
    throw new CommandFault('Invalid allowwildcardsubs');
  if (state.roles.has(rolename)) throw new CommandFault('Role already exists');
  role.allowWildcardSubs = allows ?? true;
  role.acls = aclsIn(listIn(fields, 'acls') ?? []);
  state.roles.set(rolename, role);
  outcome.roles.add(rolename);
  changed(state, outcome, `createRole | rolename=${rolename}`);
}

/** The usable ones: what is wrong with the others is not said [mosq: createRole]. */
function aclsIn(entries: readonly JsonValue[]): Acl[] {
  const acls = new Map<string, Acl>();
  for (const entry of entries) {
    if (!(entry instanceof JsonObject)) continue;
    const acltype = aclTypeOf(entry.text('acltype') ?? '');
    const topic = entry.text('topic');
    if (acltype === undefined || topic === undefined) continue;
    const key = `${acltype} ${topic}`;
    if (!acls.has(key)) acls.set(key, aclOf(entry, acltype, topic));
  }
  return sortedAcls([...acls.values()]);
}

function aclOf(fields: JsonObject, acltype: AclType, topic: string): Acl {
  return { acltype, topic, priority: priorityOf(fields, 0), allow: fields.get('allow') === true };
}

function deleteRole(fields: JsonObject, { state, outcome }: Commanding): undefined {
  const { rolename } = roleOf(fields, state);
  kickHolders(rolename, state, outcome);
  for (const { username, roles } of state.clients.values()) {
    if (roles.delete(rolename)) outcome.clients.add(username);
  }
  for (const { groupname, roles } of state.groups.values()) {
    if (roles.delete(rolename)) outcome.groups.add(groupname);
  }
  state.roles.delete(rolename);
  outcome.roles.add(rolename);
  changed(state, outcome, `deleteRole | rolename=${rolename}`);
}

function getRole(fields: JsonObject, { state, outcome }: Commanding): object {
  const role = roleOf(fields, state);
  outcome.lines.push(`getRole | rolename=${role.rolename}`);
  return { role: roleObject(role) };
}

function roleObject(role: Role): object {
  const { rolename, allowWildcardSubs, acls } = role;
  return { rolename, ...textsOf(role), allowwildcardsubs: allowWildcardSubs, acls };
}

function listRoles(fields: JsonObject, { state, outcome }: Commanding): object {
  const { totalCount, names, isVerbose } = page(fields, state.roles, 'listRoles', outcome);
  if (!isVerbose) return { totalCount, roles: names };
  return { totalCount, roles: names.map((name) => roleObject(state.roles.get(name)!)) };
}

function modifyRole(fields: JsonObject, { state, outcome }: Commanding): undefined {
  const rolename = checkedText(fields, 'rolename', ROLE_MISSING, ROLE_FAULT);
  const role = state.roles.get(rolename);
  if (role === undefined) throw new CommandFault('Role does not exist');
  setTexts(fields, role);
  const allows = fields.get('allowwildcardsubs');
  if (typeof allows === 'boolean') role.allowWildcardSubs = allows;
  const acls = listIn(fields, 'acls');
  if (acls !== undefined) {
    role.acls = aclsIn(acls);
    kickHolders(rolename, state, outcome);
  }
  outcome.roles.add(rolename);
  changed(state, outcome, `modifyRole | rolename=${rolename}`);
}

function addRoleACL(fields: JsonObject, { state, outcome }: Commanding): undefined {
  const { role, acltype, topic, at } = aclNamed(fields, state);
  if (at >= 0) throw new CommandFault('ACL with this topic already exists');
  const acl = aclOf(fields, acltype, topic);
  role.acls = sortedAcls([...role.acls, acl]);
  const { rolename } = role;
  const tail = `acltype=${acltype} | topic=${topic} | priority=${acl.priority} | allow=${acl.allow}`;
  aclChanged(rolename, state, outcome, `addRoleACL | rolename=${rolename} | ${tail}`);
}

function removeRoleACL(fields: JsonObject, { state, outcome }: Commanding): undefined {
  const { role, acltype, topic, at } = aclNamed(fields, state);
  if (at < 0) throw new CommandFault('ACL not found');
  role.acls = role.acls.filter((_, index) => index !== at);
  const { rolename } = role;
  const line = `removeRoleACL | rolename=${rolename} | acltype=${acltype} | topic=${topic}`;
  aclChanged(rolename, state, outcome, line);
}

/** @returns its place in the role, −1 if it has none */
function aclNamed(
  fields: JsonObject,
  state: DynamicSecurityState,
): { role: Role; acltype: AclType; topic: string; at: number } {
  const role = roleOf(fields, state);
  const acltype = aclTypeOf(wantedText(fields, 'acltype', 'Invalid/missing acltype'));
  if (acltype === undefined) throw new CommandFault('Unknown acltype');
  const topic = checkedText(fields, 'topic', 'Invalid/missing topic', 'Topic not valid UTF-8');
  if (!isValidTopicFilter(topic)) throw new CommandFault('Invalid ACL topic');
  const at = role.acls.findIndex((acl) => acl.acltype === acltype && acl.topic === topic);
  return { role, acltype, topic, at };
}

function aclChanged(
  rolename: string,
  state: DynamicSecurityState,
  outcome: Outcome,
  line: string,
): undefined {
  outcome.roles.add(rolename);
  kickHolders(rolename, state, outcome);
  changed(state, outcome, line);
}

/** Everybody who has the role: directly, through a group, or without a username. */
function kickHolders(rolename: string, state: DynamicSecurityState, outcome: Outcome): void {
  for (const { username, roles } of state.clients.values()) {
    if (roles.has(rolename)) outcome.kicked.add(username);
  }
  for (const group of state.groups.values()) {
    if (group.roles.has(rolename)) kickMembers(group, state, outcome);
  }
}

// -------------------------------------------------------------------- fields

const USERNAME_FAULT = 'Username not valid UTF-8';
const GROUP_MISSING = 'Invalid/missing groupname';
const GROUP_FAULT = 'Group name not valid UTF-8';
const ROLE_MISSING = 'Invalid/missing rolename';
const ROLE_FAULT = 'Role name not valid UTF-8';
const ROLES_FAULT = "'roles' not an array or missing/invalid rolename";

function changed(state: DynamicSecurityState, outcome: Outcome, line?: string): undefined {
  state.changeIndex += 1;
  outcome.hasChanged = true;
  if (line !== undefined) outcome.lines.push(line);
}

function wantedText(fields: JsonObject, field: string, missing: string): string {
  const text = fields.text(field);
  if (text === undefined) throw new CommandFault(missing);
  return text;
}

function checkText(text: string, fault: string): void {
  const bytes = Buffer.from(text);
  if (bytes.length > TEXT_BYTES_MAX || !isPlainUtf8(bytes, 0, bytes.length)) throw new CommandFault(fault);
}

function checkedText(fields: JsonObject, field: string, missing: string, fault: string): string {
  const text = wantedText(fields, field, missing);
  checkText(text, fault);
  return text;
}

function newName(fields: JsonObject, field: string, missing: string, empty: string, fault: string): string {
  const text = wantedText(fields, field, missing);
  if (text === '') throw new CommandFault(empty);
  checkText(text, fault);
  return text;
}

/** @returns `undefined` if it is absent */
function typedText(fields: JsonObject, field: string, fault: string): string | undefined {
  const value = fields.get(field);
  if (value !== undefined && typeof value !== 'string') throw new CommandFault(fault);
  return value;
}

function setTypedTexts(fields: JsonObject, texts: Texts): void {
  texts.textname = typedText(fields, 'textname', 'Invalid/missing textname');
  texts.textdescription = typedText(fields, 'textdescription', 'Invalid/missing textdescription');
}

function setTexts(fields: JsonObject, texts: Texts): void {
  texts.textname = fields.text('textname') ?? texts.textname;
  texts.textdescription = fields.text('textdescription') ?? texts.textdescription;
}

function textsOf({ textname, textdescription }: Texts): object {
  return {
    ...(textname === undefined ? {} : { textname }),
    ...(textdescription === undefined ? {} : { textdescription }),
  };
}

function clientOf(fields: JsonObject, state: DynamicSecurityState): Client {
  return clientNamed(checkedText(fields, 'username', 'Invalid/missing username', USERNAME_FAULT), state);
}

function clientNamed(username: string, state: DynamicSecurityState): Client {
  const client = state.clients.get(username);
  if (client === undefined) throw new CommandFault('Client not found');
  return client;
}

function groupOf(fields: JsonObject, state: DynamicSecurityState): Group {
  return groupNamed(checkedText(fields, 'groupname', GROUP_MISSING, GROUP_FAULT), state);
}

function groupNamed(groupname: string, state: DynamicSecurityState): Group {
  const group = state.groups.get(groupname);
  if (group === undefined) throw new CommandFault('Group not found');
  return group;
}

function roleOf(fields: JsonObject, state: DynamicSecurityState): Role {
  return roleNamed(checkedText(fields, 'rolename', ROLE_MISSING, ROLE_FAULT), state);
}

function roleNamed(rolename: string, state: DynamicSecurityState): Role {
  const role = state.roles.get(rolename);
  if (role === undefined) throw new CommandFault('Role not found');
  return role;
}

function listIn(fields: JsonObject, field: string): JsonValue[] | undefined {
  const value = fields.get(field);
  return Array.isArray(value) ? value : undefined;
}

function numberIn(fields: JsonObject, field: string): number | undefined {
  const value = fields.get(field);
  return typeof value === 'number' ? value : undefined;
}

function priorityOf(fields: JsonObject, otherwise = NO_PRIORITY): number {
  const written = numberIn(fields, 'priority');
  return written === undefined ? otherwise : clampedPriority(written);
}

/** @returns `undefined` if there is no list */
function rolesOf(fields: JsonObject, state: DynamicSecurityState, fault: string): Priorities | undefined {
  const list = fields.get('roles');
  if (list === undefined) return undefined;
  if (!Array.isArray(list)) throw new CommandFault(fault);
  const roles: Priorities = new Map();
  for (const entry of list) {
    const rolename = entry instanceof JsonObject ? entry.text('rolename') : undefined;
    if (rolename === undefined) throw new CommandFault(fault);
    if (!state.roles.has(rolename)) throw new CommandFault('Role not found');
    if (!roles.has(rolename)) roles.set(rolename, priorityOf(entry as JsonObject));
  }
  return roles;
}

/** The groups of a client or the clients of a group. @returns `undefined` if there is no list */
function membersIn(
  fields: JsonObject,
  field: string,
  nameField: string,
  known: ReadonlyMap<string, unknown>,
): Priorities | undefined {
  const list = listIn(fields, field);
  if (list === undefined) return undefined;
  const members: Priorities = new Map();
  for (const entry of list) {
    const name = entry instanceof JsonObject ? entry.text(nameField) : undefined;
    if (name === undefined) {
      throw new CommandFault(`'${field}' contains an object with an invalid '${nameField}'`);
    }
    if (!known.has(name)) {
      throw new CommandFault(`'${field}' contains an object with a '${nameField}' that does not exist`);
    }
    if (!members.has(name)) members.set(name, priorityOf(entry as JsonObject));
  }
  return members;
}

/** The part of a list that is asked for. A count of 0 asks for nothing; Mosquitto gives one then. */
function page(
  fields: JsonObject,
  all: ReadonlyMap<string, unknown>,
  command: string,
  outcome: Outcome,
): { totalCount: number; names: string[]; isVerbose: boolean } {
  const isVerbose = fields.get('verbose') === true;
  const count = Math.trunc(numberIn(fields, 'count') ?? -1);
  const offset = Math.max(0, Math.trunc(numberIn(fields, 'offset') ?? 0));
  outcome.lines.push(`${command} | verbose=${isVerbose} | count=${count} | offset=${offset}`);
  const names = sortedNames(all.keys()).slice(offset, count < 0 ? undefined : offset + count);
  return { totalCount: all.size, names, isVerbose };
}
