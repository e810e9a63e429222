/**
 * Publishes the messages that the other broker sends: under their local topic, with the bridge as their source. They are
 * acknowledged once they are stored. Access rules do not apply [mosq: bridges].
 */

import { asBuffer } from '../base/as-buffer.js';
import { Acknowledgements } from '../broker/acknowledgements.js';
import type { Broker } from '../broker/broker.js';
import { type Releaser, releasePublication } from '../broker/publish-path.js';
import { routePublication } from '../broker/route-publication.js';
import * as lines from '../log/mosquitto-lines.js';
import type { AckPacket, Qos } from '../mqtt/packets.js';
import type { Publication } from '../mqtt/publication.js';
import type { Session } from '../session/session.js';
import { Counter } from '../sys/counters.js';
import { isValidTopicName } from '../topic/topic-name.js';
import type { MalformedPublish } from './malformed-publish.js';
import type { RemoteConnection } from './remote-connection.js';
import type { TopicMap } from './topic-map.js';

/** What of one connection to the other broker is on its way in. */
export class Incoming implements Releaser {
  readonly broker: Broker;
  readonly session: Session;
  readonly #topics: TopicMap;
  readonly #remote: RemoteConnection;
  readonly acknowledgements: Acknowledgements;
  readonly #failed: (why: string) => void;
  readonly #malformed: (topic: string, fault: string) => void;
  /** Workers that are too busy to be sent more; the connection is not read from meanwhile. */
  #congestedBy = 0;

  /**
   * @param failed gets the reason why the other broker has to send again what is not acknowledged: a clause
   * @param malformed gets the topic of a message that is dropped because it is malformed, and why: a clause
   */
  constructor(
    broker: Broker,
    session: Session,
    topics: TopicMap,
    remote: RemoteConnection,
    failed: (why: string) => void,
    malformed: (topic: string, fault: string) => void,
  ) {
    this.broker = broker;
    this.session = session;
    this.#topics = topics;
    this.#remote = remote;
    this.#failed = failed;
    this.#malformed = malformed;
    this.acknowledgements = new Acknowledgements(broker, this, () =>
      failed('a worker that stores its messages has died'),
    );
  }

  /** Whether reading is to stop until `isRelieved`. */
  get isCongested(): boolean {
    return this.#congestedBy !== 0;
  }

  /** Asks again whether the busy workers have room. */
  get isRelieved(): boolean {
    if (this.#congestedBy === 0 || this.broker.cluster.congested(this.#congestedBy)) return false;
    this.#congestedBy = 0;
    return true;
  }

  publish(publication: Publication): void {
    const { counters } = this.broker;
    counters[Counter.publishReceived]! += 1;
    counters[Counter.publishBytesReceived]! += publication.payloadLength;
    const { qos, packetId } = publication;
    if (this.broker.memory.isShort) {
      this.#refuse(qos);
      return;
    }
    const mark = this.broker.store.mark();
    const isWanted = this.#rename(publication) && this.#isTaken(publication);
    if (qos === 2) {
      if (isWanted) this.#receive(packetId, publication);
      this.acknowledgements.acknowledge(mark, 0, 'pubrec', packetId, 0);
    } else {
      const durable = isWanted ? this.#route(publication) : 0;
      if (qos === 1) this.acknowledgements.acknowledge(mark, durable, 'puback', packetId, 0);
    }
  }

  /** It is acknowledged and dropped: the other broker would send it again for ever if the connection ended because of it. */
  drop({ qos, packetId, topic, fault }: MalformedPublish): void {
    this.broker.counters[Counter.publishReceived]! += 1;
    this.#malformed(asBuffer(topic).toString(), fault);
    if (packetId === 0 || qos > 2) return;
    const mark = this.broker.store.mark();
    this.acknowledgements.acknowledge(mark, 0, qos === 1 ? 'puback' : 'pubrec', packetId, 0);
  }

  /** [mosq: memory_limit] What the other broker keeps it has to send again, later. */
  #refuse(qos: Qos): void {
    const { counters } = this.broker;
    if (qos > 0) {
      this.#failed('memory_limit is reached on this broker');
      return;
    }
    counters[Counter.publishDropped]! += 1;
    counters[Counter.dropMemory]! += 1;
  }

  /** PUBREL: a QoS 2 message goes to its subscribers, once. */
  release(packetId: number): void {
    releasePublication(this, packetId);
  }

  get isConnected(): boolean {
    return !this.#remote.isClosed;
  }

  sendAck(type: AckPacket['type'], packetId: number): void {
    this.#remote.acknowledge(type, packetId);
  }

  /** Reading stops while these workers are congested. */
  heedCongestion(workers: number): void {
    if (this.broker.cluster.congested(workers)) this.#congestedBy = workers;
  }

  /** PUBREL for a message of ours follows when it is stored that PUBREC came: it is not sent again then. */
  received(packetId: number, reasonCode: number): void {
    const mark = this.broker.store.mark();
    const { outbound } = this.session;
    if (!outbound.pubrec(packetId, reasonCode) && outbound.isInFlight(packetId)) this.wrongAck('pubrec');
    else if (reasonCode < 0x80) this.acknowledgements.acknowledge(mark, 0, 'pubrel', packetId, 0);
  }

  /** A message in flight waits for another acknowledgement: after a reconnect it is sent again. */
  wrongAck(type: AckPacket['type']): void {
    this.#failed(`it answers a message with ${type.toUpperCase()}, which is not the answer to its QoS`);
  }

  /**
   * Gives the message its local topic.
   * @returns false if one of the two topics is malformed: the other broker would send the message again for ever if the
   * connection ended because of it
   */
  #rename(publication: Publication): boolean {
    const { buffer, topicStart, topicEnd } = publication;
    const topic = asBuffer(buffer).toString('utf8', topicStart, topicEnd);
    if (isValidTopicName(buffer, topicStart, topicEnd)) {
      const local = this.#topics.toLocal(topic);
      if (local === topic) return true;
      publication.replaceTopic(Buffer.from(local));
      if (isValidTopicName(publication.buffer, publication.topicStart, publication.topicEnd)) return true;
    }
    this.#malformed(topic, 'the topic is malformed');
    return false;
  }

  #isTaken(publication: Publication): boolean {
    const { broker, clientId } = { broker: this.broker, clientId: this.session.clientId };
    const { messageSizeLimit, retainAvailable } = broker.settings;
    publication.origin = clientId;
    publication.originUsername = this.session.username ?? '';
    if (!retainAvailable) publication.retain = false;
    const route = broker.routes.route(publication.buffer, publication.topicStart, publication.topicEnd);
    if (route === null) return false;
    publication.topic = route.topic;
    if (broker.logs('debug')) {
      const { dup, qos, retain, packetId, topic, payloadLength } = publication;
      const line = lines.receivedPublish({ clientId, dup, qos, retain, packetId, topic, payloadLength });
      broker.log.write('debug', line);
    }
    return messageSizeLimit === 0 || publication.payloadLength <= messageSizeLimit;
  }

  /** The same packet again is answered and not doubled [MQTT-4.3.3-10]. */
  #receive(packetId: number, publication: Publication): void {
    const kept = this.session.inbound.find(packetId);
    if (kept !== undefined && isSame(kept, publication)) this.session.inbound.relyOn(packetId);
    else this.session.inbound.receive(packetId, publication);
  }

  /** @returns the workers that may store the message */
  #route(publication: Publication): number {
    const { routes } = this.broker;
    const route = routes.route(publication.buffer, publication.topicStart, publication.topicEnd);
    if (route === null) return 0;
    routePublication(this.broker, route, publication, this.session);
    if (route.workers !== 0) this.heedCongestion(route.workers);
    return route.durable;
  }
}

function isSame(a: Publication, b: Publication): boolean {
  return a.topic === b.topic && a.retain === b.retain && Buffer.compare(a.payload(), b.payload()) === 0;
}
