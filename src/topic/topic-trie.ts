/**
 * Topic filters in a tree, a node for each level, and the walk that finds every filter that a topic matches.
 *
 *   "a/b"  "a/+"  "a/#"  "+/b"          root ─┬─ "a" ─┬─ "b"   (a/b)
 *                                             │       ├─ +     (a/+)
 *                                             │       └─ #     (a/#)
 *                                             └─ +  ─── "b"    (+/b)
 *
 * The tree knows nothing of clients: it maps a filter to one value of type T.
 */
import { appendAll } from '../base/append-all.js';
import { assert } from '../base/assert.js';

class Node<T> {
  readonly children = new Map<string, Node<T>>();
  plus: Node<T> | null = null;
  /** The value of "…/#" below this node; such a filter has no further level, so it needs no node. */
  hash: T | undefined = undefined;
  value: T | undefined = undefined;

  isEmpty(): boolean {
    return (
      this.value === undefined && this.hash === undefined && this.plus === null && this.children.size === 0
    );
  }
}

export class TopicTrie<T> {
  readonly #root = new Node<T>();
  #size = 0;

  /** The number of filters. */
  get size(): number {
    return this.#size;
  }

  get(filter: string): T | undefined {
    const levels = filter.split('/');
    const hash = levels[levels.length - 1] === '#';
    if (hash) levels.pop();
    let node: Node<T> | null | undefined = this.#root;
    for (const level of levels) {
      node = level === '+' ? node.plus : node.children.get(level);
      if (node === null || node === undefined) return undefined;
    }
    return hash ? node.hash : node.value;
  }

  set(filter: string, value: T): void {
    const levels = filter.split('/');
    const hash = levels[levels.length - 1] === '#';
    if (hash) levels.pop();
    let node = this.#root;
    for (const level of levels) node = childOf(node, level);
    if ((hash ? node.hash : node.value) === undefined) this.#size += 1;
    if (hash) node.hash = value;
    else node.value = value;
  }

  /** Removes the filter and the branches that only led to it. */
  delete(filter: string): boolean {
    const levels = filter.split('/');
    const hash = levels[levels.length - 1] === '#';
    if (hash) levels.pop();
    const path: Node<T>[] = [this.#root];
    for (const level of levels) {
      const node: Node<T> = path[path.length - 1]!;
      const next = level === '+' ? node.plus : node.children.get(level);
      if (next === null || next === undefined) return false;
      path.push(next);
    }
    const last = path[path.length - 1]!;
    if ((hash ? last.hash : last.value) === undefined) return false;
    if (hash) last.hash = undefined;
    else last.value = undefined;
    this.#size -= 1;
    for (let i = path.length - 1; i > 0 && path[i]!.isEmpty(); i -= 1) {
      const level = levels[i - 1]!;
      if (level === '+') path[i - 1]!.plus = null;
      else path[i - 1]!.children.delete(level);
    }
    if (this.#size === 0) assert(this.#root.isEmpty(), 'a branch is left that leads to no filter');
    return true;
  }

  /**
   * Calls `visit` for every filter that matches the topic name: at each level the literal one first, then `+`,
   * then `#` [mosq: allow_duplicate_messages]. A leading wildcard does not match a topic that begins with `$`
   * [MQTT-4.7.2-1]; `a/#` matches `a` as well.
   */
  match(topic: string, visit: (value: T) => void): void {
    walk(this.#root, topic, 0, topic.startsWith('$'), visit);
  }

  *values(): Generator<T> {
    const pending: Node<T>[] = [this.#root];
    for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
      if (node.value !== undefined) yield node.value;
      if (node.hash !== undefined) yield node.hash;
      if (node.plus !== null) pending.push(node.plus);
      appendAll(pending, node.children.values());
    }
  }
}

function childOf<T>(node: Node<T>, level: string): Node<T> {
  if (level === '+') return (node.plus ??= new Node<T>());
  let child = node.children.get(level);
  if (child === undefined) {
    child = new Node<T>();
    node.children.set(level, child);
  }
  return child;
}

/**
 * @param start where the level begins in the topic; beyond its end behind the last one. The topic is not split: most
 * nodes have few children or none, and then its levels are nowhere needed as texts of their own.
 * @param literalOnly wildcards of this level do not count, because the topic begins with `$`
 */
function walk<T>(
  node: Node<T>,
  topic: string,
  start: number,
  literalOnly: boolean,
  visit: (value: T) => void,
): void {
  if (start > topic.length) {
    if (node.value !== undefined) visit(node.value);
    if (node.hash !== undefined && !literalOnly) visit(node.hash);
    return;
  }
  const slash = topic.indexOf('/', start);
  const end = slash < 0 ? topic.length : slash;
  const child = node.children.size === 0 ? undefined : node.children.get(topic.slice(start, end));
  if (child !== undefined) walk(child, topic, end + 1, false, visit);
  if (literalOnly) return;
  if (node.plus !== null) walk(node.plus, topic, end + 1, false, visit);
  if (node.hash !== undefined) visit(node.hash);
}
