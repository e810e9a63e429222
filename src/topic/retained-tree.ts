/**
 * The retained messages, one a topic, in a tree of topic levels: a subscription walks only the branches that can
 * match. Siblings keep the order in which they were first created, as Mosquitto delivers them.
 */
import { assert } from '../base/assert.js';

/** What the tree has to know of a message. */
interface RetainedMessage {
  readonly topic: string;
  readonly payloadLength: number;
}

class Node<M> {
  /** `null` until there is a first child: most nodes are leaves. */
  children: Map<string, Node<M>> | null = null;
  message: M | null = null;
}

export class RetainedTree<M extends RetainedMessage> {
  readonly #root = new Node<M>();
  #size = 0;
  #bytes = 0;

  get size(): number {
    return this.#size;
  }

  /** Payload bytes of all messages. */
  get bytes(): number {
    return this.#bytes;
  }

  get(topic: string): M | undefined {
    let node: Node<M> | undefined = this.#root;
    for (const level of topic.split('/')) {
      node = node.children?.get(level);
      if (node === undefined) return undefined;
    }
    return node.message ?? undefined;
  }

  /** Sets the message of `message.topic`. The tree holds the object itself, not a copy. */
  set(message: M): void {
    let node = this.#root;
    for (const level of message.topic.split('/')) {
      node.children ??= new Map();
      let child = node.children.get(level);
      if (child === undefined) {
        child = new Node<M>();
        node.children.set(level, child);
      }
      node = child;
    }
    if (node.message === null) this.#size += 1;
    else this.#bytes -= node.message.payloadLength;
    this.#bytes += message.payloadLength;
    node.message = message;
  }

  /** Removes the topic's message and the branch that only led to it. */
  delete(topic: string): boolean {
    const levels = topic.split('/');
    const path: Node<M>[] = [this.#root];
    for (const level of levels) {
      const child: Node<M> | undefined = path[path.length - 1]!.children?.get(level);
      if (child === undefined) return false;
      path.push(child);
    }
    const leaf = path[path.length - 1]!;
    if (leaf.message === null) return false;
    this.#size -= 1;
    this.#bytes -= leaf.message.payloadLength;
    leaf.message = null;
    for (let i = levels.length; i > 0; i -= 1) {
      const node = path[i]!;
      if (node.message !== null || node.children !== null) break;
      const parent = path[i - 1]!;
      parent.children!.delete(levels[i - 1]!);
      if (parent.children!.size === 0) parent.children = null;
    }
    if (this.#size === 0) assert(this.#root.children === null, 'a branch is left that leads to no message');
    return true;
  }

  /** Visits the messages whose topic matches the filter. A leading wildcard matches no `$` topic [MQTT-4.7.2-1]. */
  match(filter: string, visit: (message: M) => void): void {
    walk(this.#root, filter.split('/'), 0, visit);
  }

  /** Every message, in the order of `match('#')`, those below `$` included. */
  all(visit: (message: M) => void): void {
    walkAll(this.#root, visit);
  }
}

function walk<M>(node: Node<M>, levels: string[], depth: number, visit: (message: M) => void): void {
  const level = levels[depth];
  if (level === undefined) {
    if (node.message !== null) visit(node.message);
    return;
  }
  if (level !== '#' && level !== '+') {
    const child = node.children?.get(level);
    if (child !== undefined) walk(child, levels, depth + 1, visit);
    return;
  }
  if (level === '#' && depth > 0 && node.message !== null) visit(node.message);
  for (const [name, child] of node.children ?? []) {
    if (depth === 0 && name.startsWith('$')) continue;
    if (level === '+') walk(child, levels, depth + 1, visit);
    else walkAll(child, visit);
  }
}

function walkAll<M>(node: Node<M>, visit: (message: M) => void): void {
  if (node.message !== null) visit(node.message);
  for (const child of node.children?.values() ?? []) walkAll(child, visit);
}
