/**
 * Access rules in a tree of topic levels. The time to find every rule whose filter matches a topic grows with the
 * levels of the topic, not with the number of rules.
 *
 * A level that contains `%c` or `%u` is stored as a template. A lookup fills in the client's id and username and
 * compares the result with one level of the topic. So one tree serves all clients, and a client id or username with a
 * `/` never matches more than one level.
 */
import { appendAll } from '../base/append-all.js';

/** The client whose id and username fill in the templates. */
export interface AclSubject {
  clientId: string;
  /** undefined for a client without username: templates with `%u` match nothing for it. */
  username: string | undefined;
}

class Node<Rule> {
  readonly children = new Map<string, Node<Rule>>();
  readonly templates = new Map<string, Node<Rule>>();
  plus: Node<Rule> | null = null;
  /** Rules whose filter ends here. */
  readonly rules: Rule[] = [];
  /** Rules whose filter is this node's followed by `/#`. */
  readonly hashRules: Rule[] = [];
}

/** Where `%c` and `%u` in the filters stand for the client's id and username. */
export type Templates = 'templates' | 'whole-level templates' | 'literal';

export class AclRuleTree<Rule extends { readonly filter: string }> {
  readonly #root = new Node<Rule>();

  constructor(rules: Iterable<Rule>, templates: Templates) {
    for (const rule of rules) this.#add(rule, templates);
  }

  #add(rule: Rule, templates: Templates): void {
    const levels = rule.filter.split('/');
    const endsInHash = levels.at(-1) === '#';
    if (endsInHash) levels.pop();
    let node = this.#root;
    for (const level of levels) {
      if (level === '+') {
        node.plus ??= new Node();
        node = node.plus;
      } else {
        node = childOf(isTemplate(level, templates) ? node.templates : node.children, level);
      }
    }
    (endsInHash ? node.hashRules : node.rules).push(rule);
  }

  /** Every rule that matches the topic name, in no particular order. */
  matching(topic: string, subject: AclSubject): Rule[] {
    const found: Rule[] = [];
    collect(this.#root, { levels: topic.split('/'), subject, found }, 0);
    return found;
  }
}

interface Search<Rule> {
  levels: string[];
  subject: AclSubject;
  found: Rule[];
}

function collect<Rule>(node: Node<Rule>, search: Search<Rule>, depth: number): void {
  const level = search.levels[depth];
  // A filter that does not begin with `$` never matches a topic that does [MQTT-4.7.2-1] [mosq: acl_file].
  const literalOnly = depth === 0 && level!.startsWith('$');
  if (!literalOnly) appendAll(search.found, node.hashRules);
  if (level === undefined) {
    appendAll(search.found, node.rules);
    return;
  }
  const child = node.children.get(level);
  if (child !== undefined) collect(child, search, depth + 1);
  if (literalOnly) return;
  if (node.plus !== null) collect(node.plus, search, depth + 1);
  for (const [template, next] of node.templates) {
    if (fillIn(template, search.subject) === level) collect(next, search, depth + 1);
  }
}

function childOf<Rule>(children: Map<string, Node<Rule>>, level: string): Node<Rule> {
  let child = children.get(level);
  if (child === undefined) {
    child = new Node<Rule>();
    children.set(level, child);
  }
  return child;
}

function isTemplate(level: string, templates: Templates): boolean {
  if (templates === 'literal') return false;
  if (templates === 'whole-level templates') return level === '%c' || level === '%u';
  return level.includes('%c') || level.includes('%u');
}

/** @returns null if the template contains `%u` and the client has no username */
export function fillIn(template: string, { clientId, username }: AclSubject): string | null {
  if (username === undefined && template.includes('%u')) return null;
  return template.replace(/%[cu]/g, (mark) => (mark === '%c' ? clientId : username!));
}
