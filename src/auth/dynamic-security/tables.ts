/**
 * What a thread needs of dynamic security to let clients in and to decide what they may do: tables of clients, groups
 * and roles, made from main's state and changed as it changes. The rights of a client (`DynamicAcl`) are worked out
 * when they are asked for, and anew after a change; what was decided for a topic is remembered until then, as with the
 * rules of an `acl_file`.
 *
 *   own roles, by priority ──► roles of its groups, by the group's priority ──► the default
 *   in a role: literal ACLs, then patterns; in a type by priority. The first that matches decides.
 */
import { type AclDecision, type AclRequest, mayTopicBeUsed, type TopicAcl } from '../acl-check.js';
import { AclRuleTree, type AclSubject } from '../acl-rule-tree.js';
import type { DynamicUser, DynamicUsers } from '../authenticator.js';
import { parsePasswordHash } from '../password-hash.js';
import { RememberedVerdicts } from '../remembered-verdicts.js';
import type { Outcome } from './commands.js';
import {
  type Acl,
  type AclType,
  type DefaultAccess,
  type DefaultType,
  type DynamicSecurityState,
  inOrder,
  type Role,
} from './state.js';

/** A client's part of the tables. Plain data, as all of `TableChange`. */
export interface ClientRecord {
  /** `null` = any client id. */
  clientid: string | null;
  disabled: boolean;
  /** As in a password file; `null` = it cannot log in. */
  encodedPassword: string | null;
  /** In the order in which they count. */
  roles: string[];
  groups: string[];
}

export interface RoleRecord {
  allowWildcardSubs: boolean;
  /** In the order in which they count. */
  acls: readonly Acl[];
}

/** What is new, under its name; `null` = it is gone. */
export interface TableChange {
  defaults: DefaultAccess;
  anonymousGroup: string | null;
  clients: [username: string, client: ClientRecord | null][];
  groups: [groupname: string, roles: string[] | null][];
  roles: [rolename: string, role: RoleRecord | null][];
}

/** What an `Outcome` means for the tables. */
export function changeOf(
  state: DynamicSecurityState,
  { clients, groups, roles }: Pick<Outcome, 'clients' | 'groups' | 'roles'>,
): TableChange {
  return {
    defaults: state.defaults,
    anonymousGroup: state.anonymousGroup ?? null,
    clients: [...clients].map((username) => [username, clientRecord(state, username)]),
    groups: [...groups].map((groupname) => [groupname, groupRoles(state, groupname)]),
    roles: [...roles].map((rolename) => [rolename, roleRecord(state.roles.get(rolename))]),
  };
}

/** All of the state, for a thread that begins. */
export function wholeChange(state: DynamicSecurityState): TableChange {
  return changeOf(state, {
    clients: new Set(state.clients.keys()),
    groups: new Set(state.groups.keys()),
    roles: new Set(state.roles.keys()),
  });
}

function clientRecord(state: DynamicSecurityState, username: string): ClientRecord | null {
  const client = state.clients.get(username);
  if (client === undefined) return null;
  return {
    clientid: client.clientid ?? null,
    disabled: client.disabled,
    encodedPassword: client.encodedPassword ?? null,
    roles: inOrder(client.roles).map(([rolename]) => rolename),
    groups: inOrder(client.groups).map(([groupname]) => groupname),
  };
}

function groupRoles(state: DynamicSecurityState, groupname: string): string[] | null {
  const group = state.groups.get(groupname);
  return group === undefined ? null : inOrder(group.roles).map(([rolename]) => rolename);
}

function roleRecord(role: Role | undefined): RoleRecord | null {
  return role === undefined ? null : { allowWildcardSubs: role.allowWildcardSubs, acls: role.acls };
}

export class DynamicSecurityTables implements DynamicUsers {
  /** Counts the changes. */
  generation = 0;
  #defaults: DefaultAccess;
  #anonymousGroup: string | null;
  readonly #clients = new Map<string, ClientRecord>();
  readonly #groups = new Map<string, string[]>();
  readonly #roles = new Map<string, CompiledRole>();
  /** Decisions that hold for all clients with the same roles, by the names of these. */
  readonly #shared = new Map<string, RoleList>();

  constructor(change: TableChange) {
    this.#defaults = change.defaults;
    this.#anonymousGroup = change.anonymousGroup;
    this.update(change);
  }

  update({ defaults, anonymousGroup, clients, groups, roles }: TableChange): void {
    this.generation += 1;
    this.#shared.clear();
    this.#defaults = defaults;
    this.#anonymousGroup = anonymousGroup;
    for (const [username, client] of clients) setOrDelete(this.#clients, username, client);
    for (const [groupname, names] of groups) setOrDelete(this.#groups, groupname, names);
    for (const [rolename, role] of roles) {
      setOrDelete(this.#roles, rolename, role === null ? null : new CompiledRole(rolename, role));
    }
  }

  user(username: string): DynamicUser | undefined {
    const client = this.#clients.get(username);
    if (client === undefined) return undefined;
    const { clientid, disabled, encodedPassword } = client;
    const stored = encodedPassword === null ? null : parsePasswordHash(encodedPassword, 'any salt');
    return {
      stored: typeof stored === 'string' ? null : stored,
      text: encodedPassword ?? '',
      clientid,
      disabled,
    };
  }

  /** @param file the rights under an `acl_file`, which is asked where no role decides and the default denies */
  forClient(username: string | undefined, clientId: string, file: TopicAcl | null): TopicAcl {
    return new DynamicAcl(this, { username: username || undefined, clientId }, file);
  }

  /** The roles of a client in their order. */
  rolesOf(subject: AclSubject): RoleList {
    const names = this.#roleNames(subject.username);
    const key = names.join('\0');
    const known = this.#shared.get(key);
    if (known !== undefined) return known;
    const roles = names.flatMap((name) => this.#roles.get(name) ?? []);
    if (roles.some(({ hasTemplates }) => hasTemplates)) return new RoleList(roles, this.#defaults, subject);
    const list = new RoleList(roles, this.#defaults, NOBODY);
    this.#shared.set(key, list);
    return list;
  }

  #roleNames(username: string | undefined): string[] {
    if (username === undefined) {
      return this.#anonymousGroup === null ? [] : (this.#groups.get(this.#anonymousGroup) ?? []);
    }
    const client = this.#clients.get(username);
    if (client === undefined) return [];
    return [...client.roles, ...client.groups.flatMap((groupname) => this.#groups.get(groupname) ?? [])];
  }
}

function setOrDelete<T>(map: Map<string, T>, key: string, value: T | null): void {
  if (value === null) map.delete(key);
  else map.set(key, value);
}

/** For roles in which neither `%c` nor `%u` stands for anything. */
const NOBODY: AclSubject = { clientId: '', username: undefined };

/** What is decided, and whether by an ACL or by the default. */
const ALLOWED = 1;
const DENIED = 2;
/** No ACL matches, and the default denies: something else may allow it. */
const UNDECIDED = 3;
type Verdict = typeof ALLOWED | typeof DENIED | typeof UNDECIDED;

interface RankedAcl {
  filter: string;
  /** Its place in the role. */
  rank: number;
  allow: boolean;
}

const TEMPLATE_LEVEL = /^%[cu]$/;

class CompiledRole {
  readonly name: string;
  readonly allowWildcardSubs: boolean;
  /** Some ACL has a level that stands for the client id or the username. */
  readonly hasTemplates: boolean;
  readonly #acls: readonly Acl[];
  #sent: AclRuleTree<RankedAcl> | null = null;
  #received: AclRuleTree<RankedAcl> | null = null;

  constructor(name: string, { allowWildcardSubs, acls }: RoleRecord) {
    this.name = name;
    this.allowWildcardSubs = allowWildcardSubs;
    this.#acls = acls;
    this.hasTemplates = acls.some(({ topic }) =>
      topic.split('/').some((level) => TEMPLATE_LEVEL.test(level)),
    );
  }

  /** The first ACL that matches a topic name. */
  matching(
    type: 'publishClientSend' | 'publishClientReceive',
    topic: string,
    subject: AclSubject,
  ): RankedAcl | null {
    const tree =
      type === 'publishClientSend'
        ? (this.#sent ??= this.#tree(type))
        : (this.#received ??= this.#tree(type));
    let first: RankedAcl | null = null;
    for (const acl of tree.matching(topic, subject)) {
      if (first === null || acl.rank < first.rank) first = acl;
    }
    return first;
  }

  #tree(type: AclType): AclRuleTree<RankedAcl> {
    const ranked: RankedAcl[] = [];
    for (const [rank, { acltype, topic, allow }] of this.#acls.entries()) {
      if (acltype === type) ranked.push({ filter: topic, rank, allow });
    }
    return new AclRuleTree(ranked, 'whole-level templates');
  }

  /** The first ACL that matches a topic filter. */
  covering(literal: AclType, pattern: AclType, filter: string, subject: AclSubject): Acl | undefined {
    return (
      this.#acls.find(({ acltype, topic }) => acltype === literal && topic === filter) ??
      this.#acls.find(({ acltype, topic }) => acltype === pattern && covers(topic, filter, subject))
    );
  }
}

/** Whether everything that the filter matches is matched by the ACL's topic, as Mosquitto 2.1 sees it. */
function covers(topic: string, filter: string, { clientId, username }: AclSubject): boolean {
  const wanted = topic.split('/');
  const asked = filter.split('/');
  if (asked[0]!.startsWith('$') && /^[+#]$/.test(wanted[0]!)) return false;
  for (let i = 0; i < wanted.length; i += 1) {
    let level = wanted[i]!;
    if (level === '#') return true;
    const other = asked[i];
    if (other === undefined) return false;
    if (level === '%c' || level === '%u') {
      const name = level === '%c' ? clientId : username;
      if (name === undefined || /[+#/]/.test(name)) return false;
      level = name;
    }
    if (level === '+' ? other === '#' : level !== other) return false;
  }
  return asked.length === wanted.length;
}

/** The roles of a client, or of all clients that have the same, and what they have decided. */
class RoleList {
  readonly #roles: readonly CompiledRole[];
  readonly #defaults: DefaultAccess;
  readonly #subject: AclSubject;
  readonly #sent = new RememberedVerdicts<Verdict>();
  readonly #received = new RememberedVerdicts<Verdict>();

  constructor(roles: readonly CompiledRole[], defaults: DefaultAccess, subject: AclSubject) {
    this.#roles = roles;
    this.#defaults = defaults;
    this.#subject = subject;
  }

  send(topic: string): Verdict {
    return this.#sent.get(topic) ?? this.#sent.add(topic, this.#decide('publishClientSend', topic));
  }

  receive(topic: string): Verdict {
    return (
      this.#received.get(topic) ?? this.#received.add(topic, this.#decide('publishClientReceive', topic))
    );
  }

  #decide(type: 'publishClientSend' | 'publishClientReceive', topic: string): Verdict {
    for (const role of this.#roles) {
      const acl = role.matching(type, topic, this.#subject);
      if (acl !== null) return acl.allow ? ALLOWED : DENIED;
    }
    return this.#byDefault(type, topic);
  }

  subscribe(filter: string): Verdict {
    const hasWildcard = /[+#]/.test(filter);
    for (const role of this.#roles) {
      if (hasWildcard && !role.allowWildcardSubs) return DENIED;
      const acl = role.covering('subscribeLiteral', 'subscribePattern', filter, this.#subject);
      if (acl !== undefined) return acl.allow ? ALLOWED : DENIED;
    }
    return this.#byDefault('subscribe', filter);
  }

  unsubscribe(filter: string): Verdict {
    for (const role of this.#roles) {
      const acl = role.covering('unsubscribeLiteral', 'unsubscribePattern', filter, this.#subject);
      if (acl !== undefined) return acl.allow ? ALLOWED : DENIED;
    }
    return this.#byDefault('unsubscribe', filter);
  }

  /** Requests to the broker are never open by default. */
  #byDefault(type: DefaultType, topic: string): Verdict {
    return this.#defaults[type] && !topic.startsWith('$CONTROL') ? ALLOWED : UNDECIDED;
  }

  why(type: 'publishClientSend' | 'publishClientReceive', topic: string): string {
    for (const role of this.#roles) {
      const acl = role.matching(type, topic, this.#subject);
      if (acl === null) continue;
      return `role "${role.name}" has ${type} ${acl.allow ? 'allow' : 'deny'} "${acl.filter}"`;
    }
    return `no ${type} ACL of its roles matches it, and the default is ${this.#defaults[type] ? 'allow' : 'deny'}`;
  }
}

class DynamicAcl implements TopicAcl {
  readonly #tables: DynamicSecurityTables;
  readonly #subject: AclSubject;
  readonly #file: TopicAcl | null;
  #generation: number;
  #roles: RoleList;

  constructor(tables: DynamicSecurityTables, subject: AclSubject, file: TopicAcl | null) {
    this.#tables = tables;
    this.#subject = subject;
    this.#file = file;
    this.#generation = tables.generation;
    this.#roles = tables.rolesOf(subject);
  }

  canWrite(topic: string): boolean {
    if (!mayTopicBeUsed(topic, 'write')) return false;
    const verdict = this.#current().send(topic);
    return verdict === UNDECIDED ? (this.#file?.canWrite(topic) ?? false) : verdict === ALLOWED;
  }

  canRead(topic: string): boolean {
    if (!mayTopicBeUsed(topic, 'read')) return false;
    const verdict = this.#current().receive(topic);
    return verdict === UNDECIDED ? (this.#file?.canRead(topic) ?? false) : verdict === ALLOWED;
  }

  canSubscribe(filter: string): boolean {
    const verdict = this.#current().subscribe(filter);
    return verdict === UNDECIDED ? (this.#file?.canSubscribe(filter) ?? false) : verdict === ALLOWED;
  }

  canUnsubscribe(filter: string): boolean {
    const verdict = this.#current().unsubscribe(filter);
    return verdict === UNDECIDED ? (this.#file?.canUnsubscribe(filter) ?? false) : verdict === ALLOWED;
  }

  explain(topic: string, request: AclRequest): AclDecision {
    const allowed = request === 'read' ? this.canRead(topic) : this.canWrite(topic);
    if (!mayTopicBeUsed(topic, request)) {
      return { allowed, rule: null, why: `clients may not ${request} ${topic.split('/')[0]} topics` };
    }
    const type = request === 'read' ? 'publishClientReceive' : 'publishClientSend';
    return { allowed, rule: null, why: this.#current().why(type, topic) };
  }

  #current(): RoleList {
    if (this.#generation !== this.#tables.generation) {
      this.#generation = this.#tables.generation;
      this.#roles = this.#tables.rolesOf(this.#subject);
    }
    return this.#roles;
  }
}
