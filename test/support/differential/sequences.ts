/**
 * Random sequences for the differential run: what up to three clients send, in which order. All of it follows from the
 * seed. Client ids and topics begin with `PLACE`, which a player replaces by something that no other play has, so
 * that all sequences can go to the same broker.
 */
import { encodePacket } from '../../../src/mqtt/encode.js';
import type { Packet, Properties, ProtocolVersion, Qos } from '../../../src/mqtt/packets.js';
import { malformedConnects, malformedPackets } from '../packets/malformed-packets.js';
import { Random } from '../random.js';

/** Stands for what makes a play's names its own; a replacement has to have its length. */
export const PLACE = '~~~~~~';

export type Step = { client: number } & (
  | { does: 'connect' | 'send'; version: ProtocolVersion; bytes: Buffer }
  /** Acknowledges the oldest packet that the broker waits for an answer to. */
  | { does: 'acknowledge' }
  /** Ends the connection without a DISCONNECT. */
  | { does: 'break' }
);

const CLIENTS = 3;
const STEPS_MAX = 24;
const versions: readonly ProtocolVersion[] = [3, 4, 5];
const names = ['a', 'a/b', 'a/b/c', 'b', '', 'ä/$x'].map((name) => `${PLACE}/${name}`);
const filters = ['#', '+', 'a', 'a/#', 'a/+', '+/b', 'a/b/c', 'b', '+/+/c', '/+', ''].map(
  (name) => `${PLACE}/${name}`,
);
const refused = [`${PLACE}/a#`, `${PLACE}/#/a`, `${PLACE}/+a`, `$share/g`, `$share/+/${PLACE}`, ''];

export function sequenceOf(seed: number): Step[] {
  const random = new Random(seed);
  const spoken = Array.from({ length: CLIENTS }, () => random.pick(versions));
  const connected = spoken.map(() => false);
  // Who of several members gets a message is the broker's choice: at most the first client is one.
  const shares = random.below(5) === 0;
  const steps: Step[] = [];
  for (let left = 2 + random.below(STEPS_MAX - 1); left > 0; left -= 1) {
    const client = random.below(1 + random.below(CLIENTS));
    const version = spoken[client]!;
    if (!connected[client]) {
      steps.push({ client, does: 'connect', version, bytes: connectBytes(random, client, version) });
      connected[client] = true;
      continue;
    }
    const step = stepOf(random, client, version, shares && client === 0);
    steps.push(step);
    if (step.does === 'break' || (step.does === 'send' && step.bytes[0] === 0xe0)) connected[client] = false;
  }
  return steps;
}

function stepOf(random: Random, client: number, version: ProtocolVersion, shares: boolean): Step {
  const kind = random.below(100);
  if (kind < 20) return { client, does: 'acknowledge' };
  if (kind < 25) return { client, does: 'break' };
  // If the broker closed the connection, this opens the next one; otherwise nothing happens.
  if (kind < 35) return { client, does: 'connect', version, bytes: connectBytes(random, client, version) };
  const send = (bytes: Uint8Array): Step => ({ client, does: 'send', version, bytes: framed(bytes) });
  if (kind < 37) {
    const rows = malformedPackets.filter((row) => row.version === version && row.origin === 'client');
    return send(random.pick(rows).bytes);
  }
  const bytes = encodePacket(packetOf(random, version, shares), version);
  return send(random.below(25) === 0 ? changed(random, bytes) : bytes);
}

function connectBytes(random: Random, client: number, version: ProtocolVersion): Buffer {
  const kind = random.below(60);
  if (kind === 0) return framed(random.pick(malformedConnects).bytes);
  const id = random.below(6) === 0 ? random.below(CLIENTS) : client;
  const withWill = random.below(3) === 0;
  const withUser = random.below(8) === 0;
  const packet: Packet = {
    type: 'connect',
    version,
    bridge: false,
    cleanStart: random.below(2) === 0,
    keepAlive: version === 5 && random.below(40) > 0 ? 60 : random.pick([0, 600, 0xffff]),
    clientId: random.below(30) === 0 ? '' : `${PLACE}${id}`,
    ...(withUser && { username: 'user', password: Buffer.from('password') }),
    ...(withWill && {
      will: {
        topic: random.pick(names),
        payload: Buffer.from('will'),
        qos: random.below(3) as Qos,
        retain: random.below(2) === 0,
        properties: version === 5 && random.below(2) === 0 ? { contentType: 'text' } : {},
      },
    }),
    properties: version === 5 ? connectProperties(random) : {},
  };
  const bytes = encodePacket(packet, version);
  return framed(kind === 1 ? changed(random, bytes) : bytes);
}

function connectProperties(random: Random): Properties {
  return {
    sessionExpiryInterval: random.pick([0, 1000, 0xffffffff]),
    ...(random.below(4) === 0 && { receiveMaximum: random.pick([1, 2, 20]) }),
    ...(random.below(4) === 0 && { requestProblemInformation: random.pick([0, 1] as const) }),
    ...(random.below(6) === 0 && { userProperties: [['name', 'value'] as const] }),
  };
}

function packetOf(random: Random, version: ProtocolVersion, shares: boolean): Packet {
  const qos = random.below(3) as Qos;
  const packetId = 1 + random.below(4);
  const isFive = version === 5;
  switch (random.below(9)) {
    case 0:
    case 1:
      return {
        type: 'subscribe',
        packetId,
        subscriptions: Array.from({ length: random.pick([1, 1, 1, 2, 3]) }, () => ({
          filter: filterOf(random, shares),
          qos: random.below(3) as Qos,
          noLocal: isFive && random.below(5) === 0,
          retainAsPublished: isFive && random.below(2) === 0,
          retainHandling: isFive ? random.pick([0, 0, 1, 2] as const) : 0,
        })),
        properties:
          isFive && random.below(4) === 0 ? { subscriptionIdentifiers: [1 + random.below(300)] } : {},
      };
    case 2:
      return {
        type: 'unsubscribe',
        packetId,
        filters: Array.from({ length: random.pick([1, 1, 2]) }, () => filterOf(random, shares)),
        properties: {},
      };
    case 3:
      return {
        type: random.pick(['pubrel', 'pubrel', 'puback', 'pubrec', 'pubcomp'] as const),
        packetId,
        reasonCode: isFive && random.below(8) === 0 ? random.pick([0x10, 0x80, 0x92]) : 0,
        properties: {},
      };
    case 4:
      if (random.below(3) > 0) return { type: 'pingreq' };
      return {
        type: 'disconnect',
        reasonCode: isFive ? random.pick([0, 0, 4, 0x80]) : 0,
        properties: isFive && random.below(4) === 0 ? { sessionExpiryInterval: random.pick([0, 1000]) } : {},
      };
    default:
      return {
        type: 'publish',
        topic: random.pick(names),
        payload: Buffer.from(random.pick(['', 'x', 'one', 'two', 'x'.repeat(200)])),
        qos,
        retain: random.below(3) === 0,
        dup: qos > 0 && random.below(8) === 0,
        packetId: qos === 0 ? 0 : packetId,
        properties: isFive && random.below(3) === 0 ? publishProperties(random) : {},
      };
  }
}

function publishProperties(random: Random): Properties {
  return {
    ...(random.below(2) === 0 && { messageExpiryInterval: 100_000 }),
    ...(random.below(2) === 0 && { contentType: 'text' }),
    ...(random.below(2) === 0 && { userProperties: [['b', '1'] as const, ['a', '2'] as const] }),
    ...(random.below(4) === 0 && { responseTopic: `${PLACE}/r` }),
    ...(random.below(4) === 0 && { topicAlias: random.pick([1, 2, 10]) }),
  };
}

/** @param shares whether the client has shared subscriptions; it has no others then, see the page's listed difference */
function filterOf(random: Random, shares: boolean): string {
  if (random.below(30) === 0) return random.pick(refused);
  const filter = random.pick(filters);
  return shares ? `$share/g/${filter}` : filter;
}

/** A few bytes are changed, removed or doubled. */
function changed(random: Random, original: Uint8Array): Buffer {
  const bytes = Buffer.from(original);
  const at = random.below(Math.min(bytes.length, 20));
  switch (random.below(4)) {
    case 0:
      bytes[at] = random.below(256);
      return bytes;
    case 1:
      bytes[at]! ^= 1 << random.below(8);
      return bytes;
    case 2:
      return withLength(Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1)]));
    default:
      return withLength(Buffer.concat([bytes.subarray(0, at), bytes.subarray(Math.max(0, at - 2))]));
  }
}

/** Repairs the length of a short packet, so that its content is what is wrong. */
function withLength(bytes: Buffer): Buffer {
  if (bytes.length >= 2 && bytes.length < 130) bytes[1] = bytes.length - 2;
  return bytes;
}

/**
 * Makes the bytes end where a packet ends: the broker answers what is sent next, and does not wait for more. A packet
 * that lacks bytes is filled up with zeros; where thousands are missing, the bytes end before it.
 */
export function framed(bytes: Uint8Array): Buffer {
  let start = 0;
  while (start < bytes.length) {
    const end = endOfPacket(bytes, start);
    if (end === 'malformed' || end === bytes.length) return Buffer.from(bytes);
    if (end === 'incomplete' || end > bytes.length + 4000) {
      return start > 0 ? Buffer.from(bytes.subarray(0, start)) : Buffer.from('c000', 'hex');
    }
    if (end > bytes.length) return Buffer.concat([bytes, Buffer.alloc(end - bytes.length)]);
    start = end;
  }
  return Buffer.from(bytes);
}

/** Where the packet at `start` ends, as its remaining length says. */
export function endOfPacket(bytes: Uint8Array, start: number): number | 'malformed' | 'incomplete' {
  let length = 0;
  for (let i = 0; i < 4; i += 1) {
    const byte = bytes[start + 1 + i];
    if (byte === undefined) return 'incomplete';
    length += (byte & 0x7f) * 128 ** i;
    if (byte < 0x80) return start + 2 + i + length;
  }
  return 'malformed';
}
