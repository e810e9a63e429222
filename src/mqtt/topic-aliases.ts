/** Topic aliases of one connection, one direction each [MQTT 5.0, 3.3.2.3.4]. */
import type { Publication } from './publication.js';
import type { Delivery } from './publish-writer.js';
import { ReasonCode } from './reason-codes.js';

/** Aliases that the other side has set. */
export class ReceivedAliases<Topic> {
  readonly #maximum: number;
  readonly #topics = new Map<number, Topic>();

  /** @param maximum the largest alias that the other side was allowed; 0 = none */
  constructor(maximum: number) {
    this.#maximum = maximum;
  }

  /** [MQTT-3.3.2-8], [MQTT-3.3.2-9], [MQTT-3.3.2-11] */
  allows(alias: number): boolean {
    return alias > 0 && alias <= this.#maximum;
  }

  set(alias: number, topic: Topic): void {
    this.#topics.set(alias, topic);
  }

  /** @returns `undefined` for an alias that was never set */
  get(alias: number): Topic | undefined {
    return this.#topics.get(alias);
  }
}

/**
 * Remembers the topic of a PUBLISH that has an alias, or puts it in place of the missing one.
 * @returns 0, or the reason code with which the connection is to be closed
 */
export function resolveAlias(aliases: ReceivedAliases<Uint8Array>, publication: Publication): number {
  const { topicAlias, buffer, topicStart, topicEnd } = publication;
  if (!aliases.allows(topicAlias)) return ReasonCode.topicAliasInvalid;
  if (topicStart !== topicEnd) {
    aliases.set(topicAlias, new Uint8Array(buffer.subarray(topicStart, topicEnd)));
    return 0;
  }
  const topic = aliases.get(topicAlias);
  if (topic === undefined) return ReasonCode.protocolError;
  publication.replaceTopic(topic);
  return 0;
}

/** Aliases that this side sets: the first topics get them, later ones go without [mosq: max_topic_alias_broker]. */
export class SentAliases {
  readonly #maximum: number;
  readonly #aliases = new Map<string, number>();

  /** @param maximum how many the other side takes */
  constructor(maximum: number) {
    this.#maximum = maximum;
  }

  /** Sets alias and topic of a PUBLISH that is about to be written. */
  choose(delivery: Delivery, topic: string): void {
    const known = this.#aliases.get(topic);
    delivery.withTopic = known === undefined;
    if (known !== undefined) delivery.topicAlias = known;
    else delivery.topicAlias = this.#aliases.size < this.#maximum ? this.#aliases.size + 1 : 0;
  }

  /** The PUBLISH is written: the alias that it sets, if it sets one, is in force. */
  written({ withTopic, topicAlias }: Delivery, topic: string): void {
    if (withTopic && topicAlias !== 0) this.#aliases.set(topic, topicAlias);
  }
}
