/**
 * Who gets a message: this worker's own subscriptions, and which of the other workers have any that match.
 *
 * The table is a tree of filters (`TopicTrie`) behind a cache by topic (`RouteCache`). A publish looks its topic
 * up by its bytes; the tree is walked, and the topic's characters are checked, only when the topic is new or the
 * subscriptions have changed since.
 */
import { appendAll } from '../base/append-all.js';
import { asBuffer } from '../base/as-buffer.js';
import { assert } from '../base/assert.js';
import { Subscription } from '../session/subscription.js';
import { parseSharedFilter } from '../topic/topic-filter.js';
import { isValidTopicName } from '../topic/topic-name.js';
import { TopicTrie } from '../topic/topic-trie.js';

/** Where there are none; nothing is put into them. */
const NO_SUBSCRIPTIONS: Subscription[] = [];
const NO_GROUPS: SharedGroup[] = [];

/** The members of one shared subscription `$share/GROUP/FILTER`, on this worker and, as numbers, on others. */
export class SharedGroup {
  /** `$share/GROUP/FILTER`: the name of the group between workers. */
  readonly key: string;
  members = NO_SUBSCRIPTIONS;
  /** How many of them are durable. */
  durable = 0;
  /** Members on other workers, by worker number. */
  readonly remoteMembers = new Map<number, number>();
  /** Bit n: worker n stores what its members get. */
  remoteDurable = 0;
  #turn = 0;
  #localTurn = 0;
  #passTurn = 0;

  constructor(key: string) {
    this.key = key;
  }

  get isEmpty(): boolean {
    return this.members.length === 0 && this.remoteMembers.size === 0;
  }

  /**
   * Whose turn it is among all members, everywhere: strict round robin [MQTT-4.8.2-4].
   * @returns a member of this worker, or the number of the worker that is to choose one of its own
   */
  next(): Subscription | number | undefined {
    let total = this.members.length;
    for (const count of this.remoteMembers.values()) total += count;
    if (total === 0) return undefined;
    let turn = this.#turn % total;
    this.#turn = turn + 1;
    if (turn < this.members.length) return this.members[turn];
    turn -= this.members.length;
    for (const [worker, count] of this.remoteMembers) {
      if (turn < count) return worker;
      turn -= count;
    }
    return undefined;
  }

  /**
   * As `next`, but passes over members of this worker that may not read the topic: a message must not be lost to
   * the others because it was their turn.
   */
  nextReader(topic: string): Subscription | number | undefined {
    for (let passedOver = 0; passedOver <= this.members.length; passedOver += 1) {
      const next = this.next();
      if (typeof next !== 'object' || mayRead(next, topic)) return next;
    }
    return undefined;
  }

  /** The next member of this worker, for a message that another worker sent here. */
  nextLocal(topic: string): Subscription | undefined {
    const { members } = this;
    for (let passedOver = 0; passedOver < members.length; passedOver += 1) {
      const turn = this.#localTurn % members.length;
      this.#localTurn = turn + 1;
      if (mayRead(members[turn]!, topic)) return members[turn];
    }
    return undefined;
  }

  /**
   * A worker with members, for a message that nobody here may read though it was this worker's turn.
   * @param asked bit n: worker n had the message and no reader for it
   */
  nextElsewhere(asked: number): number | undefined {
    const workers = [...this.remoteMembers.keys()].filter((worker) => (asked & (1 << worker)) === 0);
    this.#passTurn += 1;
    return workers[this.#passTurn % workers.length];
  }
}

function mayRead({ session }: Subscription, topic: string): boolean {
  return session.rights === null || session.rights.canRead(topic);
}

/** Everything subscribed to one filter, if that is not just one subscription of this worker. */
class FilterSubscribers {
  readonly filter: string;
  subscriptions = NO_SUBSCRIPTIONS;
  groups: Map<string, SharedGroup> | null = null;
  /** How many of them are durable. */
  durable = 0;
  /** Bit n: worker n has subscriptions to this filter. */
  remote = 0;
  /** Bit n: some of them are durable. */
  remoteDurable = 0;

  constructor(filter: string) {
    this.filter = filter;
  }
}

/** The only subscription to a filter stands for itself: of most filters there is no other. */
type Subscribers = Subscription | FilterSubscribers;

/** Where messages of one topic go. Valid as long as `generation` is the table's. */
export interface Route {
  readonly topic: string;
  readonly generation: number;
  readonly subscriptions: readonly Subscription[];
  readonly groups: readonly SharedGroup[];
  /** Bit n: worker n has ordinary subscriptions, and gets every message. */
  readonly remote: number;
  /** Bit n: worker n may get messages, be it as a turn of a shared group. */
  readonly workers: number;
  /** Bit n: worker n may store messages; an acknowledgement waits for that. */
  readonly durable: number;
}

/**
 * A change of what this worker wants to hear of: filter (or `$share/…` key), how many subscribers it has, and
 * whether any of them is durable.
 */
export type Interest = readonly [filter: string, count: number, durable?: true];

export class RouteTable {
  readonly #trie = new TopicTrie<Subscribers>();
  readonly #cache = new RouteCache();
  #generation = 0;
  /** Nodes of the tree that were looked at for the last topic that was not in the cache. Who has paid for it sets it to 0. */
  nodesWalked = 0;
  #isChanging = false;
  #subscriptionCount = 0;
  #sharedCount = 0;

  /** An exception has left a change half done: the table cannot be relied on any more. */
  get isBroken(): boolean {
    return this.#isChanging;
  }

  /** This worker's subscriptions, without the shared ones. */
  get subscriptionCount(): number {
    return this.#subscriptionCount;
  }

  get sharedSubscriptionCount(): number {
    return this.#sharedCount;
  }

  /** @returns what the other workers have to know, `null` where nothing changed for them */
  add(subscription: Subscription): Interest | null {
    this.#isChanging = true;
    const interest = this.#add(subscription);
    this.#isChanging = false;
    return interest;
  }

  #add(subscription: Subscription): Interest | null {
    this.#generation += 1;
    const shared = parseSharedFilter(subscription.filter);
    if (typeof shared === 'object') {
      const group = this.#group(shared.filter, shared.group, subscription.filter);
      group.members = withSubscription(group.members, subscription);
      if (subscription.durable) group.durable += 1;
      this.#sharedCount += 1;
      return interestIn(group);
    }
    this.#subscriptionCount += 1;
    const { filter, durable } = subscription;
    const known = this.#trie.get(filter);
    if (known === undefined) {
      this.#trie.set(filter, subscription);
      return interest(filter, 1, durable);
    }
    const subscribers = this.#unfolded(filter, known);
    subscribers.subscriptions = withSubscription(subscribers.subscriptions, subscription);
    if (durable) subscribers.durable += 1;
    const isFirst = subscribers.subscriptions.length === 1 || (durable && subscribers.durable === 1);
    return isFirst ? interest(filter, 1, subscribers.durable > 0) : null;
  }

  /** @returns what the other workers have to know, `null` where nothing changed for them */
  remove(subscription: Subscription): Interest | null {
    this.#isChanging = true;
    const interest = this.#remove(subscription);
    this.#isChanging = false;
    return interest;
  }

  #remove(subscription: Subscription): Interest | null {
    this.#generation += 1;
    const shared = parseSharedFilter(subscription.filter);
    if (typeof shared === 'object') {
      const group = this.#group(shared.filter, shared.group, subscription.filter);
      removeSubscription(group.members, subscription);
      if (subscription.durable) group.durable -= 1;
      this.#sharedCount -= 1;
      this.#dropGroupIfEmpty(shared.filter, shared.group);
      return interestIn(group);
    }
    this.#subscriptionCount -= 1;
    const { filter, durable } = subscription;
    const subscribers = this.#trie.get(filter);
    if (subscribers === subscription) {
      this.#trie.delete(filter);
      return interest(filter, 0, false);
    }
    assert(subscribers instanceof FilterSubscribers, 'what is removed was added before');
    removeSubscription(subscribers.subscriptions, subscription);
    if (durable) subscribers.durable -= 1;
    const left = subscribers.subscriptions.length;
    const wasLast = left === 0 || (durable && subscribers.durable === 0);
    this.#fold(subscribers);
    return wasLast ? interest(filter, Math.min(left, 1), subscribers.durable > 0) : null;
  }

  /** Another worker has said how many subscribers it has for a filter or a shared group. */
  setRemote(worker: number, [filter, count, isDurable]: Interest): void {
    this.#generation += 1;
    const durable = isDurable === true;
    const shared = parseSharedFilter(filter);
    if (typeof shared === 'object') {
      const group = this.#group(shared.filter, shared.group, filter);
      if (count > 0) group.remoteMembers.set(worker, count);
      else group.remoteMembers.delete(worker);
      group.remoteDurable = withBit(group.remoteDurable, worker, durable);
      this.#dropGroupIfEmpty(shared.filter, shared.group);
      return;
    }
    const subscribers = this.#unfolded(filter, this.#trie.get(filter));
    subscribers.remote = withBit(subscribers.remote, worker, count > 0);
    subscribers.remoteDurable = withBit(subscribers.remoteDurable, worker, durable);
    this.#fold(subscribers);
  }

  /** A worker has said all its interests: those known of it or of the worker before it are over. */
  replaceRemote(worker: number, interests: readonly Interest[]): void {
    this.#forgetRemote(worker, 0);
    for (const interest of interests) this.setRemote(worker, interest);
  }

  /** A worker died: its stored sessions go on wanting what they wanted, the others are gone. */
  forgetUnlessDurable(worker: number): void {
    this.#forgetRemote(worker, 1 << worker);
  }

  /** @param durable the worker's bit if its durable interests stay, else 0 */
  #forgetRemote(worker: number, durable: number): void {
    this.#generation += 1;
    const others = ~(1 << worker);
    for (const subscribers of [...this.#trie.values()]) {
      if (subscribers instanceof Subscription) continue;
      subscribers.remoteDurable &= others | durable;
      subscribers.remote &= others | (subscribers.remoteDurable & durable);
      for (const [name, group] of subscribers.groups ?? []) {
        group.remoteDurable &= others | durable;
        if ((group.remoteDurable & durable) === 0) group.remoteMembers.delete(worker);
        if (group.isEmpty) subscribers.groups!.delete(name);
      }
      this.#fold(subscribers);
    }
  }

  /** All that this worker wants to hear of, for a worker that has just begun. */
  interests(): Interest[] {
    const interests: Interest[] = [];
    for (const subscribers of this.#trie.values()) {
      const { filter } = subscribers;
      if (subscribers instanceof Subscription) {
        interests.push(interest(filter, 1, subscribers.durable));
        continue;
      }
      if (subscribers.subscriptions.length > 0) interests.push(interest(filter, 1, subscribers.durable > 0));
      for (const group of subscribers.groups?.values() ?? []) {
        if (group.members.length > 0) interests.push(interestIn(group));
      }
    }
    return interests;
  }

  /** A shared group by its key, for a message that another worker sent to its members here. */
  group(key: string): SharedGroup | undefined {
    const shared = parseSharedFilter(key);
    if (typeof shared !== 'object') return undefined;
    return this.#groupsOf(shared.filter)?.get(shared.group);
  }

  /**
   * The route of the topic in `buffer[start, end)` (hot path).
   * @returns `null` if that is no valid topic name
   */
  route(buffer: Uint8Array, start: number, end: number): Route | null {
    const hash = hashOf(buffer, start, end);
    const slot = this.#cache.find(hash, buffer, start, end);
    if (slot !== NOT_FOUND) {
      const cached = this.#cache.at(slot);
      if (cached.generation === this.#generation) return cached;
      const route = this.#find(cached.topic);
      this.#cache.replace(slot, route);
      return route;
    }
    if (!isValidTopicName(buffer, start, end)) return null;
    const route = this.#find(asBuffer(buffer).toString('utf8', start, end));
    if (end - start <= CACHED_TOPIC_BYTES_MAX) this.#cache.offer(route, hash, buffer, start, end);
    return route;
  }

  /** The route of a topic that is known to be valid. */
  routeOf(topic: string): Route {
    const bytes = Buffer.from(topic);
    return this.route(bytes, 0, bytes.length) ?? this.#find(topic);
  }

  /** Everything subscribed to the filter, in the form that has room for more. */
  #unfolded(filter: string, known: Subscribers | undefined): FilterSubscribers {
    if (known instanceof FilterSubscribers) return known;
    const subscribers = new FilterSubscribers(filter);
    if (known !== undefined) {
      subscribers.subscriptions = withSubscription(NO_SUBSCRIPTIONS, known);
      if (known.durable) subscribers.durable = 1;
    }
    this.#trie.set(filter, subscribers);
    return subscribers;
  }

  /** Something is gone: a subscription that is left alone stands for itself, and where nothing is left the filter goes. */
  #fold(subscribers: FilterSubscribers): void {
    if (subscribers.groups?.size === 0) subscribers.groups = null;
    if (subscribers.groups !== null || subscribers.remote !== 0) return;
    const { filter, subscriptions } = subscribers;
    if (subscriptions.length === 0) this.#trie.delete(filter);
    else if (subscriptions.length === 1) this.#trie.set(filter, subscriptions[0]!);
  }

  #groupsOf(filter: string): Map<string, SharedGroup> | null {
    const subscribers = this.#trie.get(filter);
    return subscribers instanceof FilterSubscribers ? subscribers.groups : null;
  }

  #group(filter: string, name: string, key: string): SharedGroup {
    const subscribers = this.#unfolded(filter, this.#trie.get(filter));
    subscribers.groups ??= new Map();
    let group = subscribers.groups.get(name);
    if (group === undefined) {
      group = new SharedGroup(key);
      subscribers.groups.set(name, group);
    }
    return group;
  }

  #dropGroupIfEmpty(filter: string, name: string): void {
    const subscribers = this.#trie.get(filter);
    if (!(subscribers instanceof FilterSubscribers)) return;
    if (subscribers.groups?.get(name)?.isEmpty) subscribers.groups.delete(name);
    this.#fold(subscribers);
  }

  #find(topic: string): Route {
    let subscriptions = NO_SUBSCRIPTIONS;
    let groups = NO_GROUPS;
    let remote = 0;
    let durable = 0;
    this.nodesWalked = this.#trie.match(topic, (subscribers) => {
      if (subscribers instanceof Subscription) {
        if (subscriptions === NO_SUBSCRIPTIONS) subscriptions = [subscribers];
        else subscriptions.push(subscribers);
        return;
      }
      if (subscriptions === NO_SUBSCRIPTIONS) subscriptions = [...subscribers.subscriptions];
      else appendAll(subscriptions, subscribers.subscriptions);
      if (subscribers.groups !== null) {
        if (groups === NO_GROUPS) groups = [];
        appendAll(groups, subscribers.groups.values());
      }
      remote |= subscribers.remote;
      durable |= subscribers.remoteDurable;
    });
    let workers = remote;
    for (const group of groups) {
      for (const worker of group.remoteMembers.keys()) workers |= 1 << worker;
      durable |= group.remoteDurable;
    }
    return {
      topic,
      generation: this.#generation,
      subscriptions,
      groups,
      remote,
      workers,
      durable,
    };
  }
}

function withBit(mask: number, bit: number, set: boolean): number {
  return set ? mask | (1 << bit) : mask & ~(1 << bit);
}

function interest(filter: string, count: number, durable: boolean): Interest {
  return durable ? [filter, count, true] : [filter, count];
}

function interestIn({ key, members, durable }: SharedGroup): Interest {
  return interest(key, members.length, durable > 0);
}

/** Up to so many subscriptions a list has room for just those that are in it: most lists stay short. */
const SHORT_LIST = 8;

/** @returns the list with the subscription at its end, be it a new list */
function withSubscription(list: Subscription[], subscription: Subscription): Subscription[] {
  subscription.slot = list.length;
  if (list.length < SHORT_LIST) return list.concat(subscription);
  list.push(subscription);
  return list;
}

/** The last one takes its place: thousands of clients with the same filter may go at once. */
function removeSubscription(list: Subscription[], subscription: Subscription): void {
  assert(list[subscription.slot] === subscription, 'what is removed was added before');
  const last = list.pop()!;
  if (last === subscription) return;
  list[subscription.slot] = last;
  last.slot = subscription.slot;
}

/** Slots of the cache; a power of two. Each holds one route, so the cache is bounded by design. */
const CACHE_SLOTS = 8192;

/** Longer topics are not remembered: a publisher could fill the memory with them. */
const CACHED_TOPIC_BYTES_MAX = 1024;

/** Instead of a slot. */
const NOT_FOUND = -1;

const NO_BYTES = new Uint8Array(0);

/**
 * Routes by the bytes of their topic. A topic has two slots that it can be in; the newer route wins. Only a topic that
 * comes a second time gets a slot: if each message has a topic of its own, routes that are never used again would live
 * just long enough to cost the garbage collector much.
 */
class RouteCache {
  readonly #routes: (Route | null)[] = new Array(CACHE_SLOTS).fill(null);
  readonly #topics: Uint8Array[] = new Array(CACHE_SLOTS).fill(NO_BYTES);
  /** Hashes of these topics: they differ from most others', without a look at the bytes. */
  readonly #hashes = new Int32Array(CACHE_SLOTS);
  /** Hashes of topics that came once. */
  readonly #seen = new Int32Array(CACHE_SLOTS);

  /** @returns its slot */
  find(hash: number, buffer: Uint8Array, start: number, end: number): number {
    const slot = hash & (CACHE_SLOTS - 1);
    if (this.#holds(slot, hash, buffer, start, end)) return slot;
    return this.#holds(slot ^ 1, hash, buffer, start, end) ? slot ^ 1 : NOT_FOUND;
  }

  at(slot: number): Route {
    return this.#routes[slot]!;
  }

  /** Puts a newer route of the same topic into the slot. */
  replace(slot: number, route: Route): void {
    this.#routes[slot] = route;
  }

  /** A route that was not found, of the topic in `buffer[start, end)`. */
  offer(route: Route, hash: number, buffer: Uint8Array, start: number, end: number): void {
    if (!this.#wasSeen(hash)) return;
    const slot = hash & (CACHE_SLOTS - 1);
    const other = slot ^ 1;
    if (!this.#isFree(slot, route)) {
      this.#routes[other] = this.#routes[slot]!;
      this.#topics[other] = this.#topics[slot]!;
      this.#hashes[other] = this.#hashes[slot]!;
    }
    this.#routes[slot] = route;
    this.#topics[slot] = new Uint8Array(buffer.subarray(start, end));
    this.#hashes[slot] = hash;
  }

  #holds(slot: number, hash: number, buffer: Uint8Array, start: number, end: number): boolean {
    return this.#hashes[slot] === hash && sameBytes(this.#topics[slot]!, buffer, start, end);
  }

  /** Subscriptions have changed since the route was found, and nobody has asked for it again. */
  #isFree(slot: number, { generation }: Route): boolean {
    const held = this.#routes[slot]!;
    return held === null || held.generation !== generation;
  }

  /** Whether it is the second time; other bits of the hash choose the slot, for topics that take turns. */
  #wasSeen(hash: number): boolean {
    const slot = (hash >>> 16) & (CACHE_SLOTS - 1);
    if (this.#seen[slot] === hash) return true;
    this.#seen[slot] = hash;
    return false;
  }
}

/** FNV-1a, with the upper bits folded into the lower ones, which choose the slot. */
function hashOf(buffer: Uint8Array, start: number, end: number): number {
  let h = 0x811c9dc5;
  for (let i = start; i < end; i += 1) h = Math.imul(h ^ buffer[i]!, 0x01000193);
  return h ^ (h >>> 15);
}

function sameBytes(bytes: Uint8Array, buffer: Uint8Array, start: number, end: number): boolean {
  const length = end - start;
  if (bytes.length !== length) return false;
  for (let i = 0; i < length; i += 1) if (bytes[i] !== buffer[start + i]) return false;
  return true;
}
