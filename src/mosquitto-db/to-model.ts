/**
 * Chunks of a `mosquitto.db` → the broker's records. The file may be damaged, so each value must be one that a client
 * could have sent: texts are UTF-8, topics have no wildcards, quality of service is 0 to 2. Other records are left out
 * and named. So are messages and sessions that have expired.
 */
import { assertNever } from '../base/assert.js';
import { decodeUtf8 } from '../base/utf8.js';
import type { StoredMessage } from '../model/message.js';
import { isExpired } from '../model/message.js';
import type { DeliveryState, QueuedRecord } from '../model/queued-record.js';
import {
  SESSION_NEVER_EXPIRES,
  type SessionRecord,
  type SubscriptionRecord,
} from '../model/session-record.js';
import type { Qos } from '../mqtt/packets.js';
import { isValidTopicFilter, parseSharedFilter } from '../topic/topic-filter.js';
import { isValidTopicNameText } from '../topic/topic-name.js';
import { readChunks } from './chunk-reader.js';
import {
  type Chunk,
  type ClientChunk,
  type ClientMessageChunk,
  type MessageChunk,
  MessageState,
  type SubscriptionChunk,
  SubscriptionOption,
} from './chunks.js';
import type { DatabaseContent, ImportReport } from './content.js';
import { readMessageProperties, readSubscriptionIds } from './message-properties.js';

/**
 * Reads a whole `mosquitto.db`.
 * @param bytes the file
 * @param now milliseconds since the epoch
 * @throws {DatabaseFormatError} if the bytes are not such a file
 */
export function readDatabase(
  bytes: Uint8Array,
  now: number,
): { content: DatabaseContent; report: ImportReport } {
  const { version, chunks, problems } = readChunks(bytes);
  const importer = new Importer(now, { version, leftOut: [], problems }, bridgeSessions(chunks));
  for (const chunk of inOrderOfReference(chunks)) importer.add(chunk);
  return { content: importer.content(), report: importer.report };
}

/** What Mosquitto gives a bridge's `local_clientid` to begin with, unless the configuration sets another. */
const BRIDGE_PREFIX = 'local.';

const BRIDGE_OPTIONS = SubscriptionOption.noLocal | SubscriptionOption.retainAsPublished;

/**
 * The client ids of bridges whose sessions stay. Mosquitto 2.0 writes them as those of MQTT 5.0 clients whose sessions
 * end with their connections: interval and end are 0. A bridge has no listener, and each of its subscriptions is "no
 * local" and "retain as published".
 */
function bridgeSessions(chunks: Chunk[]): Set<string> {
  const candidates = new Set<string>();
  for (const chunk of chunks) {
    if (chunk.kind !== 'client') continue;
    const { sessionExpiryInterval, sessionExpiryTime, listenerPort, clientId } = chunk;
    if (sessionExpiryInterval === 0 && sessionExpiryTime === 0n && listenerPort === 0) {
      candidates.add(Buffer.from(clientId).toString());
    }
  }
  const subscribed = new Set<string>();
  const subscribedOtherwise = new Set<string>();
  for (const chunk of chunks) {
    if (chunk.kind !== 'subscription') continue;
    const isBridges = (chunk.options & BRIDGE_OPTIONS) === BRIDGE_OPTIONS;
    (isBridges ? subscribed : subscribedOtherwise).add(Buffer.from(chunk.clientId).toString());
  }
  for (const clientId of candidates) {
    const isBridge =
      clientId.startsWith(BRIDGE_PREFIX) || (subscribed.has(clientId) && !subscribedOtherwise.has(clientId));
    if (!isBridge) candidates.delete(clientId);
  }
  return candidates;
}

/** Messages, then clients, then what refers to them: damaged files need not keep Mosquitto's order. */
function inOrderOfReference(chunks: Chunk[]): Chunk[] {
  const rank = (chunk: Chunk) => (chunk.kind === 'message' ? 0 : chunk.kind === 'client' ? 1 : 2);
  return chunks.toSorted((a, b) => rank(a) - rank(b));
}

/** A session whose time was over, and how much goes with it. */
interface EndedSession {
  subscriptions: number;
  queued: number;
}

interface ImportedSession {
  session: SessionRecord;
  subscriptions: Map<string, SubscriptionRecord>;
  queue: QueuedRecord[];
}

class Importer {
  readonly report: ImportReport;
  readonly #now: number;
  readonly #messages = new Map<bigint, StoredMessage>();
  /** Ids of messages that were left out on purpose: a reference to one of them is no damage. */
  readonly #expiredMessages = new Set<bigint>();
  readonly #retained = new Map<string, StoredMessage>();
  readonly #sessions = new Map<string, ImportedSession>();
  readonly #endedSessions = new Map<string, EndedSession>();
  readonly #bridges: ReadonlySet<string>;

  /** @param bridges client ids of bridges whose sessions never end */
  constructor(now: number, report: ImportReport, bridges: ReadonlySet<string>) {
    this.#now = now;
    this.report = report;
    this.#bridges = bridges;
  }

  /** When all chunks are added. */
  content(): DatabaseContent {
    for (const [clientId, { subscriptions, queued }] of this.#endedSessions) {
      this.report.leftOut.push(
        `session "${clientId}" has ended (with ${subscriptions} subscriptions and ${queued} queued messages)`,
      );
    }
    const sessions = [...this.#sessions.values()].map(({ session, subscriptions, queue }) => ({
      session,
      subscriptions: [...subscriptions.values()],
      queue,
    }));
    return { retained: [...this.#retained.values()], sessions };
  }

  add(chunk: Chunk): void {
    switch (chunk.kind) {
      case 'config':
        break; // ids of messages are ours to give
      case 'message':
        this.#addMessage(chunk);
        break;
      case 'client':
        this.#addClient(chunk);
        break;
      case 'clientMessage':
        this.#addClientMessage(chunk);
        break;
      case 'retain':
        this.#addRetained(chunk.messageId);
        break;
      case 'subscription':
        this.#addSubscription(chunk);
        break;
      default:
        assertNever(chunk);
    }
  }

  #addMessage(chunk: MessageChunk): void {
    const topic = topicName(chunk.topic);
    const properties = readMessageProperties(chunk.properties);
    const qos = validQos(chunk.qos);
    if (topic === undefined || properties === undefined || qos === undefined) {
      this.#problem(`message ${chunk.messageId} has an invalid topic, quality of service or property`);
      return;
    }
    const message: StoredMessage = {
      topic,
      payload: chunk.payload,
      qos,
      retain: chunk.retain !== 0,
      properties,
      expiresAt: milliseconds(chunk.expiryTime),
      originClientId: decodeText(chunk.sourceClientId) ?? '',
      originUsername: decodeText(chunk.sourceUsername) ?? '',
      originListener: chunk.sourcePort === 0 ? '' : String(chunk.sourcePort),
    };
    if (isExpired(message, this.#now)) {
      this.#expiredMessages.add(chunk.messageId);
      this.report.leftOut.push(`a message of "${topic}" has expired`);
    } else {
      this.#messages.set(chunk.messageId, message);
    }
  }

  #addRetained(messageId: bigint): void {
    const message = this.#message(messageId, 'a retained topic');
    if (message === undefined) return;
    if (message.topic.startsWith('$SYS/')) {
      this.report.leftOut.push(`the retained message of "${message.topic}" is made anew by the broker`);
    } else if (message.payload.length === 0) {
      this.#problem(`the retained message of "${message.topic}" is empty`);
    } else {
      this.#retained.set(message.topic, { ...message, retain: true });
    }
  }

  #addClient(chunk: ClientChunk): void {
    const clientId = decodeText(chunk.clientId);
    if (clientId === undefined || clientId === '') {
      this.#problem('a client has an empty or invalid id');
      return;
    }
    // Up to version 4 no interval is stored: all are MQTT 3.x clients, whose sessions stay.
    const sessionExpiry = this.#bridges.has(clientId)
      ? SESSION_NEVER_EXPIRES
      : (chunk.sessionExpiryInterval ?? SESSION_NEVER_EXPIRES);
    const neverExpires = sessionExpiry === SESSION_NEVER_EXPIRES;
    const expiresAt = neverExpires
      ? 0
      : milliseconds(chunk.sessionExpiryTime) || this.#now + sessionExpiry * 1000;
    if (!neverExpires && expiresAt <= this.#now) {
      this.#endedSessions.set(clientId, { subscriptions: 0, queued: 0 });
      return;
    }
    this.#sessions.set(clientId, {
      session: {
        clientId,
        username: plausibleUsername(chunk.username),
        ...(chunk.listenerPort !== 0 && { listener: String(chunk.listenerPort) }),
        protocolVersion: neverExpires ? 4 : 5,
        sessionExpiry,
        expiresAt,
        disconnectedAt: neverExpires
          ? milliseconds(chunk.disconnectTime) || this.#now
          : expiresAt - sessionExpiry * 1000,
        lastPacketId: chunk.lastPacketId,
        will: undefined,
      },
      subscriptions: new Map(),
      queue: [],
    });
  }

  #addSubscription(chunk: SubscriptionChunk): void {
    const filter = topicFilter(chunk.filter);
    const qos = validQos(chunk.qos);
    if (filter === undefined || qos === undefined) {
      this.#problem('a subscription has an invalid filter or quality of service');
      return;
    }
    const owner = this.#sessionOf(chunk.clientId, 'subscriptions');
    if (owner === undefined) return;
    const retainHandling = (chunk.options >> SubscriptionOption.retainHandlingShift) & 0x03;
    owner.subscriptions.set(filter, {
      filter,
      qos,
      noLocal: (chunk.options & SubscriptionOption.noLocal) !== 0,
      retainAsPublished: (chunk.options & SubscriptionOption.retainAsPublished) !== 0,
      retainHandling: retainHandling === 1 || retainHandling === 2 ? retainHandling : 0,
      subscriptionId: chunk.subscriptionId,
    });
    // Versions of MQTT are not stored; only a 5.0 client has options or identifiers.
    if (chunk.options !== 0 || chunk.subscriptionId !== 0) owner.session.protocolVersion = 5;
  }

  #addClientMessage(chunk: ClientMessageChunk): void {
    const qos = validQos(chunk.qos);
    const subscriptionIds = readSubscriptionIds(chunk.properties);
    const state = chunk.direction === 0 ? incomingState(chunk) : outgoingState(chunk);
    if (state === 'settled') return;
    if (qos === undefined || subscriptionIds === undefined || state === undefined) {
      this.#problem(`a queued message has an invalid state, quality of service or property`);
      return;
    }
    const owner = this.#sessionOf(chunk.clientId, 'queued');
    const message = this.#message(chunk.messageId, 'a queued message');
    if (owner === undefined || message === undefined) return;
    owner.queue.push({
      direction: chunk.direction === 0 ? 'incoming' : 'outgoing',
      state,
      packetId: chunk.packetId,
      qos,
      retain: chunk.retain !== 0,
      dup: chunk.dup > 0,
      subscriptionIds,
      message,
    });
    if (subscriptionIds.length > 0) owner.session.protocolVersion = 5;
  }

  /**
   * A client that only subscriptions or messages name gets a session, as it does in Mosquitto.
   * @param what is counted if the session has ended
   */
  #sessionOf(clientIdBytes: Uint8Array, what: keyof EndedSession): ImportedSession | undefined {
    const clientId = decodeText(clientIdBytes);
    if (clientId === undefined || clientId === '') {
      this.#problem('a record names no valid client id');
      return undefined;
    }
    const ended = this.#endedSessions.get(clientId);
    if (ended !== undefined) {
      ended[what] += 1;
      return undefined;
    }
    if (!this.#sessions.has(clientId)) {
      this.#problem(`there are records for "${clientId}", but no session`);
      this.#sessions.set(clientId, {
        session: {
          clientId,
          username: undefined,
          protocolVersion: 4,
          sessionExpiry: SESSION_NEVER_EXPIRES,
          expiresAt: 0,
          disconnectedAt: this.#now,
          lastPacketId: 0,
          will: undefined,
        },
        subscriptions: new Map(),
        queue: [],
      });
    }
    return this.#sessions.get(clientId);
  }

  #message(messageId: bigint, wanted: string): StoredMessage | undefined {
    const message = this.#messages.get(messageId);
    if (message === undefined && !this.#expiredMessages.has(messageId)) {
      this.#problem(`${wanted} refers to message ${messageId}, which is missing`);
    }
    return message;
  }

  #problem(text: string): void {
    this.report.problems.push(text);
  }
}

/**
 * A message to a client [mosq: persistence, states of client messages]. One in flight without a packet id cannot
 * have been sent.
 */
function outgoingState(chunk: ClientMessageChunk): DeliveryState | undefined {
  switch (chunk.state) {
    case MessageState.publishQos0:
    case MessageState.publishQos1:
    case MessageState.publishQos2:
    case MessageState.queued:
      return 'queued';
    case MessageState.awaitingPuback:
      return chunk.packetId === 0 ? undefined : 'awaiting PUBACK';
    case MessageState.awaitingPubrec:
      return chunk.packetId === 0 ? undefined : 'awaiting PUBREC';
    case MessageState.resendPubrel:
    case MessageState.awaitingPubcomp:
      return chunk.packetId === 0 ? undefined : 'awaiting PUBCOMP';
    default:
      return undefined;
  }
}

/** A QoS 2 message from a client. If only its PUBCOMP is missing, there is nothing to store: a PUBREL gets it. */
function incomingState(chunk: ClientMessageChunk): DeliveryState | 'settled' | undefined {
  switch (chunk.state) {
    case MessageState.awaitingPubrel:
    case MessageState.sendPubrec:
    case MessageState.queued:
      return chunk.packetId === 0 ? undefined : 'awaiting PUBREL';
    case MessageState.resendPubcomp:
      return 'settled';
    default:
      return undefined;
  }
}

function validQos(qos: number): Qos | undefined {
  return qos === 0 || qos === 1 || qos === 2 ? qos : undefined;
}

function decodeText(bytes: Uint8Array): string | undefined {
  return decodeUtf8(bytes, 0, bytes.length);
}

function topicName(bytes: Uint8Array): string | undefined {
  const topic = decodeText(bytes);
  return topic !== undefined && isValidTopicNameText(topic) ? topic : undefined;
}

function topicFilter(bytes: Uint8Array): string | undefined {
  const filter = decodeText(bytes);
  if (filter === undefined) return undefined;
  const shared = parseSharedFilter(filter);
  const valid = shared === undefined ? isValidTopicFilter(filter) : shared !== 'invalid';
  return valid ? filter : undefined;
}

/**
 * Mosquitto up to 2.0.15 writes uninitialised memory as the user name of a client that has none. Bytes that are not
 * text are dropped for this reason; other values are replaced at the client's next CONNECT.
 */
function plausibleUsername(bytes: Uint8Array): string | undefined {
  const username = decodeText(bytes);
  return username === undefined || username === '' || /\p{Cc}/u.test(username) ? undefined : username;
}

/** Seconds of the file → milliseconds; 0, "never", for what no clock could mean. */
function milliseconds(seconds: bigint): number {
  const value = Number(seconds) * 1000;
  return value > 0 && Number.isSafeInteger(value) ? value : 0;
}
