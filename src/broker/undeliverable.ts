/**
 * The topics of stored messages that no client would take, because a text of theirs has a control character or a
 * non-character: each is named once. A retained message of this kind stays stored, and no client can clear it.
 */

/** Topics that are named: an import may bring any number. */
const NAMED_MAX = 100;

export class UndeliverableTopics {
  readonly #named = new Set<string>();

  /** @returns whether the topic is to be named now */
  add(topic: string): boolean {
    if (this.isFull || this.#named.has(topic)) return false;
    this.#named.add(topic);
    return true;
  }

  /** No more are named. */
  get isFull(): boolean {
    return this.#named.size === NAMED_MAX;
  }
}
