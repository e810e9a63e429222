/**
 * The file of dynamic security: Mosquitto's JSON, read through a schema and written as Mosquitto 2.1 does
 * [mosq: plugin_opt_config_file]. Whoever wrote something of another type than it has to be is told where. What cannot
 * have an effect (a role that is unknown, a second client of the same name) is left out, with a warning.
 */
import { type FileProblem, problemLines } from '../access-file.js';
import { parsePasswordHash, SALT_BYTES_2_0 } from '../password-hash.js';
import { JsonFault, JsonObject, type JsonValue, lineOf, readJson } from './json-reader.js';
import {
  type Acl,
  aclTypeOf,
  type Client,
  compareNames,
  DEFAULT_TYPES,
  DynamicSecurityState,
  emptyClient,
  emptyGroup,
  emptyRole,
  inOrder,
  NO_PRIORITY,
  PRIORITY_MAX,
  type Priorities,
  sortedAcls,
  sortedNames,
  type Texts,
} from './state.js';

export type StateFileResult =
  | { ok: true; state: DynamicSecurityState; warnings: FileProblem[] }
  | { ok: false; errors: FileProblem[] };

export function parseStateFile(file: string, text: string): StateFileResult {
  const reading = new Reading(file, text);
  let value: JsonValue;
  try {
    value = readJson(text);
  } catch (error) {
    if (!(error instanceof JsonFault)) throw error;
    const message = `Error: The dynamic security file "${file}" is not valid JSON: ${error.message}.`;
    return { ok: false, errors: [{ file, line: lineOf(text, error.at), message }] };
  }
  if (!(value instanceof JsonObject)) {
    const message = `Error: The dynamic security file "${file}" holds no JSON object.`;
    return { ok: false, errors: [{ file, line: 1, message, advice: 'It has to begin with "{".' }] };
  }
  const state = reading.state(value);
  const { errors, warnings } = reading;
  return errors.length > 0 ? { ok: false, errors } : { ok: true, state, warnings };
}

export function stateFileLines(problems: readonly FileProblem[]): string[] {
  return problems.flatMap(problemLines);
}

const TYPE_NAMES = {
  string: 'a string',
  boolean: 'true or false',
  number: 'a number',
  array: 'a list',
} as const;

type FieldType = keyof typeof TYPE_NAMES;

interface FieldTypes {
  string: string;
  boolean: boolean;
  number: number;
  array: JsonValue[];
}

class Reading {
  readonly errors: FileProblem[] = [];
  readonly warnings: FileProblem[] = [];
  readonly #file: string;
  readonly #text: string;

  constructor(file: string, text: string) {
    this.#file = file;
    this.#text = text;
  }

  state(root: JsonObject): DynamicSecurityState {
    const state = new DynamicSecurityState();
    state.changeIndex = Math.trunc(this.#field(root, '', 'changeIndex', 'number') ?? 0);
    this.#readDefaults(root, state);
    this.#each(root, '', 'roles', (entry, path) => this.#readRole(entry, path, state));
    this.#each(root, '', 'clients', (entry, path) => this.#readClient(entry, path, state));
    this.#each(root, '', 'groups', (entry, path) => this.#readGroup(entry, path, state));
    const group = this.#field(root, '', 'anonymousGroup', 'string');
    if (group !== undefined && group !== '') {
      if (state.groups.has(group)) state.anonymousGroup = group;
      else this.#warn(root, `anonymousGroup: there is no group "${group}"`);
    }
    return state;
  }

  #readDefaults(root: JsonObject, state: DynamicSecurityState): void {
    const written = root.get('defaultACLAccess');
    if (written === undefined) return;
    if (!(written instanceof JsonObject)) {
      this.#refuse(root, 'defaultACLAccess', 'an object');
      return;
    }
    for (const type of DEFAULT_TYPES) {
      const allow = this.#field(written, 'defaultACLAccess.', type, 'boolean');
      if (allow !== undefined) state.defaults[type] = allow;
    }
  }

  #readRole(entry: JsonObject, path: string, state: DynamicSecurityState): void {
    const rolename = this.#name(entry, path, 'rolename', state.roles);
    if (rolename === undefined) return;
    const role = emptyRole(rolename);
    this.#readTexts(entry, path, role);
    role.allowWildcardSubs = this.#field(entry, path, 'allowwildcardsubs', 'boolean') ?? true;
    const acls: Acl[] = [];
    this.#each(entry, path, 'acls', (written, place) => {
      const acl = this.#acl(written, place);
      if (acl !== undefined) acls.push(acl);
    });
    role.acls = sortedAcls(acls);
    state.roles.set(rolename, role);
  }

  #acl(entry: JsonObject, path: string): Acl | undefined {
    const written = this.#field(entry, path, 'acltype', 'string');
    const topic = this.#field(entry, path, 'topic', 'string');
    const priority = this.#priority(entry, path) ?? 0;
    const allow = this.#field(entry, path, 'allow', 'boolean') ?? false;
    if (written === undefined || topic === undefined) {
      this.#warn(entry, `${path.slice(0, -1)} is left out: it has no acltype or no topic`);
      return undefined;
    }
    const acltype = aclTypeOf(written);
    if (acltype !== undefined) return { acltype, topic, priority, allow };
    this.#warn(entry, `${path.slice(0, -1)} is left out: there is no acltype "${written}"`);
    return undefined;
  }

  #readClient(entry: JsonObject, path: string, state: DynamicSecurityState): void {
    const username = this.#name(entry, path, 'username', state.clients);
    if (username === undefined) return;
    const client = emptyClient(username);
    client.clientid = this.#field(entry, path, 'clientid', 'string') || undefined;
    this.#readTexts(entry, path, client);
    client.disabled = this.#field(entry, path, 'disabled', 'boolean') ?? false;
    client.roles = this.#priorities(entry, path, 'roles', 'rolename', state.roles);
    client.encodedPassword = this.#password(entry, path);
    state.clients.set(username, client);
  }

  #password(entry: JsonObject, path: string): string | undefined {
    const encoded = this.#field(entry, path, 'encoded_password', 'string');
    const hash = this.#field(entry, path, 'password', 'string');
    const salt = this.#field(entry, path, 'salt', 'string');
    const iterations = this.#field(entry, path, 'iterations', 'number');
    let text = encoded;
    if (text === undefined && hash !== undefined && salt !== undefined && iterations !== undefined) {
      text = `$7$${iterations}$${salt}$${hash}`;
    }
    if (text === undefined) return undefined;
    const parsed = parsePasswordHash(text, 'any salt');
    if (typeof parsed === 'string') {
      this.#warn(entry, `${path.slice(0, -1)} cannot log in: the password cannot be used, ${parsed}`);
    }
    return text;
  }

  #readGroup(entry: JsonObject, path: string, state: DynamicSecurityState): void {
    const groupname = this.#name(entry, path, 'groupname', state.groups);
    if (groupname === undefined) return;
    const group = emptyGroup(groupname);
    this.#readTexts(entry, path, group);
    group.roles = this.#priorities(entry, path, 'roles', 'rolename', state.roles);
    const members = this.#priorities(entry, path, 'clients', 'username', state.clients);
    for (const [username, priority] of members) {
      group.members.add(username);
      state.clients.get(username)!.groups.set(groupname, priority);
    }
    state.groups.set(groupname, group);
  }

  #readTexts(entry: JsonObject, path: string, texts: Texts): void {
    texts.textname = this.#field(entry, path, 'textname', 'string');
    texts.textdescription = this.#field(entry, path, 'textdescription', 'string');
  }

  #priorities(
    entry: JsonObject,
    path: string,
    list: string,
    nameField: string,
    known: ReadonlyMap<string, unknown>,
  ): Priorities {
    const priorities: Priorities = new Map();
    this.#each(entry, path, list, (member, place) => {
      const name = this.#field(member, place, nameField, 'string');
      const priority = this.#priority(member, place) ?? NO_PRIORITY;
      if (name === undefined) this.#warn(member, `${place.slice(0, -1)} is left out: it has no ${nameField}`);
      else if (!known.has(name))
        this.#warn(member, `${place.slice(0, -1)} is left out: ${nameField} "${name}" is unknown`);
      else if (!priorities.has(name)) priorities.set(name, priority);
    });
    return priorities;
  }

  #priority(entry: JsonObject, path: string): number | undefined {
    const written = this.#field(entry, path, 'priority', 'number');
    return written === undefined ? undefined : clampedPriority(written);
  }

  /** @returns `undefined` if the entry is to be left out */
  #name(
    entry: JsonObject,
    path: string,
    field: string,
    known: ReadonlyMap<string, unknown>,
  ): string | undefined {
    const name = this.#field(entry, path, field, 'string');
    if (name === undefined) this.#warn(entry, `${path.slice(0, -1)} is left out: it has no ${field}`);
    else if (known.has(name)) {
      this.#warn(entry, `${path.slice(0, -1)} is left out: another one has the ${field} "${name}"`);
      return undefined;
    }
    return name;
  }

  #each(
    parent: JsonObject,
    path: string,
    field: string,
    read: (entry: JsonObject, path: string) => void,
  ): void {
    const list = this.#field(parent, path, field, 'array');
    for (const [index, entry] of (list ?? []).entries()) {
      const place = `${path}${field}[${index}]`;
      if (entry instanceof JsonObject) read(entry, `${place}.`);
      else this.#refuse(parent, place, 'an object');
    }
  }

  /** @returns `undefined` if it is absent, or of another type, which is an error */
  #field<T extends FieldType>(
    parent: JsonObject,
    path: string,
    name: string,
    type: T,
  ): FieldTypes[T] | undefined {
    const value = parent.get(name);
    if (value === undefined || value === null) return undefined;
    if ((Array.isArray(value) ? 'array' : typeof value) === type) return value as FieldTypes[T];
    this.#refuse(parent, `${path}${name}`, TYPE_NAMES[type]);
    return undefined;
  }

  #refuse(parent: JsonObject, path: string, wanted: string): void {
    const message = `Error: "${path}" of the dynamic security file "${this.#file}" is not ${wanted}.`;
    this.errors.push({ file: this.#file, line: lineOf(this.#text, parent.at), message });
  }

  #warn(parent: JsonObject, text: string): void {
    const message = `Warning: Dynamic security: ${text}.`;
    this.warnings.push({ file: this.#file, line: lineOf(this.#text, parent.at), message });
  }
}

export function clampedPriority(written: number): number {
  const cut = Math.trunc(written);
  return Math.max(-PRIORITY_MAX, Math.min(PRIORITY_MAX, cut)) + 0;
}

/** As Mosquitto 2.1 writes it, and so that 2.0 reads its passwords. */
export function formatStateFile(state: DynamicSecurityState): string {
  const clients = [...state.clients.values()].sort((a, b) => compareNames(a.username, b.username));
  return printJson({
    changeIndex: state.changeIndex,
    defaultACLAccess: state.defaults,
    clients: clients.map((client) => ({
      username: client.username,
      clientid: client.clientid,
      textname: client.textname,
      textdescription: client.textdescription,
      disabled: client.disabled ? true : undefined,
      roles: listOf(client.roles, 'rolename'),
      ...passwordFields(client),
    })),
    groups: sortedNames(state.groups.keys()).map((groupname) => {
      const { textname, textdescription, roles, members } = state.groups.get(groupname)!;
      return {
        groupname,
        textname,
        textdescription,
        roles: listOf(roles, 'rolename'),
        clients: listOf(membersOf(groupname, members, state), 'username'),
      };
    }),
    anonymousGroup: state.anonymousGroup,
    roles: sortedNames(state.roles.keys()).map((rolename) => {
      const { textname, textdescription, allowWildcardSubs, acls } = state.roles.get(rolename)!;
      return { rolename, textname, textdescription, allowwildcardsubs: allowWildcardSubs, acls };
    }),
  });
}

function membersOf(groupname: string, members: Iterable<string>, state: DynamicSecurityState): Priorities {
  const priorities: Priorities = new Map();
  for (const username of members) {
    priorities.set(username, state.clients.get(username)!.groups.get(groupname)!);
  }
  return priorities;
}

/** Mosquitto 2.0 knows the three fields only, and no other salts than those of 12 bytes; 2.1 prefers the one. */
function passwordFields({ encodedPassword }: Client): object {
  if (encodedPassword === undefined) return {};
  const parsed = parsePasswordHash(encodedPassword, 'any salt');
  const isReadBy20 =
    typeof parsed !== 'string' &&
    parsed.algorithm === 'sha512-pbkdf2' &&
    parsed.salt.length === SALT_BYTES_2_0;
  if (!isReadBy20) return { encoded_password: encodedPassword };
  return {
    password: parsed.hash.toString('base64'),
    salt: parsed.salt.toString('base64'),
    iterations: parsed.iterations,
    encoded_password: encodedPassword,
  };
}

/** A list in the form of the file and of answers. */
export function listOf<Name extends string>(
  priorities: Priorities,
  field: Name,
): ({ [key in Name]: string } & { priority?: number })[] {
  return inOrder(priorities).map(([name, priority]) => {
    const entry = { [field]: name } as { [key in Name]: string };
    return priority === NO_PRIORITY ? entry : { ...entry, priority };
  });
}

/** The way Mosquitto lays JSON out. Fields that are `undefined` are left out. */
export function printJson(value: unknown, depth = 0): string {
  if (Array.isArray(value)) return `[${value.map((entry) => printJson(entry, depth + 1)).join(', ')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const indent = '\t'.repeat(depth + 1);
  const fields = Object.entries(value).filter(([, field]) => field !== undefined);
  const printed = fields.map(
    ([name, field]) => `${indent}${JSON.stringify(name)}:\t${printJson(field, depth + 1)}`,
  );
  return `{\n${printed.join(',\n')}\n${'\t'.repeat(depth)}}`;
}
