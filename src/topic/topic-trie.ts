/**
 * Topic filters, and the walk that finds every filter that a topic matches. A filter without wildcards matches the one
 * topic that is equal to it, so these are in a map. Those with wildcards are in a tree, a node for each level:
 *
 *   "a/+"  "a/#"  "a/+/c"  "+/b"        root ─┬─ "a" ─┬─ + ─── "c"   (a/+, a/+/c)
 *                                             │       └─ #           (a/#)
 *                                             └─ +  ─── "b"          (+/b)
 *
 * Neither knows anything of clients: they map a filter to one value of type T. A client may have a hundred thousand
 * filters: a filter without wildcards costs an entry of the map, and a node has a map of its own only if it has several
 * children.
 */
import { appendAll } from '../base/append-all.js';
import { assert } from '../base/assert.js';
import { FilterMap } from './filter-map.js';

class Node<T> {
  /** Its level in the filter. */
  readonly level: string;
  /** The only child that is neither `+` nor `#`; `null` if there is none, or if there are several. */
  child: Node<T> | null = null;
  /** The children that are neither `+` nor `#`, if there are several. */
  children: Map<string, Node<T>> | null = null;
  plus: Node<T> | null = null;
  /** The value of "…/#" below this node; such a filter has no further level, so it needs no node. */
  hash: T | undefined = undefined;
  value: T | undefined = undefined;

  constructor(level: string) {
    this.level = level;
  }

  isEmpty(): boolean {
    return (
      this.value === undefined &&
      this.hash === undefined &&
      this.plus === null &&
      this.child === null &&
      this.children === null
    );
  }

  next(level: string): Node<T> | null | undefined {
    if (level === '+') return this.plus;
    if (this.children !== null) return this.children.get(level);
    return this.child?.level === level ? this.child : null;
  }

  add(level: string): Node<T> {
    const node = new Node<T>(level);
    if (level === '+') {
      this.plus = node;
    } else if (this.children !== null) {
      this.children.set(level, node);
    } else if (this.child === null) {
      this.child = node;
    } else {
      this.children = new Map([
        [this.child.level, this.child],
        [level, node],
      ]);
      this.child = null;
    }
    return node;
  }

  remove(level: string): void {
    if (level === '+') {
      this.plus = null;
    } else if (this.children === null) {
      this.child = null;
    } else {
      this.children.delete(level);
      if (this.children.size === 0) this.children = null;
    }
  }
}

export class TopicTrie<T> {
  /** The filters without wildcards. */
  readonly #literal = new FilterMap<T>();
  readonly #root = new Node<T>('');
  /** The number of filters with wildcards. */
  #wildcards = 0;

  /** The number of filters. */
  get size(): number {
    return this.#literal.size + this.#wildcards;
  }

  get(filter: string): T | undefined {
    if (!hasWildcard(filter)) return this.#literal.get(filter);
    const levels = filter.split('/');
    const hash = endsInHash(levels);
    let node: Node<T> | null | undefined = this.#root;
    for (const level of levels) {
      node = node.next(level);
      if (node === null || node === undefined) return undefined;
    }
    return hash ? node.hash : node.value;
  }

  set(filter: string, value: T): void {
    if (!hasWildcard(filter)) {
      this.#literal.set(filter, value);
      return;
    }
    const levels = filter.split('/');
    const hash = endsInHash(levels);
    let node = this.#root;
    for (const level of levels) node = node.next(level) ?? node.add(level);
    if ((hash ? node.hash : node.value) === undefined) this.#wildcards += 1;
    if (hash) node.hash = value;
    else node.value = value;
  }

  /** Removes the filter and the branches that only led to it. */
  delete(filter: string): boolean {
    if (!hasWildcard(filter)) return this.#literal.delete(filter);
    const levels = filter.split('/');
    const hash = endsInHash(levels);
    const path: Node<T>[] = [this.#root];
    for (const level of levels) {
      const next = path[path.length - 1]!.next(level);
      if (next === null || next === undefined) return false;
      path.push(next);
    }
    const last = path[path.length - 1]!;
    if ((hash ? last.hash : last.value) === undefined) return false;
    if (hash) last.hash = undefined;
    else last.value = undefined;
    this.#wildcards -= 1;
    for (let i = path.length - 1; i > 0 && path[i]!.isEmpty(); i -= 1) path[i - 1]!.remove(levels[i - 1]!);
    if (this.#wildcards === 0) assert(this.#root.isEmpty(), 'a branch is left that leads to no filter');
    return true;
  }

  /**
   * Calls `visit` for every filter that matches the topic name: at each level the literal one first, then `+`,
   * then `#` [mosq: allow_duplicate_messages]; so the filter without wildcards is the first of all. A leading wildcard
   * does not match a topic that begins with `$` [MQTT-4.7.2-1]; `a/#` matches `a` as well.
   * @returns how many nodes were looked at
   */
  match(topic: string, visit: (value: T) => void): number {
    const literal = this.#literal.get(topic);
    if (literal !== undefined) visit(literal);
    return this.#wildcards > 0 ? walk(this.#root, topic, 0, topic.startsWith('$'), visit) : 0;
  }

  *values(): Generator<T> {
    yield* this.#literal.values();
    const pending: Node<T>[] = [this.#root];
    for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
      if (node.value !== undefined) yield node.value;
      if (node.hash !== undefined) yield node.hash;
      if (node.plus !== null) pending.push(node.plus);
      if (node.child !== null) pending.push(node.child);
      if (node.children !== null) appendAll(pending, node.children.values());
    }
  }
}

function hasWildcard(filter: string): boolean {
  return filter.includes('+') || filter.includes('#');
}

/** Takes a `#` off the end: its value is the node's before it. */
function endsInHash(levels: string[]): boolean {
  if (levels[levels.length - 1] !== '#') return false;
  levels.pop();
  return true;
}

/**
 * @param start where the level begins in the topic; beyond its end behind the last one. The topic is not split: most
 * nodes have few children or none, and then its levels are nowhere needed as texts of their own.
 * @param literalOnly wildcards of this level do not count, because the topic begins with `$`
 * @returns how many nodes were looked at
 */
function walk<T>(
  node: Node<T>,
  topic: string,
  start: number,
  literalOnly: boolean,
  visit: (value: T) => void,
): number {
  if (start > topic.length) {
    if (node.value !== undefined) visit(node.value);
    if (node.hash !== undefined && !literalOnly) visit(node.hash);
    return 1;
  }
  const slash = topic.indexOf('/', start);
  const end = slash < 0 ? topic.length : slash;
  const { child, children } = node;
  let nodes = 1;
  if (children !== null) {
    const next = children.get(topic.slice(start, end));
    if (next !== undefined) nodes += walk(next, topic, end + 1, false, visit);
  } else if (child !== null && child.level.length === end - start && topic.startsWith(child.level, start)) {
    nodes += walk(child, topic, end + 1, false, visit);
  }
  if (literalOnly) return nodes;
  if (node.plus !== null) nodes += walk(node.plus, topic, end + 1, false, visit);
  if (node.hash !== undefined) visit(node.hash);
  return nodes;
}
