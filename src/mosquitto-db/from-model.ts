/**
 * The broker's records → a `mosquitto.db` that Mosquitto loads. The format has no place for wills and `$SYS` messages,
 * so they are left out. Shared subscriptions are written: Mosquitto saves none itself, but loads them.
 */
import type { StoredMessage } from '../model/message.js';
import type { DeliveryState, QueuedRecord, WholeSession } from '../model/queued-record.js';
import { SESSION_NEVER_EXPIRES, type SubscriptionRecord } from '../model/session-record.js';
import { writeChunks } from './chunk-writer.js';
import {
  type Chunk,
  type ClientChunk,
  type ClientMessageChunk,
  type MessageChunk,
  MessageState,
  type SubscriptionChunk,
  SubscriptionOption,
} from './chunks.js';
import type { DatabaseContent } from './content.js';
import { subscriptionIdBlock, withLength } from './message-properties.js';

const PACKET_ID_MAX = 0xffff;

/**
 * Writes a whole `mosquitto.db` of version 6.
 * @param now milliseconds since the epoch; the end of a connected client's session is reckoned from it
 */
export function writeDatabase(content: DatabaseContent, now: number): Uint8Array {
  return writeChunks(chunksOf(content, now));
}

function chunksOf({ retained, sessions }: DatabaseContent, now: number): Chunk[] {
  const messages = new MessageTable();
  const sessionChunks = sessions.flatMap((whole) => chunksOfSession(whole, messages, now));
  const retainChunks = retained
    .filter(({ topic }) => !topic.startsWith('$SYS/'))
    .map((message): Chunk => ({ kind: 'retain', messageId: messages.idOf(message, 0) }));
  const config: Chunk = {
    kind: 'config',
    lastMessageId: messages.lastId,
    shutdown: true,
    messageIdSize: 8,
  };
  return [config, ...messages.chunks, ...sessionChunks, ...retainChunks];
}

/** Every message once, however many queues it is in. */
class MessageTable {
  readonly chunks: MessageChunk[] = [];
  readonly #ids = new Map<StoredMessage, bigint>();

  get lastId(): bigint {
    return BigInt(this.chunks.length);
  }

  /** @param sourcePacketId the publisher's packet id, if it is known */
  idOf(message: StoredMessage, sourcePacketId: number): bigint {
    const known = this.#ids.get(message);
    if (known !== undefined) return known;
    const messageId = this.lastId + 1n;
    this.#ids.set(message, messageId);
    this.chunks.push({
      kind: 'message',
      messageId,
      expiryTime: seconds(message.expiresAt),
      sourcePacketId,
      sourceClientId: Buffer.from(message.originClientId),
      sourceUsername: Buffer.from(message.originUsername),
      sourcePort: portOf(message.originListener),
      topic: Buffer.from(message.topic),
      qos: message.qos,
      retain: message.retain ? 1 : 0,
      payload: message.payload,
      properties: withLength(message.properties),
    });
    return messageId;
  }
}

/** The session, its queue in Mosquitto's order (in flight before waiting), its subscriptions. */
function chunksOfSession(whole: WholeSession, messages: MessageTable, now: number): Chunk[] {
  const clientId = Buffer.from(whole.session.clientId);
  const incoming = whole.queue.filter(({ direction }) => direction === 'incoming');
  const outgoing = whole.queue.filter(({ direction }) => direction === 'outgoing');
  const inFlight = outgoing.filter(({ state }) => state !== 'queued');
  const waiting = outgoing.filter(({ state }) => state === 'queued');
  const packetIds = new PacketIds(whole.session.lastPacketId, inFlight);
  const queue = [...incoming, ...inFlight, ...waiting].map((record) =>
    clientMessageChunk(record, clientId, messages, packetIds),
  );
  const subscriptions = whole.subscriptions.map((subscription) => subscriptionChunk(subscription, clientId));
  return [clientChunk(whole, clientId, packetIds.last, now), ...queue, ...subscriptions];
}

/** Mosquitto expects that waiting messages have their packet ids already. */
class PacketIds {
  last: number;
  readonly #taken: Set<number>;

  constructor(last: number, inFlight: QueuedRecord[]) {
    this.last = last;
    this.#taken = new Set(inFlight.map(({ packetId }) => packetId));
  }

  next(): number {
    do {
      this.last = this.last >= PACKET_ID_MAX ? 1 : this.last + 1;
    } while (this.#taken.has(this.last) && this.#taken.size < PACKET_ID_MAX);
    return this.last;
  }
}

function clientChunk(
  whole: WholeSession,
  clientId: Uint8Array,
  lastPacketId: number,
  now: number,
): ClientChunk {
  const { sessionExpiry, expiresAt, username, listener } = whole.session;
  const endsAt = expiresAt === 0 ? now + sessionExpiry * 1000 : expiresAt;
  return {
    kind: 'client',
    clientId,
    username: Buffer.from(username ?? ''),
    lastPacketId,
    listenerPort: portOf(listener),
    sessionExpiryTime: sessionExpiry === SESSION_NEVER_EXPIRES ? 0n : seconds(endsAt),
    sessionExpiryInterval: sessionExpiry,
    disconnectTime: 0n,
  };
}

/** @returns 0 for a unix socket, and if the listener is not known */
function portOf(listener = ''): number {
  const port = /^\d+$/.test(listener) ? Number(listener) : 0;
  return port <= 0xffff ? port : 0;
}

function clientMessageChunk(
  record: QueuedRecord,
  clientId: Uint8Array,
  messages: MessageTable,
  packetIds: PacketIds,
): ClientMessageChunk {
  const incoming = record.direction === 'incoming';
  const needsId = !incoming && record.qos > 0 && record.packetId === 0;
  return {
    kind: 'clientMessage',
    clientId,
    messageId: messages.idOf(record.message, incoming ? record.packetId : 0),
    packetId: needsId ? packetIds.next() : record.packetId,
    qos: record.qos,
    state: STATES[record.state],
    retain: record.retain ? 1 : 0,
    dup: record.dup ? 1 : 0,
    direction: incoming ? 0 : 1,
    properties: subscriptionIdBlock(record.subscriptionIds),
  };
}

const STATES: Record<DeliveryState, number> = {
  queued: MessageState.queued,
  'awaiting PUBACK': MessageState.awaitingPuback,
  'awaiting PUBREC': MessageState.awaitingPubrec,
  'awaiting PUBCOMP': MessageState.awaitingPubcomp,
  'awaiting PUBREL': MessageState.awaitingPubrel,
};

function subscriptionChunk(subscription: SubscriptionRecord, clientId: Uint8Array): SubscriptionChunk {
  const { filter, qos, noLocal, retainAsPublished, retainHandling, subscriptionId } = subscription;
  return {
    kind: 'subscription',
    clientId,
    filter: Buffer.from(filter),
    qos,
    options:
      (noLocal ? SubscriptionOption.noLocal : 0) |
      (retainAsPublished ? SubscriptionOption.retainAsPublished : 0) |
      (retainHandling << SubscriptionOption.retainHandlingShift),
    subscriptionId,
  };
}

/** Milliseconds → seconds of the file, rounded up: a message must not end early. */
function seconds(milliseconds: number): bigint {
  return BigInt(Math.ceil(milliseconds / 1000));
}
