/** The client's side of a connection, against a server made of packets: no sockets, the time is a number. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ClientConnection } from '../../../src/client/client-connection.js';
import type { ClientEvent } from '../../../src/client/client-events.js';
import { ClientSession, type OutgoingMessage } from '../../../src/client/client-session.js';
import { decodePacket } from '../../../src/mqtt/decode.js';
import { encodePacket } from '../../../src/mqtt/encode.js';
import { Framer } from '../../../src/mqtt/framer.js';
import { isPacketError } from '../../../src/mqtt/packet-error.js';
import type {
  AckPacket,
  ConnectPacket,
  Packet,
  Properties,
  ProtocolVersion,
  PublishPacket,
  Qos,
} from '../../../src/mqtt/packets.js';

interface PairOptions {
  version?: ProtocolVersion;
  session?: ClientSession;
  inFlightMax?: number;
  trace?: boolean;
  connect?: Partial<ConnectPacket>;
  onEvent?: (event: ClientEvent, pair: Pair) => void;
}

/** A client connection and the other end of its bytes. */
class Pair {
  readonly session: ClientSession;
  readonly client: ClientConnection;
  readonly version: ProtocolVersion;
  nowMs = 1000;
  events: ClientEvent[] = [];
  readonly #framer: Framer;
  #received: Packet[] = [];

  constructor(options: PairOptions = {}) {
    this.version = options.version ?? 5;
    this.session = options.session ?? new ClientSession();
    const connect: ConnectPacket = {
      type: 'connect',
      version: this.version,
      bridge: false,
      cleanStart: true,
      keepAlive: 60,
      clientId: 'c',
      properties: {},
      ...options.connect,
    };
    const { inFlightMax = 20, trace = false } = options;
    this.client = new ClientConnection({ connect, inFlightMax, trace }, this.session, (event) => {
      this.events.push(event);
      options.onEvent?.(event, this);
    });
    this.#framer = new Framer((buffer, start, bodyStart, end) => {
      const packet = decodePacket(buffer, start, bodyStart, end, this.version, 'client');
      assert.ok(!isPacketError(packet), `the client sent ${JSON.stringify(packet)}`);
      this.#received.push(packet);
      return true;
    });
  }

  /** What the client has sent since the last call. */
  sent(): Packet[] {
    const bytes = this.client.takeOutgoing();
    if (bytes !== undefined) assert.equal(this.#framer.push(bytes, bytes.length), undefined);
    const packets = this.#received;
    this.#received = [];
    return packets;
  }

  reply(...packets: Packet[]): void {
    const bytes = Buffer.concat(packets.map((packet) => encodePacket(packet, this.version)));
    this.client.receive(bytes, this.nowMs);
  }

  /** Has the client connected, and forgets how. */
  connected({ sessionPresent = false, properties = {} as Properties } = {}): this {
    this.client.connect(this.nowMs);
    this.sent();
    this.reply({ type: 'connack', sessionPresent, reasonCode: 0, properties });
    return this;
  }

  publish(qos: Qos, payload = 'x', rest: Partial<OutgoingMessage> = {}): number | string {
    const message = {
      topic: 't',
      payload: Buffer.from(payload),
      qos,
      retain: false,
      properties: {},
      ...rest,
    };
    return this.client.publish(message, this.nowMs);
  }

  takeEvents(): ClientEvent[] {
    const { events } = this;
    this.events = [];
    return events;
  }
}

const acknowledgement = (type: AckPacket['type'], packetId: number, reasonCode = 0): AckPacket => ({
  type,
  packetId,
  reasonCode,
  properties: {},
});

function delivery(qos: Qos, packetId: number, rest: Partial<PublishPacket> = {}): PublishPacket {
  const payload = new Uint8Array(Buffer.from('p'));
  return {
    type: 'publish',
    topic: 't',
    payload,
    qos,
    retain: false,
    dup: false,
    packetId,
    properties: {},
    ...rest,
  };
}

/** Packets in short: `publish 1`, `puback 7 reason 135`. */
function short(packets: Packet[]): string[] {
  return packets.map((packet) => {
    const id = 'packetId' in packet && packet.packetId > 0 ? ` ${packet.packetId}` : '';
    const dup = packet.type === 'publish' && packet.dup ? ' dup' : '';
    const reason = 'reasonCode' in packet && packet.reasonCode > 0 ? ` reason ${packet.reasonCode}` : '';
    return packet.type + id + dup + reason;
  });
}

const kinds = (events: ClientEvent[]) => events.map(({ kind }) => kind);

describe('connecting', () => {
  for (const version of [3, 4, 5] as const) {
    test(`version ${version}`, () => {
      const pair = new Pair({ version });
      pair.client.connect(pair.nowMs);
      assert.deepEqual(short(pair.sent()), ['connect']);
      assert.equal(pair.client.isConnected, false);
      pair.reply({ type: 'connack', sessionPresent: false, reasonCode: 0, properties: {} });
      assert.deepEqual(kinds(pair.takeEvents()), ['connected']);
      assert.equal(pair.client.isConnected, true);
    });
  }

  test('a refusal ends it', () => {
    const pair = new Pair();
    pair.client.connect(pair.nowMs);
    pair.sent();
    pair.reply({ type: 'connack', sessionPresent: false, reasonCode: 0x87, properties: {} });
    assert.deepEqual(kinds(pair.takeEvents()), ['refused']);
    assert.equal(pair.publish(0), 'not-connected');
    pair.reply(delivery(0, 0));
    assert.deepEqual(pair.takeEvents(), []);
  });

  test('nothing else may come before CONNACK', () => {
    const pair = new Pair();
    pair.client.connect(pair.nowMs);
    pair.sent();
    pair.reply({ type: 'pingresp' });
    assert.deepEqual(kinds(pair.takeEvents()), ['failed']);
    assert.deepEqual(pair.sent(), []);
  });
});

test('a server that asks is answered, as libmosquitto does', () => {
  const pair = new Pair({ version: 4 }).connected();
  pair.takeEvents();
  pair.client.receive(Buffer.from('c000', 'hex'), pair.nowMs);
  assert.deepEqual(pair.takeEvents(), []);
  assert.equal(pair.client.isConnected, true);
});

describe('what a server must not send', () => {
  const rows: [name: string, version: ProtocolVersion, bytes: string][] = [
    ['a second CONNACK', 5, '2003000000'],
    ['a CONNECT', 5, '101000044d5154540502003c032100140000'],
    ['a DISCONNECT before MQTT 5.0', 4, 'e000'],
    ['reserved packet type 0', 4, '0000'],
    ['an AUTH that was not asked for', 5, 'f00618041500016d'],
    ['a PUBLISH with QoS 3', 4, '360500017400017a'],
    ['a packet with id 0', 4, '40020000'],
    ['a remaining length of five bytes', 4, '30ffffffff01'],
    ['an alias that is not known', 5, '3006000003230001'],
  ];
  for (const [name, version, bytes] of rows) {
    test(name, () => {
      const pair = new Pair({ version }).connected();
      pair.takeEvents();
      pair.client.receive(Buffer.from(bytes, 'hex'), pair.nowMs);
      assert.deepEqual(kinds(pair.takeEvents()), ['failed']);
      assert.equal(pair.client.isConnected, false);
      const goodbye = short(pair.sent());
      if (version === 5) assert.match(goodbye.join(), /^disconnect reason 1\d\d$/);
      else assert.deepEqual(goodbye, []);
    });
  }
});

describe('publishing', () => {
  test('QoS 0 is done at once, and takes an id', () => {
    const pair = new Pair().connected();
    pair.takeEvents();
    assert.equal(pair.publish(0), 1);
    assert.equal(pair.publish(1), 2);
    assert.deepEqual(short(pair.sent()), ['publish', 'publish 2']);
    assert.deepEqual(kinds(pair.takeEvents()), ['published']);
  });

  test('QoS 1 ends with PUBACK, refused or not', () => {
    const pair = new Pair().connected();
    pair.publish(1);
    pair.publish(1);
    pair.takeEvents();
    pair.reply(acknowledgement('puback', 1), acknowledgement('puback', 2, 0x87));
    const published = pair.takeEvents();
    assert.deepEqual(kinds(published), ['published', 'published']);
    assert.deepEqual(
      published.map((event) => event.kind === 'published' && event.reasonCode),
      [0, 0x87],
    );
    assert.equal(pair.session.outbound.size, 0);
  });

  test('QoS 2 ends with PUBCOMP, or a PUBREC that refuses', () => {
    const pair = new Pair().connected();
    pair.publish(2);
    pair.publish(2);
    pair.sent();
    pair.takeEvents();
    pair.reply(acknowledgement('pubrec', 1), acknowledgement('pubrec', 2, 0x97));
    assert.deepEqual(short(pair.sent()), ['pubrel 1']);
    assert.deepEqual(kinds(pair.takeEvents()), ['published']);
    pair.reply(acknowledgement('pubcomp', 1));
    assert.deepEqual(kinds(pair.takeEvents()), ['published']);
    assert.equal(pair.session.outbound.size, 0);
  });

  test('acknowledgements of nothing are left aside', () => {
    const pair = new Pair().connected();
    pair.takeEvents();
    pair.reply(acknowledgement('puback', 9), acknowledgement('pubcomp', 9));
    assert.deepEqual(pair.takeEvents(), []);
    assert.ok(pair.client.isConnected);
  });

  test('no more are under way than the window, in order', () => {
    const pair = new Pair({ inFlightMax: 2 }).connected();
    for (let i = 0; i < 4; i += 1) pair.publish(1);
    assert.equal(pair.client.windowRoom, -2);
    assert.deepEqual(short(pair.sent()), ['publish 1', 'publish 2']);
    pair.reply(acknowledgement('puback', 2));
    assert.deepEqual(short(pair.sent()), ['publish 3']);
    pair.publish(1);
    assert.deepEqual(short(pair.sent()), []);
    pair.reply(acknowledgement('puback', 1), acknowledgement('puback', 3));
    assert.deepEqual(short(pair.sent()), ['publish 4', 'publish 5']);
    assert.equal(pair.client.windowRoom, 0);
  });

  test('an acknowledgement of what still waits is none', () => {
    const pair = new Pair({ inFlightMax: 1 }).connected();
    pair.publish(1);
    pair.publish(1);
    pair.takeEvents();
    pair.reply(acknowledgement('puback', 2));
    assert.deepEqual(pair.takeEvents(), []);
    assert.equal(pair.session.outbound.size, 2);
  });

  test('the server may want a smaller window', () => {
    const pair = new Pair().connected({ properties: { receiveMaximum: 1 } });
    pair.publish(1);
    pair.publish(2);
    assert.deepEqual(short(pair.sent()), ['publish 1']);
  });

  test('what the server does not take', () => {
    const pair = new Pair().connected({
      properties: { maximumQos: 1, maximumPacketSize: 20, retainAvailable: 0 },
    });
    assert.equal(pair.publish(2), 'qos-not-supported');
    assert.equal(pair.publish(1, 'x'.repeat(30)), 'too-large');
    assert.equal(typeof pair.publish(1, 'x'.repeat(5)), 'number');
    pair.sent();
    pair.publish(0, 'x', { retain: true });
    assert.equal((pair.sent()[0] as PublishPacket).retain, false);
  });

  test('a message may be published when one is done', () => {
    let left = 3;
    const onEvent = (event: ClientEvent, { client, nowMs }: Pair) => {
      if (event.kind !== 'published' || left === 0) return;
      left -= 1;
      client.publish({ topic: 't', payload: Buffer.of(left), qos: 1, retain: false, properties: {} }, nowMs);
    };
    const pair = new Pair({ inFlightMax: 1, onEvent }).connected();
    pair.publish(1);
    for (let id = 1; id <= 4; id += 1) {
      assert.deepEqual(short(pair.sent()), [`publish ${id}`]);
      pair.reply(acknowledgement('puback', id));
    }
    assert.deepEqual(pair.sent(), []);
  });

  test('ids begin again after 65535, and skip those under way', () => {
    const session = new ClientSession();
    const pair = new Pair({ session }).connected();
    assert.equal(pair.publish(1), 1);
    for (let id = 2; id <= 65535; id += 1) assert.equal(session.nextPacketId(), id);
    assert.equal(pair.publish(0), 2);
  });
});

describe('receiving', () => {
  test('QoS 0, 1 and 2', () => {
    const pair = new Pair().connected();
    pair.takeEvents();
    pair.reply(delivery(0, 0), delivery(1, 5), delivery(2, 6));
    assert.deepEqual(kinds(pair.takeEvents()), ['message', 'message']);
    assert.deepEqual(short(pair.sent()), ['puback 5', 'pubrec 6']);
    pair.reply(acknowledgement('pubrel', 6));
    assert.deepEqual(kinds(pair.takeEvents()), ['message']);
    assert.deepEqual(short(pair.sent()), ['pubcomp 6']);
  });

  test('a QoS 2 message that is sent again is one message', () => {
    const pair = new Pair().connected();
    pair.takeEvents();
    pair.reply(delivery(2, 6), delivery(2, 6, { dup: true }));
    pair.reply(acknowledgement('pubrel', 6), acknowledgement('pubrel', 6));
    assert.deepEqual(kinds(pair.takeEvents()), ['message']);
    assert.deepEqual(short(pair.sent()), ['pubrec 6', 'pubrec 6', 'pubcomp 6', 'pubcomp 6']);
  });

  test('topic aliases, as many as were offered', () => {
    const pair = new Pair({ connect: { properties: { topicAliasMaximum: 1 } } }).connected();
    pair.takeEvents();
    pair.reply(delivery(0, 0, { topic: 'long', properties: { topicAlias: 1 } }));
    pair.reply(delivery(0, 0, { topic: '', properties: { topicAlias: 1 } }));
    pair.reply(delivery(0, 0, { topic: 'other', properties: { topicAlias: 2 } }));
    const events = pair.takeEvents();
    assert.deepEqual(kinds(events), ['message', 'message', 'failed']);
    const topics = events.map((event) => event.kind === 'message' && event.packet.topic);
    assert.deepEqual(topics.slice(0, 2), ['long', 'long']);
  });

  test('after disconnecting nothing more is taken: it stays with the server', () => {
    const onEvent = (event: ClientEvent, { client, nowMs }: Pair) => {
      if (event.kind === 'message') client.disconnect(0, {}, nowMs);
    };
    const pair = new Pair({ onEvent }).connected();
    pair.takeEvents();
    pair.reply(delivery(1, 1), delivery(1, 2));
    assert.deepEqual(kinds(pair.takeEvents()), ['message']);
    assert.deepEqual(short(pair.sent()), ['puback 1', 'disconnect']);
  });

  test('however the bytes are cut', () => {
    const packets = [delivery(0, 0), delivery(1, 1), delivery(2, 2), acknowledgement('pubrel', 2)];
    const bytes = Buffer.concat(packets.map((packet) => encodePacket(packet, 5)));
    fc.assert(
      fc.property(fc.array(fc.nat(bytes.length), { maxLength: 6 }), (cuts) => {
        const pair = new Pair().connected();
        pair.takeEvents();
        const at = [0, ...cuts.sort((a, b) => a - b), bytes.length];
        at.slice(1).forEach((end, index) => {
          pair.client.receive(Buffer.from(bytes.subarray(at[index], end)), pair.nowMs);
        });
        assert.deepEqual(kinds(pair.takeEvents()), ['message', 'message', 'message']);
      }),
    );
  });

  test('the server says goodbye', () => {
    const pair = new Pair().connected();
    pair.takeEvents();
    pair.reply({ type: 'disconnect', reasonCode: 0x8e, properties: {} });
    assert.deepEqual(kinds(pair.takeEvents()), ['disconnected']);
    assert.equal(pair.publish(0), 'not-connected');
  });
});

describe('subscriptions', () => {
  test('take ids of the same row, and the answers bring them back', () => {
    const pair = new Pair().connected();
    pair.takeEvents();
    const subscription = {
      filter: 'a',
      qos: 1,
      noLocal: false,
      retainAsPublished: true,
      retainHandling: 2,
    } as const;
    assert.equal(pair.client.subscribe([subscription], { subscriptionIdentifiers: [3] }, pair.nowMs), 1);
    assert.equal(pair.client.unsubscribe(['b'], {}, pair.nowMs), 2);
    assert.equal(pair.publish(1), 3);
    assert.deepEqual(short(pair.sent()), ['subscribe 1', 'unsubscribe 2', 'publish 3']);
    pair.reply({ type: 'suback', packetId: 1, reasonCodes: [1], properties: {} });
    pair.reply({ type: 'unsuback', packetId: 2, reasonCodes: [0x11], properties: {} });
    assert.deepEqual(kinds(pair.takeEvents()), ['subscribed', 'unsubscribed']);
  });
});

describe('a second connection', () => {
  /** Messages 1 (published), 2 (released), 3 and 4 (published), with a window of three: 4 still waits. */
  function interrupted(version: ProtocolVersion): ClientSession {
    const first = new Pair({ version, inFlightMax: 3 }).connected();
    first.publish(1);
    for (let i = 0; i < 3; i += 1) first.publish(2);
    first.reply(acknowledgement('pubrec', 2));
    assert.deepEqual(short(first.sent()), ['publish 1', 'publish 2', 'publish 3', 'pubrel 2']);
    return first.session;
  }

  for (const version of [4, 5] as const) {
    test(`of version ${version} goes on where the server remembers`, () => {
      const second = new Pair({ version, session: interrupted(version), inFlightMax: 3 });
      second.connected({ sessionPresent: true });
      assert.deepEqual(short(second.sent()), ['publish 1 dup', 'pubrel 2', 'publish 3 dup']);
      assert.deepEqual(kinds(second.takeEvents()), ['connected']);
      second.reply(acknowledgement('puback', 1));
      assert.deepEqual(short(second.sent()), ['publish 4']);
    });

    test(`of version ${version} begins again where it does not`, () => {
      const second = new Pair({ version, session: interrupted(version), inFlightMax: 3 });
      second.connected({ sessionPresent: false });
      assert.deepEqual(short(second.sent()), ['publish 1', 'publish 3', 'publish 4']);
      assert.deepEqual(kinds(second.takeEvents()), ['connected', 'published']);
    });
  }

  test('of version 3.1 takes the server at its word', () => {
    const second = new Pair({ version: 3, session: interrupted(3), connect: { cleanStart: false } });
    second.connected();
    assert.deepEqual(short(second.sent()), ['publish 1 dup', 'pubrel 2', 'publish 3 dup', 'publish 4']);
  });

  test('forgets what the server had not released, if it has forgotten too', () => {
    const first = new Pair().connected();
    first.reply(delivery(2, 6));
    for (const [sessionPresent, expected] of [
      [true, ['connected', 'message']],
      [false, ['connected']],
    ] as const) {
      const next = new Pair({ session: first.session }).connected({ sessionPresent });
      if (sessionPresent) next.reply(acknowledgement('pubrel', 6), delivery(2, 6));
      else next.reply(acknowledgement('pubrel', 6));
      assert.deepEqual(kinds(next.takeEvents()), expected);
    }
  });
});

describe('keep-alive', () => {
  const keepAliveMs = 60_000;

  test('PINGREQ after silence, and the end without an answer', () => {
    const pair = new Pair().connected();
    assert.equal(pair.client.nextDeadlineMs, pair.nowMs + keepAliveMs);
    pair.client.tick(pair.nowMs + keepAliveMs - 1);
    assert.deepEqual(pair.sent(), []);
    pair.nowMs += keepAliveMs;
    pair.client.tick(pair.nowMs);
    assert.deepEqual(short(pair.sent()), ['pingreq']);
    pair.reply({ type: 'pingresp' });
    pair.nowMs += keepAliveMs;
    pair.client.tick(pair.nowMs);
    assert.deepEqual(short(pair.sent()), ['pingreq']);
    pair.takeEvents();
    pair.client.tick(pair.nowMs + keepAliveMs);
    const [event] = pair.takeEvents();
    assert.equal(event?.kind === 'failed' && event.fault, 'keep-alive');
    assert.equal(pair.client.nextDeadlineMs, undefined);
  });

  test('sending alone does not put it off: a dead server is noticed', () => {
    const pair = new Pair().connected();
    const deadline = pair.client.nextDeadlineMs;
    pair.nowMs += 30_000;
    pair.publish(0);
    assert.equal(pair.client.nextDeadlineMs, deadline);
    pair.reply({ type: 'pingresp' });
    assert.equal(pair.client.nextDeadlineMs, pair.nowMs + keepAliveMs);
  });

  test('the server decides', () => {
    const pair = new Pair().connected({ properties: { serverKeepAlive: 5 } });
    assert.equal(pair.client.nextDeadlineMs, pair.nowMs + 5000);
  });

  test('a server that does not answer the CONNECT is given up', () => {
    const pair = new Pair();
    assert.equal(pair.client.nextDeadlineMs, undefined);
    pair.client.connect(pair.nowMs);
    pair.client.tick(pair.nowMs + keepAliveMs);
    assert.deepEqual(kinds(pair.takeEvents()), ['failed']);
  });

  test('0 is never', () => {
    const pair = new Pair({ connect: { keepAlive: 0 } }).connected();
    assert.equal(pair.client.nextDeadlineMs, undefined);
  });
});

test('a trace shows packets before what they bring about', () => {
  const pair = new Pair({ trace: true });
  pair.client.connect(pair.nowMs);
  pair.reply({ type: 'connack', sessionPresent: false, reasonCode: 0, properties: {} });
  pair.reply(delivery(1, 1));
  pair.client.disconnect(0, {}, pair.nowMs);
  const shown = pair.takeEvents().map((event) => {
    return event.kind === 'sent' || event.kind === 'received'
      ? `${event.kind} ${event.packet.type}`
      : event.kind;
  });
  assert.deepEqual(shown, [
    'sent connect',
    'received connack',
    'connected',
    'received publish',
    'sent puback',
    'message',
    'sent disconnect',
  ]);
});
