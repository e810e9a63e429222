/** Every packet type in every version that has it, as a packet and as bytes. */
import type { PacketOrigin } from '../../../src/mqtt/decode.js';
import type {
  AckPacket,
  ConnectPacket,
  Packet,
  ProtocolVersion,
  PublishPacket,
  SubscriptionRequest,
} from '../../../src/mqtt/packets.js';
import { bytes, packetBytes } from './packet-bytes.js';

export interface PacketSample {
  name: string;
  version: ProtocolVersion;
  origin: PacketOrigin;
  packet: Packet;
  bytes: Buffer;
}

type Row = [name: string, origin: PacketOrigin, packet: Packet, firstByte: number, body: string];

function connect(fields: Partial<ConnectPacket>): ConnectPacket {
  const defaults = { bridge: false, cleanStart: true, keepAlive: 60, clientId: 'id', properties: {} };
  return { type: 'connect', version: 5, ...defaults, ...fields };
}

function publish(fields: Partial<PublishPacket>): PublishPacket {
  const flags = { qos: 0, retain: false, dup: false, packetId: 0 } as const;
  return { type: 'publish', topic: 'a/b', payload: bytes("'hi'"), ...flags, properties: {}, ...fields };
}

function ack(type: AckPacket['type'], packetId: number, fields: Partial<AckPacket> = {}): AckPacket {
  return { type, packetId, reasonCode: 0, properties: {}, ...fields };
}

function subscription(fields: Partial<SubscriptionRequest>): SubscriptionRequest {
  return { filter: 'a', qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0, ...fields };
}

const sameBeforeV5: Row[] = [
  ['PUBLISH', 'client', publish({}), 0x30, '"a/b" \'hi\''],
  ['PUBLISH that is retained', 'server', publish({ retain: true }), 0x31, '"a/b" \'hi\''],
  ['PUBLISH with QoS 1', 'client', publish({ qos: 1, packetId: 0x1234 }), 0x32, '"a/b" 1234 \'hi\''],
  ['PUBLISH again', 'server', publish({ qos: 1, dup: true, packetId: 1 }), 0x3a, '"a/b" 0001 \'hi\''],
  ['PUBLISH with QoS 2', 'client', publish({ qos: 2, packetId: 0xffff }), 0x34, '"a/b" ffff \'hi\''],
  ['PUBLISH without payload', 'client', publish({ payload: bytes('') }), 0x30, '"a/b"'],
  [
    'PUBLISH of 200 bytes',
    'client',
    publish({ payload: Buffer.alloc(200) }),
    0x30,
    `"a/b" ${'00'.repeat(200)}`,
  ],
  [
    'PUBLISH of 20000 bytes',
    'client',
    publish({ payload: Buffer.alloc(20_000) }),
    0x30,
    `"a/b" ${'00'.repeat(20_000)}`,
  ],
  ['PUBACK', 'server', ack('puback', 1), 0x40, '0001'],
  ['PUBREC', 'client', ack('pubrec', 0xff00), 0x50, 'ff00'],
  ['PUBREL', 'client', ack('pubrel', 2), 0x62, '0002'],
  ['PUBCOMP', 'server', ack('pubcomp', 0xffff), 0x70, 'ffff'],
  [
    'SUBSCRIBE',
    'client',
    {
      type: 'subscribe',
      packetId: 10,
      subscriptions: [
        subscription({ filter: '#', qos: 2 }),
        subscription({ filter: '$share/g/+/x', qos: 1 }),
        subscription({ filter: '/' }),
      ],
      properties: {},
    },
    0x82,
    '000a "#" 02 "$share/g/+/x" 01 "/" 00',
  ],
  [
    'UNSUBSCRIBE',
    'client',
    { type: 'unsubscribe', packetId: 11, filters: ['a/b', '+'], properties: {} },
    0xa2,
    '000b "a/b" "+"',
  ],
  ['UNSUBACK', 'server', { type: 'unsuback', packetId: 11, reasonCodes: [], properties: {} }, 0xb0, '000b'],
  ['PINGREQ', 'client', { type: 'pingreq' }, 0xc0, ''],
  ['PINGRESP', 'server', { type: 'pingresp' }, 0xd0, ''],
  ['DISCONNECT', 'client', { type: 'disconnect', reasonCode: 0, properties: {} }, 0xe0, ''],
];

const v3: Row[] = [
  ['CONNECT', 'client', connect({ version: 3 }), 0x10, '"MQIsdp" 03 02 003c "id"'],
  [
    'CONNECT of a bridge',
    'client',
    connect({ version: 3, bridge: true, cleanStart: false }),
    0x10,
    '"MQIsdp" 83 00 003c "id"',
  ],
  [
    'CONNACK',
    'server',
    { type: 'connack', sessionPresent: false, reasonCode: 0, properties: {} },
    0x20,
    '00 00',
  ],
  [
    'SUBACK',
    'server',
    { type: 'suback', packetId: 1, reasonCodes: [0, 1, 2], properties: {} },
    0x90,
    '0001 00 01 02',
  ],
  [
    'SUBSCRIBE without a filter',
    'client',
    { type: 'subscribe', packetId: 1, subscriptions: [], properties: {} },
    0x82,
    '0001',
  ],
  [
    'UNSUBSCRIBE without a filter',
    'client',
    { type: 'unsubscribe', packetId: 1, filters: [], properties: {} },
    0xa2,
    '0001',
  ],
];

const v4: Row[] = [
  ['CONNECT', 'client', connect({ version: 4, clientId: '' }), 0x10, '"MQTT" 04 02 003c ""'],
  [
    'CONNECT with everything',
    'client',
    connect({
      version: 4,
      bridge: true,
      cleanStart: false,
      keepAlive: 0xffff,
      clientId: 'a client id longer than 23 characters',
      will: { topic: 'w/t', payload: bytes('00ff'), qos: 2, retain: true, properties: {} },
      username: 'user',
      password: bytes('ff00'),
    }),
    0x10,
    '"MQTT" 84 f4 ffff "a client id longer than 23 characters" "w/t" 0002 00ff "user" 0002 ff00',
  ],
  [
    'CONNECT with empty values',
    'client',
    connect({
      version: 4,
      keepAlive: 0,
      will: { topic: 'w', payload: bytes(''), qos: 0, retain: false, properties: {} },
      username: '',
      password: bytes(''),
    }),
    0x10,
    '"MQTT" 04 c6 0000 "id" "w" "" "" ""',
  ],
  [
    'CONNACK',
    'server',
    { type: 'connack', sessionPresent: true, reasonCode: 0, properties: {} },
    0x20,
    '01 00',
  ],
  [
    'CONNACK that refuses',
    'server',
    { type: 'connack', sessionPresent: false, reasonCode: 5, properties: {} },
    0x20,
    '00 05',
  ],
  [
    'SUBACK',
    'server',
    { type: 'suback', packetId: 1, reasonCodes: [2, 0x80], properties: {} },
    0x90,
    '0001 02 80',
  ],
];

const v5: Row[] = [
  ['CONNECT', 'client', connect({ clientId: '' }), 0x10, '"MQTT" 05 02 003c 00 ""'],
  [
    'CONNECT with a password alone',
    'client',
    connect({ password: bytes("'p'") }),
    0x10,
    '"MQTT" 05 42 003c 00 "id" "p"',
  ],
  [
    'CONNECT with everything',
    'client',
    connect({
      cleanStart: false,
      clientId: 'ü',
      properties: {
        sessionExpiryInterval: 0xffffffff,
        receiveMaximum: 10,
        maximumPacketSize: 0x01000000,
        topicAliasMaximum: 5,
        requestResponseInformation: 1,
        requestProblemInformation: 0,
        authenticationMethod: 'm',
        authenticationData: bytes('01'),
        userProperties: [
          ['b', '1'],
          ['a', ''],
          ['b', '2'],
        ],
      },
      will: {
        topic: 'w',
        payload: bytes("'x'"),
        qos: 1,
        retain: true,
        properties: {
          payloadFormatIndicator: 1,
          messageExpiryInterval: 60,
          contentType: 'text',
          responseTopic: 'r',
          correlationData: bytes('ff'),
          willDelayInterval: 5,
          userProperties: [['u', 'v']],
        },
      },
      username: 'user',
      password: bytes("'p'"),
    }),
    0x10,
    `"MQTT" 05 ec 003c
     30 11ffffffff 21000a 2701000000 220005 1901 1700 15"m" 16000101 26"b""1" 26"a""" 26"b""2"
     "ü"
     22 0101 020000003c 03"text" 08"r" 090001ff 1800000005 26"u""v"
     "w" "x" "user" "p"`,
  ],
  [
    'CONNACK',
    'server',
    { type: 'connack', sessionPresent: true, reasonCode: 0, properties: {} },
    0x20,
    '01 00 00',
  ],
  [
    'CONNACK with everything',
    'server',
    {
      type: 'connack',
      sessionPresent: false,
      reasonCode: 0,
      properties: {
        sessionExpiryInterval: 1,
        receiveMaximum: 20,
        maximumQos: 1,
        retainAvailable: 0,
        maximumPacketSize: 2_000_000,
        assignedClientIdentifier: 'auto-1',
        topicAliasMaximum: 10,
        reasonString: 'why',
        userProperties: [['k', 'v']],
        wildcardSubscriptionAvailable: 0,
        subscriptionIdentifiersAvailable: 0,
        sharedSubscriptionAvailable: 0,
        serverKeepAlive: 30,
        responseInformation: 'i',
        serverReference: 's',
        authenticationMethod: 'm',
        authenticationData: bytes('00'),
      },
    },
    0x20,
    `00 00 43 1100000001 210014 2401 2500 27001e8480 12"auto-1" 22000a 1f"why" 26"k""v" 2800 2900 2a00 13001e 1a"i"
     1c"s" 15"m" 16000100`,
  ],
  [
    'CONNACK that refuses',
    'server',
    { type: 'connack', sessionPresent: false, reasonCode: 0x84, properties: {} },
    0x20,
    '00 84 00',
  ],
  ['PUBLISH', 'client', publish({}), 0x30, '"a/b" 00 \'hi\''],
  [
    'PUBLISH with everything',
    'client',
    publish({
      qos: 2,
      dup: true,
      retain: true,
      packetId: 7,
      properties: {
        payloadFormatIndicator: 0,
        messageExpiryInterval: 0,
        contentType: '',
        responseTopic: 'r/s',
        correlationData: bytes(''),
        topicAlias: 0xffff,
        userProperties: [['', '']],
      },
    }),
    0x3d,
    '"a/b" 0007 1b 0100 0200000000 03"" 08"r/s" 09"" 23ffff 26"""" \'hi\'',
  ],
  [
    'PUBLISH with an alias alone',
    'client',
    publish({ topic: '', properties: { topicAlias: 1 } }),
    0x30,
    '"" 03 230001 \'hi\'',
  ],
  [
    'PUBLISH with subscription identifiers',
    'server',
    publish({ properties: { subscriptionIdentifiers: [1, 128, 268_435_455] } }),
    0x30,
    '"a/b" 0a 0b01 0b8001 0bffffff7f \'hi\'',
  ],
  ['PUBACK', 'server', ack('puback', 1), 0x40, '0001'],
  ['PUBACK with a reason', 'server', ack('puback', 1, { reasonCode: 0x10 }), 0x40, '0001 10'],
  [
    'PUBREC with everything',
    'client',
    ack('pubrec', 2, { reasonCode: 0x80, properties: { reasonString: 'no', userProperties: [['k', 'v']] } }),
    0x50,
    '0002 80 0c 1f"no" 26"k""v"',
  ],
  ['PUBREL', 'client', ack('pubrel', 3, { reasonCode: 0x92 }), 0x62, '0003 92'],
  ['PUBCOMP', 'server', ack('pubcomp', 4, { properties: { reasonString: 'ok' } }), 0x70, '0004 00 05 1f"ok"'],
  [
    'SUBSCRIBE',
    'client',
    {
      type: 'subscribe',
      packetId: 10,
      subscriptions: [
        subscription({ filter: 'a/#', qos: 1, noLocal: true, retainAsPublished: true, retainHandling: 2 }),
        subscription({ filter: '$share/g/a', qos: 2, retainHandling: 1 }),
      ],
      properties: { subscriptionIdentifiers: [200], userProperties: [['k', 'v']] },
    },
    0x82,
    '000a 0a 0bc801 26"k""v" "a/#" 2d "$share/g/a" 12',
  ],
  [
    'SUBACK',
    'server',
    { type: 'suback', packetId: 10, reasonCodes: [0, 1, 2, 0x87, 0xa2], properties: { reasonString: 'r' } },
    0x90,
    '000a 04 1f"r" 00 01 02 87 a2',
  ],
  [
    'UNSUBSCRIBE',
    'client',
    {
      type: 'unsubscribe',
      packetId: 11,
      filters: ['a', 'b/+'],
      properties: { userProperties: [['k', 'v']] },
    },
    0xa2,
    '000b 07 26"k""v" "a" "b/+"',
  ],
  [
    'UNSUBACK',
    'server',
    { type: 'unsuback', packetId: 11, reasonCodes: [0, 0x11], properties: {} },
    0xb0,
    '000b 00 00 11',
  ],
  ['PINGREQ', 'client', { type: 'pingreq' }, 0xc0, ''],
  ['PINGRESP', 'server', { type: 'pingresp' }, 0xd0, ''],
  ['DISCONNECT', 'client', { type: 'disconnect', reasonCode: 0, properties: {} }, 0xe0, ''],
  ['DISCONNECT with will', 'client', { type: 'disconnect', reasonCode: 4, properties: {} }, 0xe0, '04'],
  [
    'DISCONNECT with a session expiry',
    'client',
    { type: 'disconnect', reasonCode: 0, properties: { sessionExpiryInterval: 0 } },
    0xe0,
    '00 05 1100000000',
  ],
  [
    'DISCONNECT of the server',
    'server',
    { type: 'disconnect', reasonCode: 0x9d, properties: { serverReference: 'h', reasonString: 'moved' } },
    0xe0,
    '9d 0c 1c"h" 1f"moved"',
  ],
  [
    'AUTH',
    'client',
    {
      type: 'auth',
      reasonCode: 0x18,
      properties: { authenticationMethod: 'm', authenticationData: bytes("'d'") },
    },
    0xf0,
    '18 08 15"m" 16"d"',
  ],
];

function samples(version: ProtocolVersion, rows: Row[]): PacketSample[] {
  return rows.map(([name, origin, packet, firstByte, body]) => ({
    name: `v${version} ${name}`,
    version,
    origin,
    packet,
    bytes: packetBytes(firstByte, body),
  }));
}

export const packetSamples: readonly PacketSample[] = [
  ...samples(3, sameBeforeV5),
  ...samples(3, v3),
  ...samples(4, sameBeforeV5),
  ...samples(4, v4),
  ...samples(5, v5),
];
