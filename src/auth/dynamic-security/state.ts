/**
 * What dynamic security knows: clients, groups, roles and their rules [mosq: dynamic security]. Main has the one state
 * that changes; workers have tables made from it (`tables.ts`).
 */

/** In the order in which they are listed. */
export const ACL_TYPES = [
  'publishClientSend',
  'publishClientReceive',
  'subscribeLiteral',
  'subscribePattern',
  'unsubscribeLiteral',
  'unsubscribePattern',
] as const;

export type AclType = (typeof ACL_TYPES)[number];

export const DEFAULT_TYPES = [
  'publishClientSend',
  'publishClientReceive',
  'subscribe',
  'unsubscribe',
] as const;

export type DefaultType = (typeof DEFAULT_TYPES)[number];

/** What holds if no ACL of a client's roles matches. */
export type DefaultAccess = Record<DefaultType, boolean>;

export interface Acl {
  acltype: AclType;
  topic: string;
  priority: number;
  allow: boolean;
}

/** Texts for people, absent if they were never set. */
export interface Texts {
  textname: string | undefined;
  textdescription: string | undefined;
}

export interface Role extends Texts {
  readonly rolename: string;
  allowWildcardSubs: boolean;
  /** By type, then by priority, then as they were added. */
  acls: readonly Acl[];
}

/** Names with their priorities. */
export type Priorities = Map<string, number>;

export interface Group extends Texts {
  readonly groupname: string;
  roles: Priorities;
  /** Usernames of its members; the priorities are in the clients. */
  readonly members: Set<string>;
}

export interface Client extends Texts {
  readonly username: string;
  /** The only client id that may use the name; absent = any. */
  clientid: string | undefined;
  disabled: boolean;
  /** As in a password file, perhaps malformed; absent = nobody can log in. */
  encodedPassword: string | undefined;
  roles: Priorities;
  groups: Priorities;
}

/** The priority that is meant if none is given, and that is not written. */
export const NO_PRIORITY = -1;
export const PRIORITY_MAX = 100_000;

export class DynamicSecurityState {
  /** Successful commands that have changed something. */
  changeIndex = 0;
  defaults: DefaultAccess = {
    publishClientSend: false,
    publishClientReceive: true,
    subscribe: false,
    unsubscribe: true,
  };
  anonymousGroup: string | undefined = undefined;
  readonly clients = new Map<string, Client>();
  readonly groups = new Map<string, Group>();
  readonly roles = new Map<string, Role>();
}

export function emptyClient(username: string): Client {
  return {
    username,
    clientid: undefined,
    textname: undefined,
    textdescription: undefined,
    disabled: false,
    encodedPassword: undefined,
    roles: new Map(),
    groups: new Map(),
  };
}

export function emptyGroup(groupname: string): Group {
  return { groupname, textname: undefined, textdescription: undefined, roles: new Map(), members: new Set() };
}

export function emptyRole(rolename: string): Role {
  return { rolename, textname: undefined, textdescription: undefined, allowWildcardSubs: true, acls: [] };
}

/** Written in any case, as Mosquitto reads it. */
export function aclTypeOf(text: string): AclType | undefined {
  return ACL_TYPES.find((type) => type.toLowerCase() === text.toLowerCase());
}

export function defaultTypeOf(text: string): DefaultType | undefined {
  return DEFAULT_TYPES.find((type) => type.toLowerCase() === text.toLowerCase());
}

/** Byte order of UTF-8, which that of JavaScript's strings is but for surrogates. */
export function compareNames(a: string, b: string): number {
  if (a === b) return 0;
  if (/[\ud800-\udfff]/.test(a + b)) return Buffer.compare(Buffer.from(a), Buffer.from(b));
  return a < b ? -1 : 1;
}

export function sortedNames(names: Iterable<string>): string[] {
  return [...names].sort(compareNames);
}

/** In the order in which they count: the highest priority first, then by name. */
export function inOrder(priorities: Priorities): [name: string, priority: number][] {
  return [...priorities].sort(([a, high], [b, low]) => low - high || compareNames(a, b));
}

/** A list in its order: by type, then by priority, of equal ones those first that come first. */
export function sortedAcls(acls: readonly Acl[]): Acl[] {
  return [...acls].sort(
    (a, b) => ACL_TYPES.indexOf(a.acltype) - ACL_TYPES.indexOf(b.acltype) || b.priority - a.priority,
  );
}
