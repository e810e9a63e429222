/** What was decided about topics: asking about the same one again costs little. */

/** Cached verdicts (one a topic) for the rules of a user, and for each client to which patterns apply. */
const REMEMBERED_TOPICS_MAX = 128;
/** Characters of a topic in the cache. Longer topics are looked up each time, so that they take no memory. */
const REMEMBERED_TOPIC_LENGTH_MAX = 512;

/** A cache of verdicts. The topic of the last lookup costs a comparison of two references only. */
export class RememberedVerdicts<Verdict extends number> {
  #lastTopic: string | null = null;
  #lastVerdict: Verdict | undefined = undefined;
  #byTopic: Map<string, Verdict> | null = null;

  get(topic: string): Verdict | undefined {
    if (topic === this.#lastTopic) return this.#lastVerdict;
    const known = this.#byTopic?.get(topic);
    if (known !== undefined) this.#setLast(topic, known);
    return known;
  }

  add(topic: string, verdict: Verdict): Verdict {
    if (topic.length > REMEMBERED_TOPIC_LENGTH_MAX) return verdict;
    this.#byTopic ??= new Map();
    if (this.#byTopic.size >= REMEMBERED_TOPICS_MAX) this.#byTopic.clear();
    this.#byTopic.set(topic, verdict);
    this.#setLast(topic, verdict);
    return verdict;
  }

  #setLast(topic: string, verdict: Verdict): void {
    this.#lastTopic = topic;
    this.#lastVerdict = verdict;
  }
}
