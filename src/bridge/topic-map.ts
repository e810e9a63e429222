/**
 * Maps topics by the `topic` lines of a bridge: the filters it subscribes to on either side, and the topic under which a
 * message of one side appears on the other [mosq: topic].
 *
 *   topic PATTERN both 1 LOCAL REMOTE        local  LOCAL + PATTERN  ⇄  REMOTE + PATTERN  remote
 */
import type { BridgeDirection, BridgeTopic } from '../config/option-types.js';
import type { Qos } from '../mqtt/packets.js';
import { topicMatchesFilter } from '../topic/topic-filter.js';

export interface BridgeFilter {
  filter: string;
  qos: Qos;
}

/** A line that changes names: from a topic that matches `filter`, `strip` goes and `prepend` comes. */
interface Rule {
  filter: string;
  strip: string;
  prepend: string;
}

export class TopicMap {
  /** What the bridge wants to hear of on this broker. */
  readonly localFilters: readonly BridgeFilter[];
  /** What the bridge wants to hear of on the other broker. */
  readonly remoteFilters: readonly BridgeFilter[];
  /** The remote names of topics that only go out, to unsubscribe from [mosq: bridge_attempt_unsubscribe]. */
  readonly unwantedRemoteFilters: readonly string[];
  readonly #toRemote: readonly Rule[];
  readonly #toLocal: readonly Rule[];

  constructor(lines: readonly BridgeTopic[]) {
    const out = lines.filter(({ direction }) => leadsTo(direction, 'out'));
    const incoming = lines.filter(({ direction }) => leadsTo(direction, 'in'));
    this.localFilters = filters(out, localName);
    this.remoteFilters = filters(incoming, remoteName);
    const wanted = new Set(this.remoteFilters.map(({ filter }) => filter));
    this.unwantedRemoteFilters = filters(out, remoteName)
      .map(({ filter }) => filter)
      .filter((filter) => !wanted.has(filter));
    this.#toRemote = out.filter(changesNames).map((line) => ({
      filter: localName(line),
      strip: line.localPrefix ?? '',
      prepend: line.remotePrefix ?? '',
    }));
    this.#toLocal = incoming.filter(changesNames).map((line) => ({
      filter: remoteName(line),
      strip: line.remotePrefix ?? '',
      prepend: line.localPrefix ?? '',
    }));
  }

  /** The name on the other broker; may be empty, which is no topic. */
  toRemote(localTopic: string): string {
    return mapped(localTopic, this.#toRemote);
  }

  /** The name on this broker; may be empty, which is no topic. */
  toLocal(remoteTopic: string): string {
    return mapped(remoteTopic, this.#toLocal);
  }
}

function leadsTo(direction: BridgeDirection, way: 'in' | 'out'): boolean {
  return direction === 'both' || direction === way;
}

const localName = ({ localPrefix = '', pattern }: BridgeTopic): string => localPrefix + pattern;
const remoteName = ({ remotePrefix = '', pattern }: BridgeTopic): string => remotePrefix + pattern;

/** Lines without prefixes are passed over when a name is looked up, so that later ones may still change it. */
const changesNames = ({ localPrefix, remotePrefix }: BridgeTopic): boolean =>
  localPrefix !== undefined || remotePrefix !== undefined;

/** Each filter once: of lines that differ in QoS only the last one counts, as with any two subscriptions. */
function filters(lines: readonly BridgeTopic[], nameOf: (line: BridgeTopic) => string): BridgeFilter[] {
  const qosOf = new Map<string, Qos>();
  for (const line of lines) qosOf.set(nameOf(line), line.qos);
  return [...qosOf].map(([filter, qos]) => ({ filter, qos }));
}

/**
 * The first line that matches decides, whichever subscription brought the message. `L` matches `L/#` without
 * beginning with `L/`: then nothing is cut off [mosq: topic].
 */
function mapped(topic: string, rules: readonly Rule[]): string {
  for (const { filter, strip, prepend } of rules) {
    if (!topicMatchesFilter(topic, filter)) continue;
    return prepend + (topic.startsWith(strip) ? topic.slice(strip.length) : topic);
  }
  return topic;
}
