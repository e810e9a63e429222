/**
 * The decision whether a client may read or write a topic: the rules of an `acl_file`, compiled [mosq: acl_file].
 *
 *   system topics ──► the user's own rules ──► patterns ──► denied
 *   ($SYS, $share)    deny rules first,        the same, for every client;
 *                     then the first that      none for a dangerous client id
 *                     grants what is asked
 *
 * A rule that matches but grants another access decides nothing. So two things count in a stage: whether a matching
 * rule is a `deny`, and what the other matching rules grant together. Their order only decides which rule is named.
 *
 * SUBSCRIBE and UNSUBSCRIBE are always allowed. A message that the client may not read is not delivered to it.
 */
import { appendAll } from '../base/append-all.js';
import { DOLLAR } from '../topic/topic-name.js';
import type { AclRule } from './acl-file.js';
import { AclRuleTree, type AclSubject, fillIn } from './acl-rule-tree.js';
import { RememberedVerdicts } from './remembered-verdicts.js';

/** `read`: the delivery of a message. `write`: a PUBLISH or a will. */
export type AclRequest = 'read' | 'write';

export interface AclDecision {
  allowed: boolean;
  /** The line that decided, if one did. */
  rule: AclRule | null;
  /** The reason for people, a clause such as "no rule grants it". */
  why: string;
}

/** The result of one stage for a topic, as bits. */
const READ = 1;
const WRITE = 2;
const DENY = 4;
type Verdict = number;

/** All rules of one `acl_file`. Without rules (null) everything is allowed but the broker's own topics. */
export class AclChecker {
  readonly #open: ClientAcl | null;
  readonly #users = new Map<string, UserRules>();
  readonly #anonymous: UserRules;
  readonly #unknownUser = new UserRules([]);
  readonly #patterns: PatternRules | null;

  constructor(rules: readonly AclRule[] | null) {
    this.#open = rules === null ? OPEN_ACL : null;
    const byUser = new Map<string, AclRule[]>();
    const anonymous: AclRule[] = [];
    const patterns: AclRule[] = [];
    for (const rule of rules ?? []) {
      if (rule.scope.kind === 'anonymous') anonymous.push(rule);
      else if (rule.scope.kind === 'pattern') patterns.push(rule);
      else listOf(byUser, rule.scope.username).push(rule);
    }
    for (const [username, own] of byUser) this.#users.set(username, new UserRules(own));
    this.#anonymous = new UserRules(anonymous);
    this.#patterns = patterns.length === 0 ? null : new PatternRules(patterns);
  }

  /**
   * The rights of one client, valid as long as it is connected and this checker is in force.
   *
   * @param username the effective one, for instance from a certificate; undefined for an anonymous client
   */
  forClient(username: string | undefined, clientId: string): ClientAcl {
    if (this.#open !== null) return this.#open;
    const user = this.#rulesOf(username);
    // Without patterns all clients of a user have the same rights, and share one cache.
    if (this.#patterns === null) return user.alone;
    return new ClientAcl({
      user,
      patterns: this.#patterns.forSubject({ username, clientId }),
    });
  }

  /** For single questions; the broker's paths keep `forClient`. */
  check(username: string | undefined, clientId: string, topic: string, request: AclRequest): AclDecision {
    return this.forClient(username, clientId).explain(topic, request);
  }

  #rulesOf(username: string | undefined): UserRules {
    // A named user does not inherit the anonymous rules [mosq: acl_file].
    if (username === undefined) return this.#anonymous;
    return this.#users.get(username) ?? this.#unknownUser;
  }
}

export function compileAcl(rules: readonly AclRule[] | null): AclChecker {
  return new AclChecker(rules);
}

function listOf(lists: Map<string, AclRule[]>, key: string): AclRule[] {
  let list = lists.get(key);
  if (list === undefined) {
    list = [];
    lists.set(key, list);
  }
  return list;
}

interface ClientRights {
  /** Absent: everything is allowed but the broker's own `$SYS` and `$share`. */
  user?: UserRules;
  patterns?: SubjectPatterns;
}

/** What may be asked of a client's rights. */
export interface TopicAcl {
  /** @param topic a valid topic name */
  canRead(topic: string): boolean;
  canWrite(topic: string): boolean;
  /** @param filter as it is stored: with `$share/` and the mount point */
  canSubscribe(filter: string): boolean;
  canUnsubscribe(filter: string): boolean;
  explain(topic: string, request: AclRequest): AclDecision;
}

/** The rights of one client, or of all clients that have the same. Asking about the same topic again is cheap. */
export class ClientAcl implements TopicAcl {
  readonly #user: UserRules | null;
  readonly #patterns: SubjectPatterns | null;

  constructor({ user, patterns }: ClientRights) {
    this.#user = user ?? null;
    this.#patterns = patterns ?? null;
  }

  /** @param topic a valid topic name */
  canRead(topic: string): boolean {
    return this.#grants(topic, READ);
  }

  canWrite(topic: string): boolean {
    return this.#grants(topic, WRITE);
  }

  /** [mosq: acl_file] */
  canSubscribe(): boolean {
    return true;
  }

  canUnsubscribe(): boolean {
    return true;
  }

  #grants(topic: string, wanted: Verdict): boolean {
    if (topic.charCodeAt(0) === DOLLAR && (systemVerdict(topic) & wanted) === 0) return false;
    if (this.#user === null) return true;
    const own = this.#user.verdict(topic);
    if ((own & (wanted | DENY)) !== 0) return (own & DENY) === 0;
    if (this.#patterns === null) return false;
    const common = this.#patterns.verdict(topic);
    return (common & DENY) === 0 && (common & wanted) !== 0;
  }

  /** The same decision with the line that made it: for the log, and for `midge acl explain`. */
  explain(topic: string, request: AclRequest): AclDecision {
    const wanted = request === 'read' ? READ : WRITE;
    if (topic.startsWith('$') && (systemVerdict(topic) & wanted) === 0) {
      return { allowed: false, rule: null, why: `clients may not ${request} ${topic.split('/')[0]} topics` };
    }
    if (this.#user === null) return { allowed: true, rule: null, why: 'no acl_file applies' };
    return (
      decide(this.#user.matching(topic), wanted) ??
      this.#patterns?.explain(topic, wanted) ?? { allowed: false, rule: null, why: 'no rule grants it' }
    );
  }
}

/** The rights of a client that may have come through any of several listeners: what one of them allows. */
export class AnyAcl implements TopicAcl {
  readonly #acls: readonly TopicAcl[];

  /** @param acls at least one */
  constructor(acls: readonly TopicAcl[]) {
    this.#acls = acls;
  }

  canRead(topic: string): boolean {
    return this.#acls.some((acl) => acl.canRead(topic));
  }

  canWrite(topic: string): boolean {
    return this.#acls.some((acl) => acl.canWrite(topic));
  }

  canSubscribe(filter: string): boolean {
    return this.#acls.some((acl) => acl.canSubscribe(filter));
  }

  canUnsubscribe(filter: string): boolean {
    return this.#acls.some((acl) => acl.canUnsubscribe(filter));
  }

  explain(topic: string, request: AclRequest): AclDecision {
    const decisions = this.#acls.map((acl) => acl.explain(topic, request));
    return decisions.find(({ allowed }) => allowed) ?? decisions[0]!;
  }
}

/** Without an `acl_file`: everything but what the broker itself forbids. */
export const OPEN_ACL = new ClientAcl({});

/** Whether the broker lets any client use the topic that way. */
export function mayTopicBeUsed(topic: string, request: AclRequest): boolean {
  if (topic.charCodeAt(0) !== DOLLAR) return true;
  return (systemVerdict(topic) & (request === 'read' ? READ : WRITE)) !== 0;
}

/** What the broker lets anybody do with a topic that begins with `$`, whatever `acl_file` says. */
function systemVerdict(topic: string): Verdict {
  if (topic.startsWith('$share')) return 0;
  if (!topic.startsWith('$SYS')) return READ | WRITE;
  return /^\$SYS\/broker\/connection\/[^/]*\/state$/.test(topic) ? READ | WRITE : READ;
}

/** The rules of one `user`, or of anonymous clients. */
class UserRules {
  /** The rights of those to whom no patterns apply. */
  readonly alone: ClientAcl;
  readonly #tree: AclRuleTree<AclRule>;
  readonly #remembered = new RememberedVerdicts<Verdict>();

  constructor(rules: AclRule[]) {
    this.#tree = new AclRuleTree(rules, 'literal');
    this.alone = new ClientAcl({ user: this });
  }

  verdict(topic: string): Verdict {
    const known = this.#remembered.get(topic);
    return known !== undefined ? known : this.#remembered.add(topic, verdictOf(this.matching(topic)));
  }

  matching(topic: string): AclRule[] {
    return this.#tree.matching(topic, NOBODY);
  }
}

/** Rules of a user have no templates to fill in. */
const NOBODY: AclSubject = { clientId: '', username: undefined };

/** All `pattern` rules of a file. */
class PatternRules {
  readonly #rules: AclRule[];
  readonly #tree: AclRuleTree<AclRule>;

  constructor(rules: AclRule[]) {
    this.#rules = rules;
    this.#tree = new AclRuleTree(rules, 'templates');
  }

  forSubject(subject: AclSubject): SubjectPatterns {
    return new SubjectPatterns(this.#tree, this.#wideDenials(subject), subject);
  }

  /**
   * A client id `a/b` or `$x` matches no level of a topic, so that it opens nothing. It must not open anything by
   * escaping a `deny` either: those also hold for the filter that filling in the text as it is would give.
   */
  #wideDenials(subject: AclSubject): AclRuleTree<AclRule> | null {
    if (!isWide(subject.clientId) && !isWide(subject.username)) return null;
    const denials: AclRule[] = [];
    for (const rule of this.#rules) {
      const filter = rule.access === 'deny' ? fillIn(rule.filter, subject) : null;
      if (filter !== null) denials.push({ ...rule, filter });
    }
    return new AclRuleTree(denials, 'literal');
  }
}

function isWide(name: string | undefined): boolean {
  return name !== undefined && (name.includes('/') || name.startsWith('$'));
}

/** The patterns as they stand for one client. */
class SubjectPatterns {
  readonly #tree: AclRuleTree<AclRule>;
  readonly #wideDenials: AclRuleTree<AclRule> | null;
  readonly #subject: AclSubject;
  /** Set for a client id or username with a wildcard: patterns then grant nothing. */
  readonly #danger: string | null;
  readonly #remembered = new RememberedVerdicts<Verdict>();

  constructor(tree: AclRuleTree<AclRule>, wideDenials: AclRuleTree<AclRule> | null, subject: AclSubject) {
    this.#tree = tree;
    this.#wideDenials = wideDenials;
    this.#subject = subject;
    this.#danger = dangerOf(subject);
  }

  verdict(topic: string): Verdict {
    if (this.#danger !== null) return DENY;
    const known = this.#remembered.get(topic);
    return known !== undefined ? known : this.#remembered.add(topic, verdictOf(this.#matching(topic)));
  }

  explain(topic: string, wanted: Verdict): AclDecision | null {
    if (this.#danger !== null) return { allowed: false, rule: null, why: this.#danger };
    return decide(this.#matching(topic), wanted);
  }

  #matching(topic: string): AclRule[] {
    const found = this.#tree.matching(topic, this.#subject);
    if (this.#wideDenials !== null) appendAll(found, this.#wideDenials.matching(topic, NOBODY));
    return found;
  }
}

/** In Mosquitto's words, which it logs as a notice. */
function dangerOf({ username, clientId }: AclSubject): string | null {
  if (username !== undefined && /[+#]/.test(username)) {
    return `ACL denying access to client with dangerous username "${username}"`;
  }
  if (/[+#]/.test(clientId)) return `ACL denying access to client with dangerous client id "${clientId}"`;
  return null;
}

function verdictOf(matching: AclRule[]): Verdict {
  let verdict = 0;
  for (const rule of matching) verdict |= verdictOfRule(rule);
  return verdict;
}

function verdictOfRule({ access }: AclRule): Verdict {
  if (access === 'deny') return DENY;
  if (access === 'readwrite') return READ | WRITE;
  return access === 'read' ? READ : WRITE;
}

/** @returns null if no rule decides. */
function decide(matching: AclRule[], wanted: Verdict): AclDecision | null {
  let decisive: AclRule | null = null;
  let denied = false;
  for (const rule of matching) {
    const isDeny = rule.access === 'deny';
    if (!isDeny && (denied || (verdictOfRule(rule) & wanted) === 0)) continue;
    // Among denials the later line comes first, among the others the earlier one [mosq: acl_file].
    const better =
      decisive === null ||
      isDeny !== denied ||
      (isDeny ? rule.line > decisive.line : rule.line < decisive.line);
    if (better) decisive = rule;
    denied = isDeny;
  }
  if (decisive === null) return null;
  return { allowed: !denied, rule: decisive, why: `${decisive.file}:${decisive.line} "${decisive.text}"` };
}
