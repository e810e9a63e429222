/**
 * The end of a bridge in its own broker: a session under the bridge's local client id, with a subscription for each
 * topic that goes out. While the bridge is down the session stores messages for it, on disk, under the same limits as
 * any client's [mosq: local_cleansession].
 */
import type { Broker } from '../broker/broker.js';
import type { RetainedCursor } from '../broker/ports.js';
import { giveUpClientId, removeSession, storeConnected } from '../broker/session-path.js';
import { subscribe, unsubscribe } from '../broker/subscription-path.js';
import type { BridgeSettings } from '../config/settings.js';
import { doingLocalSubscribe } from '../log/bridge-lines.js';
import type { StoredMessage } from '../model/message.js';
import type { Publication } from '../mqtt/publication.js';
import type { Interest } from '../routing/route-table.js';
import type { DropReason, Peer } from '../session/outbound.js';
import { NEVER, type Session } from '../session/session.js';
import type { Subscription } from '../session/subscription.js';
import type { TopicMap } from './topic-map.js';

/** Topics of messages that were given up, to be passed over among the retained ones. */
const GIVEN_UP_MAX = 100;

export class LocalEnd {
  readonly #broker: Broker;
  readonly clientId: string;
  #settings: BridgeSettings;
  #topics: TopicMap;
  /** Messages that did not go out, since this bridge exists. */
  readonly dropCounts: Record<DropReason, number> = {
    'queue full': 0,
    memory: 0,
    backlog: 0,
    'too large': 0,
    expired: 0,
    malformed: 0,
  };

  /** Messages that were given up, by topic: as retained messages they would be sent at each connection. */
  readonly #givenUp = new Map<string, Uint8Array>();

  constructor(broker: Broker, settings: BridgeSettings, topics: TopicMap) {
    this.#broker = broker;
    this.clientId = settings.localClientid;
    this.#settings = settings;
    this.#topics = topics;
  }

  /** `undefined` while the bridge has no session. */
  get session(): Session | undefined {
    return this.#broker.sessions.get(this.clientId);
  }

  /** New settings, which `open` brings into force. The local client id stays. */
  change(settings: BridgeSettings, topics: TopicMap): void {
    this.#settings = settings;
    this.#topics = topics;
  }

  /** As in Mosquitto, a bridge that is changed begins with packet id 1, unless something is in flight. */
  restartPacketIds(): void {
    const { session } = this;
    if (session?.outbound.restartPacketIds()) session.storage?.update({ lastPacketId: 0 });
  }

  /** Asks main for the client id. @param refused gets the reason: a clause */
  claim(granted: () => void, refused: (why: string) => void): void {
    const { clientId } = this;
    const durable = !this.#settings.localCleansession;
    this.#broker.directory.claim({ clientId, cleanStart: !durable, durable, will: null }, ({ verdict }) => {
      if (verdict === 'granted') granted();
      else if (verdict === 'full') refused('global_max_clients is reached on this broker');
      else refused(`a client is connected to this broker as ${clientId}, the bridge's local_clientid`);
    });
  }

  /** Whether messages wait in the queue while the bridge is down. */
  get storesMessages(): boolean {
    return !this.#settings.localCleansession || this.#settings.startType === 'lazy';
  }

  /** Makes the session, or takes up the one that is there, and brings its subscriptions in line. */
  open(): Session {
    const known = this.#reusable();
    const session = known ?? this.#broker.createSession(this.clientId, 4);
    session.version = this.#settings.bridgeProtocolVersion === 'mqttv50' ? 5 : 4;
    session.username = this.#settings.localUsername;
    session.rights = null;
    session.expiryInterval = this.#settings.localCleansession ? 0 : NEVER;
    // Never, whatever persistent_client_expiration says: while the bridge is in the configuration it will come back.
    session.disconnectedAt = Number.POSITIVE_INFINITY;
    session.outbound.queuesQos0 = this.#settings.startType === 'lazy';
    session.drops.counts = this.dropCounts;
    if (!this.#settings.localCleansession) storeConnected(this.#broker, session, {});
    this.#subscribe(session);
    return session;
  }

  /** A session that was there before, without its connection, if it may go on. */
  #reusable(): Session | undefined {
    const { session } = this;
    if (session === undefined) return undefined;
    session.peer?.takenOver(true);
    if (!this.#settings.localCleansession || session.storage === null) return session;
    removeSession(this.#broker, session);
    return undefined;
  }

  attach(session: Session, peer: Peer): void {
    this.#broker.connectedBridges += 1;
    session.storage?.update({ isSending: true });
    session.attach(peer, this.#broker.now);
  }

  /** The bridge was connected and is down: its session waits for it, or ends. */
  detach(): void {
    this.#broker.connectedBridges -= 1;
    const { session } = this;
    if (session === undefined) return;
    session.detach(Number.POSITIVE_INFINITY);
    session.storage?.update({
      lastPacketId: session.outbound.lastPacketId,
      isSending: session.outbound.isInDoubt,
    });
    if (!this.storesMessages) removeSession(this.#broker, session);
  }

  /** The bridge is removed: its session ends. */
  end(): void {
    const { session } = this;
    if (session !== undefined) removeSession(this.#broker, session);
    giveUpClientId(this.#broker, this.clientId);
  }

  /** The retained messages that match the outgoing topics, without those that the bridge itself has published here. */
  *retained(session: Session): Generator<{ subscription: Subscription; match: () => RetainedCursor }> {
    for (const subscription of session.subscriptions.values()) {
      yield { subscription, match: () => this.#retainedOfOthers(subscription.filter) };
    }
  }

  #retainedOfOthers(filter: string): RetainedCursor {
    const cursor = this.#broker.matchRetained(filter);
    const { clientId } = this;
    return {
      get done() {
        return cursor.done;
      },
      get touched() {
        return cursor.touched;
      },
      next: (limit, found) =>
        cursor.next(limit, (message) => {
          if (message.origin !== clientId && !this.#isGivenUp(message)) found(message);
        }),
    };
  }

  /**
   * The other broker ends each connection that brings this message: it is given up, with its copies that are in flight
   * because it is retained.
   */
  giveUp({ topic, payload }: StoredMessage): void {
    if (this.#givenUp.size < GIVEN_UP_MAX) this.#givenUp.set(topic, payload);
    this.session?.outbound.giveUp(topic, payload);
  }

  #isGivenUp(message: Publication): boolean {
    const payload = this.#givenUp.get(message.topic);
    return payload !== undefined && Buffer.compare(payload, message.payload()) === 0;
  }

  #subscribe(session: Session): void {
    const changes: Interest[] = [];
    const wanted = new Set(this.#topics.localFilters.map(({ filter }) => filter));
    for (const filter of [...session.subscriptions.keys()]) {
      if (!wanted.has(filter)) unsubscribe(this.#broker, session, filter, changes);
    }
    for (const { filter, qos } of this.#topics.localFilters) {
      if (this.#broker.logs('debug')) {
        this.#broker.log.write('debug', doingLocalSubscribe(this.clientId, filter));
      }
      const request = { filter, qos, noLocal: true, retainAsPublished: true, retainHandling: 0 } as const;
      subscribe(this.#broker, session, request, { identifier: 0, qosMax: 2 }, changes);
    }
    this.#broker.cluster.announce(changes);
  }
}
