/**
 * The end of a bridge at the other broker, while there is a connection: sends messages in a form that the other broker
 * accepts, and passes its acknowledgements to the local session.
 */
import type { Broker } from '../broker/broker.js';
import { RetainedDelivery, retainedPace } from '../broker/retained-delivery.js';
import type { BridgeSettings } from '../config/settings.js';
import * as lines from '../log/mosquitto-lines.js';
import type { AckPacket, ConnackPacket, Qos } from '../mqtt/packets.js';
import { Publication } from '../mqtt/publication.js';
import type { Peer } from '../session/outbound.js';
import type { Session } from '../session/session.js';
import { Counter } from '../sys/counters.js';
import { isValidTopicNameText } from '../topic/topic-name.js';
import { DrainPace } from './drain-pace.js';
import type { Incoming } from './incoming.js';
import { type Demands, stateTopic } from './remote-connect.js';
import type { RemoteConnection } from './remote-connection.js';
import type { TopicMap } from './topic-map.js';

const PACKET_ID_MAX = 0xffff;
const FAILURE = 0x80;

export interface RemoteEndOptions {
  broker: Broker;
  settings: BridgeSettings;
  topics: TopicMap;
  demands: Demands;
  session: Session;
  remote: RemoteConnection;
  incoming: Incoming;
  connack: ConnackPacket;
  /** A client of this broker takes the local client id. */
  takenOver: () => void;
  /** The backlog that was there at the beginning has left. */
  drained: () => void;
  /** It has acknowledged a message of the session. */
  acknowledged: () => void;
  /** Messages go one at a time until it has acknowledged one: it may be the first that it ends the connection over. */
  sendsSingly: boolean;
  nowMs: number;
}

export class RemoteEnd implements Peer {
  readonly #options: RemoteEndOptions;
  readonly #window: number;
  readonly #qosMax: Qos;
  readonly #retains: boolean;
  readonly #pace: DrainPace;
  /** The backlog that was there when the connection came about is not through yet. */
  #isDraining: boolean;
  #sendsSingly: boolean;
  readonly #retained = new RetainedDelivery();
  /** Messages sent with a lower QoS than the session has for them: another packet completes them than it expects. */
  readonly #lowered = new Set<number>();
  #sentUnacknowledged: number[] = [];
  /** When a message or an acknowledgement last passed, in either direction. */
  lastTrafficMs: number;
  /** Messages that the other broker did not take. */
  refused = 0;

  constructor(options: RemoteEndOptions) {
    const { broker, settings, demands, session, connack, nowMs } = options;
    this.#options = options;
    const { receiveMaximum = PACKET_ID_MAX, maximumQos = 2, retainAvailable = 1 } = connack.properties;
    this.#window = Math.min(broker.settings.maxInflightMessages || PACKET_ID_MAX, receiveMaximum);
    this.#qosMax = Math.min(demands.qosMax, maximumQos) as Qos;
    this.#retains = demands.retain && retainAvailable === 1;
    this.#pace = new DrainPace(settings.bridgeMaxDrainRate, nowMs);
    this.#isDraining = session.outbound.queuedCount > 0;
    this.#sendsSingly = options.sendsSingly;
    this.lastTrafficMs = nowMs;
  }

  // ----------------------------------------------------------------- as the session's peer

  get waitingBytes(): number {
    return this.#options.remote.out.waitingBytes;
  }

  /** None while the backlog has to keep its pace. */
  get sendMaximum(): number {
    if (this.#isDraining && !this.#pace.isOpen) return 0;
    return this.#sendsSingly ? 1 : this.#window;
  }

  get isBlocked(): boolean {
    return this.#options.remote.out.blocked;
  }

  sendPublish(publication: Publication, qos: Qos, retain: boolean, dup: boolean, packetId: number): boolean {
    const { broker, session, topics, remote } = this.#options;
    if (qos === 0 && this.#backlogIsFull()) {
      broker.dropped(session, 'backlog');
      return true;
    }
    const message = renamed(publication, topics.toRemote(publication.topic));
    const loweredQos = Math.min(qos, this.#qosMax) as Qos;
    const delivery = { qos: loweredQos, retain: retain && this.#retains, dup, packetId };
    if (message === null || !remote.publish(message, delivery, broker.now)) {
      const text = lines.droppingTooLargeOutgoingPublish(session.clientId, publication.payloadLength);
      broker.log.write('notice', text);
      return false;
    }
    if (loweredQos < qos) this.#lower(packetId, loweredQos);
    if (this.#isDraining) this.#pace.take();
    this.#count(message, delivery);
    return true;
  }

  sendPubrel(packetId: number): void {
    this.#options.remote.acknowledge('pubrel', packetId);
  }

  takenOver(): void {
    this.#options.takenOver();
  }

  // ----------------------------------------------------------------- what the other broker says

  acknowledged(type: AckPacket['type'], packetId: number, reasonCode: number): void {
    const { session, incoming } = this.#options;
    if (reasonCode >= FAILURE && type !== 'pubrel') this.refused += 1;
    if (type !== 'pubrel' && session.outbound.isInFlight(packetId)) {
      this.#sendsSingly = false;
      this.#options.acknowledged();
    }
    switch (type) {
      case 'puback':
        if (session.outbound.puback(packetId) || this.#endLowered(packetId)) break;
        if (session.outbound.isInFlight(packetId)) incoming.wrongAck(type);
        break;
      case 'pubrec':
        incoming.received(packetId, reasonCode);
        break;
      case 'pubrel':
        incoming.release(packetId);
        return;
      case 'pubcomp':
        if (!session.outbound.pubcomp(packetId) && session.outbound.isInFlight(packetId))
          incoming.wrongAck(type);
        break;
    }
    if (!this.#options.remote.isClosed) this.pump();
  }

  // ----------------------------------------------------------------- the flow

  /** What is said right after CONNACK: the state, then what is wanted and not wanted of the other broker. */
  introduce(): void {
    const { settings, topics, remote, session } = this.#options;
    this.notify('1');
    if (settings.bridgeAttemptUnsubscribe) {
      for (const filter of topics.unwantedRemoteFilters)
        remote.unsubscribe(filter, session.outbound.nextPacketId());
    }
    for (const filter of topics.remoteFilters) remote.subscribe(filter, session.outbound.nextPacketId());
  }

  /** The state topic on the other broker. */
  notify(state: '0' | '1'): void {
    const { settings, remote, session, broker } = this.#options;
    if (!settings.notifications || settings.notificationsLocalOnly) return;
    const qos = Math.min(1, this.#qosMax) as Qos;
    const message = Publication.create({
      topic: stateTopic(settings),
      payload: Buffer.from(state),
      qos,
      retain: true,
    });
    const packetId = qos === 0 ? 0 : session.outbound.nextPacketId();
    remote.publish(message, { qos, retain: this.#retains, dup: false, packetId }, broker.now);
  }

  /** Takes on the retained messages of a subscription. */
  addRetained(...[subscription, match]: Parameters<RetainedDelivery['add']>): void {
    this.#retained.add(subscription, match);
  }

  /** Sends what waits, as far as the other broker takes it. */
  pump(): void {
    const { broker, session } = this.#options;
    session.outbound.pump(broker.now);
    if (this.#isDraining && session.outbound.queuedCount === 0) {
      this.#isDraining = false;
      this.#options.drained();
    }
    if (this.#retained.isDue && !this.#isDraining) this.#pumpRetained();
  }

  /** By itself, as in `Sender`: a function that makes a closure allocates at each call. */
  #pumpRetained(): void {
    const { broker, session, remote } = this.#options;
    const nextTurn = () => broker.nextTurn(this.#continueRetained);
    this.#retained.pump(retainedPace(broker, session, remote.out, nextTurn));
  }

  readonly #continueRetained = (): void => {
    this.#retained.beginTurn();
    if (this.#options.session.peer === this) this.pump();
  };

  tick(nowMs: number): void {
    this.#pace.grant(nowMs);
    this.pump();
  }

  get isIdle(): boolean {
    const { session } = this.#options;
    return (
      session.outbound.inflightCount === 0 && session.outbound.queuedCount === 0 && this.#retained.isEmpty
    );
  }

  /** QoS 0 for a link that is too slow for it [mosq: max_queued_messages]. */
  #backlogIsFull(): boolean {
    const { broker, remote } = this.#options;
    const { maxQueuedMessages } = broker.settings;
    return maxQueuedMessages > 0 && remote.out.waitingPackets >= maxQueuedMessages;
  }

  /** The session waits for acknowledgements that the other broker will not send. */
  #lower(packetId: number, qos: Qos): void {
    this.#lowered.add(packetId);
    if (qos > 0) return;
    this.#sentUnacknowledged.push(packetId);
    if (this.#sentUnacknowledged.length > 1) return;
    // The session enters the message among those in flight only after this call.
    queueMicrotask(() => {
      for (const sent of this.#sentUnacknowledged.splice(0)) {
        if (!this.#options.session.outbound.puback(sent)) this.#endLowered(sent);
      }
      if (!this.#options.remote.isClosed) this.pump();
    });
  }

  /** @returns false if the message was sent with the QoS that the session has it in */
  #endLowered(packetId: number): boolean {
    if (!this.#lowered.delete(packetId)) return false;
    this.#options.session.outbound.pubrec(packetId, FAILURE);
    return true;
  }

  #count(
    { topic, payloadLength }: Publication,
    delivery: { dup: boolean; qos: Qos; retain: boolean; packetId: number },
  ): void {
    const { broker, session } = this.#options;
    broker.counters[Counter.publishSent]! += 1;
    broker.counters[Counter.packetsSent]! += 1;
    broker.counters[Counter.publishBytesSent]! += payloadLength;
    if (!broker.logs('debug')) return;
    const { clientId } = session;
    broker.log.write('debug', lines.sendingPublish({ clientId, ...delivery, topic, payloadLength }));
  }
}

/** The message under its remote name; others may have the original. @returns `null` if no name is left */
function renamed(publication: Publication, topic: string): Publication | null {
  if (topic === publication.topic) return publication;
  if (!isValidTopicNameText(topic)) return null; // nothing is left of it, or the prefix makes it too long
  const { qos, retain, expiresAt, properties, propertiesStart, propertiesEnd } = publication;
  return Publication.create({
    topic,
    payload: publication.payload(),
    qos,
    retain,
    expiresAt,
    properties: properties.subarray(propertiesStart, propertiesEnd),
  });
}
