/**
 * What a client sends that means harm: packets that are right and strange, right ones with a few bytes changed, and
 * bytes that are nothing. All of it follows from the seed.
 */
import fc from 'fast-check';
import { encodePacket } from '../../../src/mqtt/encode.js';
import type { Packet, ProtocolVersion, Qos, Will } from '../../../src/mqtt/packets.js';
import type { Random } from '../random.js';
import { malformedConnects, malformedPackets } from './malformed-packets.js';
import { sentPacket } from './packet-arbitraries.js';

/** The longest topic, less as many bytes as a prefix of the broker's may take. */
const TEXT_MAX = 0xffff;

/** Packets of the property tests, the same ones each time: to make them takes longer than the broker takes to read them. */
const pool = fc.sample(sentPacket, { seed: 1, numRuns: 1500 });

/** Few, so that clients take over each other's sessions. */
const IDS = 12;

const TOPICS = [
  'a',
  'a/b',
  'a/b/c',
  '$SYS/broker/uptime',
  '$SYS/broker/connection/x/state',
  '/',
  'a//b',
  'ä/ö',
];
const FILTERS = ['#', '+', 'a/#', '+/+', '$SYS/#', '$share/g/#', '$share/h/a/+', '$share//a', 'a/+/c', '/#'];

/** What `$CONTROL` is asked. */
const REQUESTS = [
  '{"commands":[{"command":{"toString":1,"valueOf":1}}]}',
  '{"commands":[{"command":"listListeners","correlationData":["x"]}]}',
  '{"commands":{"length":1e9}}',
  '{"commands":[null,1,"x",[],{"__proto__":{"command":"listPlugins"}}]}',
  `${'['.repeat(3000)}${']'.repeat(3000)}`,
  '{"commands":[',
];

export class HostilePackets {
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  /** The first packet of a connection: mostly one that is let in. */
  connect(version: ProtocolVersion): Uint8Array {
    const random = this.#random;
    if (random.below(12) === 0) return this.#changed(random.pick(malformedConnects).bytes);
    const packet: Packet = {
      type: 'connect',
      version,
      bridge: random.below(20) === 0 && version !== 5,
      cleanStart: random.below(2) === 0,
      keepAlive: random.pick([0, 60, 0xffff]),
      clientId: this.#clientId(),
      ...(random.below(2) === 0 && { will: this.#will() }),
      properties:
        version === 5
          ? {
              sessionExpiryInterval: random.pick([0, 1, 3600]),
              receiveMaximum: random.pick([1, 20, 0xffff]),
              topicAliasMaximum: random.pick([0, 3, 0xffff]),
              ...(random.below(4) === 0 && { maximumPacketSize: random.pick([1, 30, 2000]) }),
            }
          : {},
    };
    const bytes = encodePacket(packet, version);
    return random.below(15) === 0 ? this.#changed(bytes) : bytes;
  }

  /** Any packet after that. */
  next(version: ProtocolVersion): Uint8Array {
    const random = this.#random;
    const kind = random.below(100);
    if (kind < 40) return this.#maybeChanged(encodePacket(this.#strange(version), version), 12);
    if (kind < 70) return this.#maybeChanged(this.#fromPool(version), 4);
    if (kind < 73) return this.#maybeChanged(random.pick(malformedPackets).bytes, 2);
    if (kind < 74) return this.noise(1 + random.below(200));
    return encodePacket(this.#ordinary(version), version);
  }

  noise(length: number): Uint8Array {
    const random = this.#random;
    return Uint8Array.from({ length }, () => (random.below(2) === 0 ? random.below(8) : random.below(256)));
  }

  /** A few bytes are changed, removed, doubled or added. */
  changed(bytes: Uint8Array): Uint8Array {
    return this.#changed(bytes);
  }

  #maybeChanged(bytes: Uint8Array, oneIn: number): Uint8Array {
    return this.#random.below(oneIn) === 0 ? this.#changed(bytes) : bytes;
  }

  #changed(original: Uint8Array): Uint8Array {
    const random = this.#random;
    let bytes = Buffer.from(original);
    for (let i = random.below(3); i >= 0; i -= 1) {
      const at = random.below(bytes.length + 1);
      const kind = random.below(5);
      if (kind === 0 && at < bytes.length) bytes[at] = random.below(256);
      else if (kind === 1) bytes = cut(bytes, at, at + 1 + random.below(4));
      else if (kind === 2) bytes = insert(bytes, at, this.noise(1 + random.below(4)));
      else if (kind === 3) bytes = insert(bytes, at, bytes.subarray(at, at + random.below(10)));
      else if (kind === 4 && at < bytes.length) bytes[at]! ^= 1 << random.below(8);
    }
    return bytes;
  }

  #fromPool(version: ProtocolVersion): Uint8Array {
    for (;;) {
      const sent = this.#random.pick(pool);
      if (sent.version === version && sent.packet.type !== 'connect')
        return encodePacket(sent.packet, version);
    }
  }

  /** What well-behaved clients send, so that there is a state for the rest to meet. */
  #ordinary(version: ProtocolVersion): Packet {
    const random = this.#random;
    const qos = random.below(3) as Qos;
    const packetId = 1 + random.below(5);
    switch (random.below(6)) {
      case 0:
        return {
          type: 'subscribe',
          packetId,
          subscriptions: [this.#request(random.pick(FILTERS))],
          properties: {},
        };
      case 1:
        return { type: 'unsubscribe', packetId, filters: [random.pick(FILTERS)], properties: {} };
      case 2:
        return { type: 'pingreq' };
      case 3: {
        const type = random.pick(['puback', 'pubrec', 'pubrel', 'pubcomp'] as const);
        return { type, packetId, reasonCode: 0, properties: {} };
      }
      default: {
        const payload = this.noise(random.below(40));
        const retain = random.below(4) === 0;
        const properties = version === 5 && random.below(3) === 0 ? { topicAlias: 1 + random.below(3) } : {};
        const topic = random.pick(TOPICS);
        return {
          type: 'publish',
          topic,
          payload,
          qos,
          retain,
          dup: qos > 0 && random.below(3) === 0,
          packetId: qos === 0 ? 0 : packetId,
          properties,
        };
      }
    }
  }

  /** Within the letter of the standard, and at its limits. */
  #strange(version: ProtocolVersion): Packet {
    const random = this.#random;
    const packetId = 1 + random.below(0xffff);
    switch (random.below(8)) {
      case 0: {
        const subscriptions = Array.from({ length: 1 + random.below(8) }, () =>
          this.#request(this.#longFilter()),
        );
        return { type: 'subscribe', packetId, subscriptions, properties: {} };
      }
      case 1: {
        const key = this.#longShare();
        return { type: 'subscribe', packetId, subscriptions: [this.#request(key)], properties: {} };
      }
      case 2:
        return {
          type: 'unsubscribe',
          packetId,
          filters: [this.#longFilter(), this.#longShare()],
          properties: {},
        };
      case 3:
      case 4: {
        const payload = Buffer.from(random.pick(REQUESTS));
        return {
          type: 'publish',
          topic: '$CONTROL/broker/v1',
          payload,
          qos: 0,
          retain: false,
          dup: false,
          packetId: 0,
          properties: {},
        };
      }
      case 5: {
        const topic = `$CONTROL/${'c'.repeat(TEXT_MAX - 9 - random.below(12))}`;
        return {
          type: 'publish',
          topic,
          payload: Buffer.of(),
          qos: 0,
          retain: false,
          dup: false,
          packetId: 0,
          properties: {},
        };
      }
      case 6: {
        const topic = this.#longTopic();
        const payload = this.noise(random.below(20));
        return {
          type: 'publish',
          topic,
          payload,
          qos: 2,
          retain: random.below(2) === 0,
          dup: false,
          packetId,
          properties: version === 5 ? { messageExpiryInterval: random.below(3) } : {},
        };
      }
      default:
        return { type: 'pubrel', packetId, reasonCode: 0, properties: {} };
    }
  }

  #request(filter: string) {
    const random = this.#random;
    const retainHandling = random.below(3) as 0 | 1 | 2;
    const isShared = filter.startsWith('$share/');
    return {
      filter,
      qos: random.below(3) as Qos,
      noLocal: !isShared && random.below(2) === 0,
      retainAsPublished: random.below(2) === 0,
      retainHandling,
    };
  }

  #clientId(): string {
    const random = this.#random;
    if (random.below(40) === 0) return 'i'.repeat(TEXT_MAX - random.below(3));
    return random.below(30) === 0 ? '' : `id-${random.below(IDS)}`;
  }

  #will(): Will {
    const random = this.#random;
    const topic = random.below(6) === 0 ? this.#longTopic().slice(0, 60_000) : random.pick(TOPICS);
    return {
      topic,
      payload: this.noise(random.below(30)),
      qos: random.below(3) as Qos,
      retain: random.below(3) === 0,
      properties: {},
    };
  }

  #longTopic(): string {
    const random = this.#random;
    const end = TEXT_MAX - random.pick([0, 0, 1, 5, 20, 120]);
    if (random.below(3) === 0) return `d${'/'.repeat(random.pick([100, 185, 199, 200, 201]))}`;
    return 't'.repeat(end);
  }

  #longFilter(): string {
    const random = this.#random;
    const short = `${random.pick(FILTERS)}`;
    return random.below(3) === 0
      ? short
      : random.below(2) === 0
        ? this.#longTopic()
        : `f${random.below(50)}/+/#`;
  }

  #longShare(): string {
    const random = this.#random;
    const tail = random.pick(['/a', '/#', '/+/b']);
    return `$share/${'g'.repeat(TEXT_MAX - '$share/'.length - tail.length - random.pick([0, 0, 1, 4, 60]))}${tail}`;
  }
}

function cut(bytes: Buffer, from: number, to: number): Buffer<ArrayBuffer> {
  return Buffer.concat([bytes.subarray(0, from), bytes.subarray(to)]);
}

function insert(bytes: Buffer, at: number, added: Uint8Array): Buffer<ArrayBuffer> {
  return Buffer.concat([bytes.subarray(0, at), added, bytes.subarray(at)]);
}
