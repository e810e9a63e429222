/**
 * What clients of a broker see that took over a sample `mosquitto.db`, held against the sample's `.expected.json`:
 * retained messages, subscriptions by the messages that they bring, what waited and what was in flight. It reads the
 * chunks by itself, and so knows nothing of how the broker reads them.
 */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { decodePacket } from '../../../src/mqtt/decode.js';
import { isPacketError } from '../../../src/mqtt/packet-error.js';
import type { Packet, Properties, PublishPacket, Qos } from '../../../src/mqtt/packets.js';
import { topicMatchesFilter } from '../../../src/topic/topic-filter.js';
import type { Broker } from '../brokers/broker.js';
import { RawClient } from '../clients/raw-client.js';
import { readExpected } from './mosquitto-db-samples.js';

interface BaseMessage {
  store_id: number;
  topic: string;
  payload: string;
  qos: Qos;
  /** Seconds since the epoch, 0 = never. */
  expiry_time?: number;
  props?: string;
}

interface ClientMessage {
  clientid: string;
  store_id: number;
  mid: number;
  qos: Qos;
  /** 0 = from the client. */
  direction: 0 | 1;
  state: number;
  props?: string;
}

interface Subscription {
  clientid: string;
  topic: string;
  qos: Qos;
  options?: number;
  identifier?: number;
}

/** States of a message to a client. */
const AWAITING_PUBACK = 3;
const AWAITING_PUBREC = 5;
const AWAITING_PUBCOMP = 9;
const QUEUED = 11;

/** Options of a subscription. */
const NO_LOCAL = 4;
const RETAIN_AS_PUBLISHED = 8;

export class SampleWitness {
  readonly #messages = new Map<number, BaseMessage>();
  readonly #retained: BaseMessage[] = [];
  readonly #clientMessages: ClientMessage[];
  readonly #subscriptions: Subscription[];
  readonly #clientIds: string[];
  readonly #t: TestContext;
  readonly #broker: Broker;

  constructor(t: TestContext, broker: Broker, sample: string) {
    this.#t = t;
    this.#broker = broker;
    const chunks = readExpected(sample);
    const ofKind = <T>(kind: string) => chunks.filter(({ chunk }) => chunk === kind) as unknown[] as T[];
    for (const message of ofKind<BaseMessage>('BASE_MSG')) this.#messages.set(message.store_id, message);
    for (const { store_id } of ofKind<{ store_id: number }>('RETAIN')) {
      const message = this.#messages.get(store_id)!;
      const { expiry_time: end = 0 } = message;
      if (end === 0 || end * 1000 > Date.now()) this.#retained.push(message);
    }
    this.#clientMessages = ofKind('CLIENT_MSG');
    this.#subscriptions = ofKind('SUB');
    this.#clientIds = ofKind<{ clientid: string }>('CLIENT').map(({ clientid }) => clientid);
  }

  /** Everything; the sessions are empty afterwards. */
  async expectAll(): Promise<void> {
    await this.expectRetained();
    const clients = new Map<string, RawClient>();
    for (const clientId of this.#clientIds) clients.set(clientId, await this.#expectSession(clientId));
    for (const [clientId, client] of clients) await this.#expectIncoming(clientId, client);
    await this.#expectSubscriptions(clients);
    for (const client of clients.values()) await client.disconnect();
  }

  async expectRetained(): Promise<void> {
    const client = await RawClient.connect(this.#t, this.#broker, 5);
    await client.subscribe('#', 2);
    const publishes: PublishPacket[] = [];
    for (const _ of this.#retained) publishes.push(await client.expectPacket('publish', { retain: true }));
    assert.deepEqual(publishes.map(seen).sort(), this.#retained.map((one) => written(one, one.qos)).sort());
    await client.expectSilence();
    client.destroy();
  }

  /** Its client comes back: what was in flight is sent again, then what waited. */
  async #expectSession(clientId: string): Promise<RawClient> {
    const client = await RawClient.connect(this.#t, this.#broker, versionOf(clientId), {
      clientId,
      cleanStart: false,
      properties: versionOf(clientId) === 5 ? { sessionExpiryInterval: 0xffffffff } : {},
    });
    assert.equal(client.connack!.sessionPresent, true, clientId);
    const owed = this.#clientMessages.filter((one) => one.clientid === clientId && one.direction === 1);
    const packets: Packet[] = [];
    for (const _ of owed) packets.push(await client.next(`what ${clientId} is owed`));
    assert.deepEqual(packets.map(resent).sort(), owed.map((one) => this.#owed(one)).sort(), clientId);
    for (const packet of packets) await settle(client, packet);
    await client.expectSilence();
    return client;
  }

  #owed({ store_id, mid, qos, state, props }: ClientMessage): string {
    if (state === AWAITING_PUBCOMP) return `pubrel ${mid}`;
    assert.ok([AWAITING_PUBACK, AWAITING_PUBREC, QUEUED].includes(state), `state ${state}`);
    const prefix = state === QUEUED ? 'waited' : `again ${mid}`;
    const identifiers = props === undefined ? [] : (propertiesOf(props).subscriptionIdentifiers ?? []);
    return `${prefix} ${written(this.#messages.get(store_id)!, qos, identifiers)}`;
  }

  /** A QoS 2 message that the client has not released yet is not taken twice, and reaches others once it is. */
  async #expectIncoming(clientId: string, client: RawClient): Promise<void> {
    for (const { direction, store_id, mid, qos, ...one } of this.#clientMessages) {
      if (one.clientid !== clientId || direction !== 0) continue;
      const { topic, payload } = this.#messages.get(store_id)!;
      const watcher = await RawClient.connect(this.#t, this.#broker, 4);
      await watcher.subscribe(topic, 2);
      client.sendPublish(topic, payload, { qos, packetId: mid, dup: true });
      await client.expectPacket('pubrec', { packetId: mid });
      await watcher.expectSilence();
      client.sendAck('pubrel', mid);
      await client.expectPacket('pubcomp', { packetId: mid });
      await settle(watcher, await watcher.expectPublish(topic, payload, { qos, dup: false }));
      await watcher.expectSilence();
      watcher.destroy();
    }
  }

  async #expectSubscriptions(clients: Map<string, RawClient>): Promise<void> {
    const publisher = await RawClient.connect(this.#t, this.#broker, 4);
    for (const { topic: filter } of this.#subscriptions) {
      const topic = filter.replaceAll(/[+#]/g, 'probe');
      await publisher.publish(topic, 'probe', { qos: 2, retain: true });
      await this.#expectProbe(topic, clients, null);
    }
    for (const { topic: filter, clientid, options = 0 } of this.#subscriptions) {
      if ((options & NO_LOCAL) === 0) continue;
      const topic = filter.replaceAll(/[+#]/g, 'own');
      await clients.get(clientid)!.publish(topic, 'probe', { qos: 2, retain: true, packetId: 999 });
      await this.#expectProbe(topic, clients, clientid);
    }
  }

  /** @param publisher the session that has sent it, if it is one of them */
  async #expectProbe(
    topic: string,
    clients: Map<string, RawClient>,
    publisher: string | null,
  ): Promise<void> {
    for (const [clientId, client] of clients) {
      const matching = this.#subscriptions.filter(
        ({ topic: filter, clientid, options = 0 }) =>
          clientid === clientId &&
          topicMatchesFilter(topic, filter) &&
          !(publisher === clientId && (options & NO_LOCAL) !== 0),
      );
      for (const { qos, options = 0, identifier = 0 } of matching) {
        const retain = (options & RETAIN_AS_PUBLISHED) !== 0;
        const packet = await client.expectPublish(topic, 'probe', { qos, retain });
        const { subscriptionIdentifiers = [] } = packet.properties;
        assert.deepEqual(subscriptionIdentifiers, identifier === 0 ? [] : [identifier], clientId);
        await settle(client, packet);
      }
      await client.expectSilence();
    }
  }
}

/** The samples' README says which sessions are of MQTT 5.0; it is not in the file. */
function versionOf(clientId: string): 4 | 5 {
  return clientId.startsWith('sess5') ? 5 : 4;
}

function resent(packet: Packet): string {
  if (packet.type !== 'publish') return `${packet.type} ${(packet as { packetId: number }).packetId}`;
  return `${packet.dup ? `again ${packet.packetId}` : 'waited'} ${seen(packet)}`;
}

function seen({ topic, payload, qos, properties }: PublishPacket): string {
  return inOneLine(topic, Buffer.from(payload), qos, properties);
}

function written(message: BaseMessage, qos: Qos, identifiers: number[] = []): string {
  const properties = propertiesOf(message.props ?? '');
  if (identifiers.length > 0) properties.subscriptionIdentifiers = identifiers;
  const { payload } = message;
  const bytes = payload.startsWith('hex:') ? Buffer.from(payload.slice(4), 'hex') : Buffer.from(payload);
  return inOneLine(message.topic, bytes, qos, properties);
}

/** Without what passes by: the rest of an expiry interval. */
function inOneLine(topic: string, payload: Buffer, qos: Qos, properties: Properties): string {
  const { messageExpiryInterval: _, correlationData = [], ...others } = properties;
  const all = { ...others, correlationData: [...correlationData] };
  return `${topic} ${payload.toString('hex')} ${qos} ${JSON.stringify(Object.entries(all).sort())}`;
}

/** @param block properties with their length, in hexadecimal digits; may be empty */
function propertiesOf(block: string): Properties {
  const body = Buffer.from(`000178${block === '' ? '00' : block}`, 'hex');
  const packet = decodePacket(Buffer.from([0x30, body.length, ...body]), 0, 2, 2 + body.length, 5, 'server');
  assert.ok(!isPacketError(packet) && packet.type === 'publish');
  return packet.properties;
}

/** Answers a packet, to the end of its exchange. */
async function settle(client: RawClient, packet: Packet): Promise<void> {
  if (packet.type === 'pubrel') client.sendAck('pubcomp', packet.packetId);
  if (packet.type !== 'publish') return;
  const { qos, packetId } = packet;
  if (qos === 1) client.sendAck('puback', packetId);
  if (qos !== 2) return;
  client.sendAck('pubrec', packetId);
  await client.expectPacket('pubrel', { packetId });
  client.sendAck('pubcomp', packetId);
}
