/**
 * A client's QoS 2 messages between their PUBLISH and their PUBREL. They are routed at PUBREL, as Mosquitto does.
 *
 *   PUBLISH ──► unreleased ──PUBREL──► routed
 */
import { assert } from '../base/assert.js';
import { NumberMap } from '../base/number-map.js';
import type { Publication } from '../mqtt/publication.js';
import type { MessageStorage, StoredDelivery } from './session-storage.js';

interface ReceivedMessage {
  publication: Publication;
  entry: StoredDelivery | null;
}

/** Stands for a map with nothing in it, as most clients have: nothing is ever put into this one. */
const NONE = new NumberMap<never>();

const NO_IDENTIFIERS: readonly number[] = [];

export class Inbound {
  /** `null`: the session ends with its connection. */
  storage: MessageStorage | null = null;
  #messages: NumberMap<ReceivedMessage> = NONE;
  /** How many of them came on earlier connections. */
  #earlier = 0;
  #bytes = 0;
  #releasedCount = 0;

  /** How many messages that came on this connection wait for their PUBREL. */
  get receivedCount(): number {
    return Math.max(0, this.#messages.size - this.#earlier);
  }

  /** How many messages wait for their PUBREL, whenever they came. */
  get unreleasedCount(): number {
    return this.#messages.size;
  }

  /** Bytes of their payload. */
  get unreleasedBytes(): number {
    return this.#bytes;
  }

  /** How many messages have ever been released. */
  get releasedCount(): number {
    return this.#releasedCount;
  }

  /** The message received under this packet id and not yet released. */
  find(packetId: number): Publication | undefined {
    return this.#messages.get(packetId)?.publication;
  }

  /** Where that message is stored; `null` if it is not, or is not there. */
  findEntry(packetId: number): StoredDelivery | null {
    return this.#messages.get(packetId)?.entry ?? null;
  }

  /** Holds a message until its PUBREL; it replaces one of the same packet id. */
  receive(packetId: number, message: Publication): void {
    const { storage } = this;
    const replaced = this.#messages.get(packetId);
    this.#bytes += message.payloadLength - (replaced?.publication.payloadLength ?? 0);
    if (storage === null) {
      this.#put(packetId, { publication: message.toSlab(), entry: null });
      return;
    }
    replaced?.entry?.remove();
    const publication = message.toOwned();
    const { qos, retain } = publication;
    const delivery = { qos, retain, packetId, dup: false, subscriptionIds: NO_IDENTIFIERS };
    const entry = storage.append(publication, { ...delivery, state: 'awaiting PUBREL' }, 'waiting');
    this.#put(packetId, { publication, entry });
  }

  /** The message is there already: what is acknowledged in this turn waits until it is stored. */
  relyOn(packetId: number): void {
    this.findEntry(packetId)?.relyOn();
  }

  /** PUBREL received; if nothing is there, what answers it waits for an earlier release. @returns the message to route, `undefined` if there is none */
  release(packetId: number): Publication | undefined {
    const message = this.#messages.get(packetId);
    if (message === undefined) {
      this.storage?.relyOnRemovals();
      return undefined;
    }
    this.#messages.delete(packetId);
    this.#bytes -= message.publication.payloadLength;
    assert(this.#bytes >= 0, 'the bytes of released messages were counted when they came');
    this.#releasedCount += 1;
    this.#earlier = Math.min(this.#earlier, this.#messages.size);
    message.entry?.remove();
    return message.publication;
  }

  /** The other side does not know them any more, and uses their packet ids for other messages. */
  clear(): void {
    for (const { entry } of this.#messages.values()) entry?.remove();
    this.#messages.clear();
    this.#earlier = 0;
    this.#bytes = 0;
  }

  /** The client is connected again: what has come so far does not count against its receive maximum. */
  attach(): void {
    this.#earlier = this.#messages.size;
  }

  restore(received: readonly StoredDelivery[]): void {
    assert(this.#messages.size === 0, 'a session is restored before its client sends');
    for (const entry of received) {
      const { packetId, publication } = entry;
      this.#put(packetId, { publication, entry });
      this.#bytes += publication.payloadLength;
    }
  }

  #put(packetId: number, message: ReceivedMessage): void {
    if (this.#messages === NONE) this.#messages = new NumberMap();
    this.#messages.set(packetId, message);
  }
}
