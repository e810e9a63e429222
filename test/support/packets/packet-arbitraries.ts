/** Random packets for property tests: valid ones, as a client or a server of some version may send them. */
import fc from 'fast-check';
import type { PacketOrigin } from '../../../src/mqtt/decode.js';
import type { Packet, Properties, ProtocolVersion, Qos, Will } from '../../../src/mqtt/packets.js';
import { PROPERTY_RULES, type PropertyHolder, type PropertyRule } from '../../../src/mqtt/properties.js';

/** A packet together with what one has to know to read it. */
export interface SentPacket {
  version: ProtocolVersion;
  origin: PacketOrigin;
  packet: Packet;
}

/** Any text that a packet can carry: neither control characters, nor non-characters, nor half a character. */
const text = fc
  .string({ unit: 'binary', maxLength: 20 })
  .map((value) => value.replaceAll(/[\p{Cc}\p{NChar}]/gu, ''))
  .filter((value) => !/\p{Surrogate}/u.test(value));

const binary = fc.uint8Array({ maxLength: 20 });
const packetId = fc.integer({ min: 1, max: 0xffff });
const qos = fc.constantFrom<Qos>(0, 1, 2);

const topicLevel = text.map((value) => value.replaceAll(/[+#/]/g, ''));
export const topicName = fc
  .array(topicLevel, { minLength: 1, maxLength: 6 })
  .map((levels) => levels.join('/'))
  .filter((topic) => topic !== '');

export const topicFilter = fc
  .tuple(
    fc.array(fc.oneof({ weight: 3, arbitrary: topicLevel }, { weight: 1, arbitrary: fc.constant('+') }), {
      minLength: 1,
      maxLength: 6,
    }),
    fc.boolean(),
  )
  .map(([levels, hash]) => (hash ? [...levels, '#'] : levels).join('/'))
  .filter((filter) => filter !== '' && !filter.startsWith('$share'));

function valueFor(rule: PropertyRule): fc.Arbitrary<unknown> {
  const { min = 0 } = rule;
  switch (rule.type) {
    case 'byte':
      return fc.integer({ min, max: 1 });
    case 'uint16':
      return fc.integer({ min, max: 0xffff });
    case 'uint32':
      return fc.integer({ min, max: 0xffffffff });
    case 'varint':
      return fc.integer({ min, max: 268_435_455 });
    case 'text':
      return rule.key === 'responseTopic' ? topicName : text;
    case 'binary':
      return binary;
    case 'pair':
      return fc.tuple(text, text);
  }
}

/** Any set of properties that may stand there. */
export function propertiesOf(holder: PropertyHolder, version: ProtocolVersion = 5): fc.Arbitrary<Properties> {
  if (version !== 5) return fc.constant({});
  const rules = PROPERTY_RULES.filter((rule) => rule.holders.includes(holder));
  const values = rules.map((rule) => {
    const value = valueFor(rule);
    if (rule.repeatable?.includes(holder)) return [rule.key, fc.array(value, { minLength: 1, maxLength: 3 })];
    return [rule.key, rule.repeatable === undefined ? value : value.map((one) => [one])];
  });
  return fc.record(Object.fromEntries(values), { requiredKeys: [] }) as fc.Arbitrary<Properties>;
}

function connect(version: ProtocolVersion): fc.Arbitrary<Packet> {
  const will: fc.Arbitrary<Will> = fc.record({
    topic: topicName.filter((topic) => !topic.startsWith('$CONTROL/')),
    payload: binary,
    qos,
    retain: fc.boolean(),
    properties: propertiesOf('will', version),
  });
  const required = {
    type: fc.constant('connect' as const),
    version: fc.constant(version),
    bridge: version === 5 ? fc.constant(false) : fc.boolean(),
    cleanStart: fc.boolean(),
    keepAlive: fc.integer({ min: 0, max: 0xffff }),
    clientId: version === 5 ? text : text.filter((id) => id !== ''),
    properties: propertiesOf('connect', version).map(withMethod),
  };
  const requiredKeys = Object.keys(required) as (keyof typeof required)[];
  return fc
    .record({ ...required, will, username: text, password: binary }, { requiredKeys })
    .filter(({ username, password }) => version === 5 || password === undefined || username !== undefined);
}

/** Authentication data needs a method. */
function withMethod(properties: Properties): Properties {
  if (properties.authenticationData === undefined) return properties;
  return { authenticationMethod: 'method', ...properties };
}

function publish(version: ProtocolVersion, origin: PacketOrigin): fc.Arbitrary<Packet> {
  return fc
    .record({
      type: fc.constant('publish' as const),
      topic: topicName,
      payload: fc.uint8Array({ maxLength: 300 }),
      qos,
      retain: fc.boolean(),
      dup: fc.boolean(),
      packetId,
      properties: propertiesOf('publish', version),
    })
    .map((packet) => {
      const { subscriptionIdentifiers, ...fromClient } = packet.properties;
      const properties = origin === 'client' ? fromClient : packet.properties;
      const withAlias = properties.topicAlias !== undefined && packet.dup;
      return {
        ...packet,
        topic: withAlias ? '' : packet.topic,
        dup: packet.qos !== 0 && packet.dup,
        packetId: packet.qos === 0 ? 0 : packet.packetId,
        properties,
      };
    });
}

function acknowledgement(version: ProtocolVersion): fc.Arbitrary<Packet> {
  return fc.constantFrom('puback', 'pubrec', 'pubrel', 'pubcomp').chain((type) => {
    const released = type === 'pubrel' || type === 'pubcomp';
    const codes = released ? [0, 0x92] : [0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
    return fc.record({
      type: fc.constant(type),
      packetId,
      reasonCode: version === 5 ? fc.constantFrom(...codes) : fc.constant(0),
      properties: propertiesOf(type, version),
    });
  });
}

function subscribe(version: ProtocolVersion): fc.Arbitrary<Packet> {
  const options =
    version === 5
      ? { noLocal: fc.boolean(), retainAsPublished: fc.boolean(), retainHandling: fc.constantFrom(0, 1, 2) }
      : {
          noLocal: fc.constant(false),
          retainAsPublished: fc.constant(false),
          retainHandling: fc.constant(0),
        };
  const subscription = fc.record({ filter: topicFilter, qos, ...options });
  return fc.record({
    type: fc.constant('subscribe' as const),
    packetId,
    subscriptions: fc.array(subscription, { minLength: 1, maxLength: 5 }),
    properties: propertiesOf('subscribe', version),
  }) as fc.Arbitrary<Packet>;
}

function unsubscribe(version: ProtocolVersion): fc.Arbitrary<Packet> {
  return fc.record({
    type: fc.constant('unsubscribe' as const),
    packetId,
    filters: fc.array(topicFilter, { minLength: 1, maxLength: 5 }),
    properties: propertiesOf('unsubscribe', version),
  });
}

function connack(version: ProtocolVersion): fc.Arbitrary<Packet> {
  return fc.record({
    type: fc.constant('connack' as const),
    sessionPresent: version === 3 ? fc.constant(false) : fc.boolean(),
    reasonCode: version === 5 ? fc.constantFrom(0, 0x80, 0x87, 0x9f) : fc.integer({ min: 0, max: 5 }),
    properties: propertiesOf('connack', version),
  });
}

function subscriptionAnswer(version: ProtocolVersion): fc.Arbitrary<Packet> {
  const subackCodes =
    version === 5 ? [0, 1, 2, 0x80, 0x87, 0xa2] : version === 4 ? [0, 1, 2, 0x80] : [0, 1, 2];
  const suback: fc.Arbitrary<Packet> = fc.record({
    type: fc.constant('suback' as const),
    packetId,
    reasonCodes: fc.array(fc.constantFrom(...subackCodes), { minLength: 1 }),
    properties: propertiesOf('suback', version),
  });
  const unsubackCodes = fc.array(fc.constantFrom<number>(0, 0x11, 0x8f), { minLength: 1 });
  const unsuback: fc.Arbitrary<Packet> = fc.record({
    type: fc.constant('unsuback' as const),
    packetId,
    reasonCodes: version === 5 ? unsubackCodes : fc.constant<number[]>([]),
    properties: propertiesOf('unsuback', version),
  });
  return fc.oneof(suback, unsuback);
}

function disconnect(version: ProtocolVersion, origin: PacketOrigin): fc.Arbitrary<Packet> {
  return fc
    .record({
      type: fc.constant('disconnect' as const),
      reasonCode: version === 5 ? fc.constantFrom(0, 4, 0x81, 0x8e, 0x9d) : fc.constant(0),
      properties: propertiesOf('disconnect', version),
    })
    .map((packet) => {
      const { sessionExpiryInterval, ...fromServer } = packet.properties;
      return origin === 'server' ? { ...packet, properties: fromServer } : packet;
    });
}

const auth: fc.Arbitrary<Packet> = fc.record({
  type: fc.constant('auth' as const),
  reasonCode: fc.constantFrom(0, 0x18, 0x19),
  properties: propertiesOf('auth').map((properties) => ({ authenticationMethod: 'method', ...properties })),
});

function packetOf(version: ProtocolVersion, origin: PacketOrigin): fc.Arbitrary<Packet> {
  const fromBoth = [publish(version, origin), acknowledgement(version)];
  const authentication = version === 5 ? [auth] : [];
  if (origin === 'server') {
    const fromServer = [
      connack(version),
      subscriptionAnswer(version),
      fc.constant<Packet>({ type: 'pingresp' }),
    ];
    const farewell = version === 5 ? [disconnect(version, origin)] : [];
    return fc.oneof(...fromBoth, ...authentication, ...fromServer, ...farewell);
  }
  return fc.oneof(
    ...fromBoth,
    ...authentication,
    connect(version),
    subscribe(version),
    unsubscribe(version),
    fc.constant<Packet>({ type: 'pingreq' }),
    disconnect(version, origin),
  );
}

export const sentPacket: fc.Arbitrary<SentPacket> = fc
  .tuple(fc.constantFrom<ProtocolVersion>(3, 4, 5), fc.constantFrom<PacketOrigin>('client', 'server'))
  .chain(([version, origin]) =>
    fc.record({
      version: fc.constant(version),
      origin: fc.constant(origin),
      packet: packetOf(version, origin),
    }),
  );
