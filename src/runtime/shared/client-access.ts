/**
 * Decides in one worker who may connect and what clients may do, by the files that main has read and by the settings.
 * The options of a listener say what it asks of its clients; a file that several listeners name is parsed once.
 */

import { setTimeout as wait } from 'node:timers/promises';
import { type AclChecker, AnyAcl, compileAcl, type TopicAcl } from '../../auth/acl-check.js';
import { parseAclFile } from '../../auth/acl-file.js';
import { Authenticator, type ListenerAccess } from '../../auth/authenticator.js';
import type { DynamicSecurityTables } from '../../auth/dynamic-security/tables.js';
import { type PasswordFile, parsePasswordFile } from '../../auth/password-file.js';
import { assert } from '../../base/assert.js';
import type { Access, Admission, AdmittedLogin, Login } from '../../broker/ports.js';
import { isTls } from '../../config/listener-tls.js';
import type { ListenerSettings, Settings } from '../../config/settings.js';
import type { FileTexts } from '../../routing/messages.js';

interface AclRules {
  /** `null` without an `acl_file`. */
  acl: AclChecker | null;
  refusesSpecialChars: boolean;
}

interface ListenerRules extends AclRules {
  access: ListenerAccess;
  /** `null` if dynamic security does not decide about the listener's clients. */
  dynamic: DynamicSecurityTables | null;
}

/** The rules for clients whose names could be mistaken for wildcards [mosq: auth_plugin_deny_special_chars]. */
const NOBODY = compileAcl([]);

export class ClientAccess implements Access {
  readonly #authenticator = new Authenticator({
    now: () => performance.now(),
    wait: (milliseconds) => wait(milliseconds),
  });
  #listeners: ListenerRules[];
  readonly #tables: DynamicSecurityTables | null;

  /** @param tables of dynamic security; `null` without it */
  constructor(settings: Settings, files: FileTexts, tables: DynamicSecurityTables | null) {
    this.#tables = tables;
    this.#listeners = rulesOf(settings, files, tables);
  }

  /** New settings and files, all of which main has found to be right. */
  replace(settings: Settings, files: FileTexts): void {
    this.#listeners = rulesOf(settings, files, this.#tables);
  }

  login(login: Login): Admission | Promise<Admission> {
    const { access } = this.#listeners[login.listener]!;
    const generation = this.#tables?.generation;
    const answer = this.#authenticator.login(access, login.request);
    return answer instanceof Promise ? this.#inForce(login, access, generation, answer) : answer;
  }

  /** Asks again if a reload, or a change of dynamic security, came before the answer: the rules count that are in force when the client is let in. */
  async #inForce(
    { listener, request }: Login,
    asked: ListenerAccess,
    askedGeneration: number | undefined,
    answering: Promise<Admission>,
  ): Promise<Admission> {
    let access = asked;
    let generation = askedGeneration;
    let answer = await answering;
    const isOld = () =>
      access !== this.#listeners[listener]!.access || generation !== this.#tables?.generation;
    while (answer.admitted && isOld()) {
      access = this.#listeners[listener]!.access;
      generation = this.#tables?.generation;
      if (await this.#authenticator.isStillAdmitted(access, request, answer)) continue;
      answer = await this.#authenticator.login(access, request);
    }
    return answer;
  }

  isStillAdmitted({ login: { listener, request }, admission }: AdmittedLogin): Promise<boolean> {
    return this.#authenticator.isStillAdmitted(this.#listeners[listener]!.access, request, admission);
  }

  aclOf(listener: number | null, username: string | undefined, clientId: string): TopicAcl | null {
    if (listener !== null) return aclUnder(this.#listeners[listener]!, username, clientId);
    const [first, ...others] = this.#listeners;
    if (others.every(({ acl, dynamic }) => acl === first!.acl && dynamic === first!.dynamic))
      return aclUnder(first!, username, clientId);
    const acls: TopicAcl[] = [];
    for (const rules of this.#listeners) {
      const acl = aclUnder(rules, username, clientId);
      if (acl === null) return null;
      acls.push(acl);
    }
    return new AnyAcl(acls);
  }
}

/** @returns `null` with neither an `acl_file` nor dynamic security */
function aclUnder(rules: ListenerRules, username: string | undefined, clientId: string): TopicAcl | null {
  const file = fileAclUnder(rules, username, clientId);
  return rules.dynamic === null ? file : rules.dynamic.forClient(username, clientId, file);
}

/** @returns `null` without an `acl_file` */
function fileAclUnder(
  { acl, refusesSpecialChars }: AclRules,
  username: string | undefined,
  clientId: string,
): TopicAcl | null {
  if (acl === null) return null;
  const isRefused = refusesSpecialChars && (hasSpecialChars(username ?? '') || hasSpecialChars(clientId));
  return (isRefused ? NOBODY : acl).forClient(username, clientId);
}

function rulesOf(
  settings: Settings,
  files: FileTexts,
  tables: DynamicSecurityTables | null,
): ListenerRules[] {
  const passwords = new Map<string, PasswordFile>();
  const acls = new Map<string, AclChecker>();
  return settings.listeners.map((listener) => {
    const dynamic = listener.usesDynamicSecurity ? tables : null;
    const known = parsedOnce(passwords, listener.passwordFile, passwordsOf);
    return {
      access: listenerAccess(listener, settings, known, dynamic),
      acl: parsedOnce(acls, listener.aclFile, aclFrom),
      refusesSpecialChars: listener.aclRefusesSpecialChars,
      dynamic,
    };
  });

  function passwordsOf(file: string): PasswordFile {
    const parsed = parsePasswordFile(file, files.get(file)!);
    assert(parsed.ok, 'main has checked the password file');
    return parsed.passwords;
  }

  function aclFrom(file: string): AclChecker {
    const parsed = parseAclFile(file, files.get(file)!);
    assert(parsed.ok, 'main has checked the ACL file');
    return compileAcl(parsed.rules);
  }
}

/** [mosq: auth_plugin_deny_special_chars] */
function hasSpecialChars(name: string): boolean {
  return /[+#/]/.test(name);
}

function parsedOnce<T>(
  known: Map<string, T>,
  file: string | undefined,
  parse: (file: string) => T,
): T | null {
  if (file === undefined) return null;
  const before = known.get(file);
  if (before !== undefined) return before;
  const parsed = parse(file);
  known.set(file, parsed);
  return parsed;
}

function listenerAccess(
  listener: ListenerSettings,
  { clientidPrefixes, delayFailedLogins }: Settings,
  passwords: PasswordFile | null,
  users: DynamicSecurityTables | null,
): ListenerAccess {
  const { allowAnonymous } = listener;
  const { useIdentityAsUsername, useSubjectAsUsername, useUsernameAsClientid } = listener;
  return {
    allowAnonymous,
    passwords,
    users,
    tls: isTls(listener) || listener.enableProxyProtocol === 2,
    useIdentityAsUsername,
    useSubjectAsUsername,
    useUsernameAsClientid,
    clientidPrefixes,
    delayFailedLogins,
  };
}
