/**
 * The differences between Midge and Mosquitto 2.0.11 that a sequence of packets can meet, and how each is recognised.
 * Behind one of them the states of the brokers are different, so that the rest of the sequence is not compared.
 */
import type { SubscriptionRequest } from '../../../src/mqtt/packets.js';
import { topicMatchesFilter } from '../../../src/topic/topic-filter.js';
import { decodeWhole } from '../packets/packet-bytes.js';
import type { Answers } from './player.js';
import { endOfPacket, PLACE } from './sequences.js';

/** The first step after which the brokers differ. */
export interface Met {
  /** What the step sent. */
  bytes: Buffer;
  /** The steps before it, which both answered alike. */
  before: readonly Answers[];
  /** What was subscribed to, with this step. */
  subscriptions: readonly SubscriptionRequest[];
  /** The answers to each client, in one line. */
  midge: readonly string[];
  mosquitto: readonly string[];
  /** Those to the client that sent it. */
  ownMidge: string;
  ownMosquitto: string;
}

export interface ListedDifference {
  /** Words that stand in `docs/from-mosquitto.md` just so. */
  name: string;
  /** The states of the brokers are the same behind it: the sequence is compared on. */
  goesOn?: boolean;
  recognise(met: Met): boolean;
}

const isClosed = (answers: string) => answers.endsWith('closed');
const typeOf = (bytes: Buffer) => (bytes[0] ?? 0) >> 4;

/** The packets of a step: malformed bytes may be more than one. */
function packetsIn(bytes: Buffer): Buffer[] {
  const packets: Buffer[] = [];
  for (let start = 0; start < bytes.length; ) {
    const end = endOfPacket(bytes, start);
    packets.push(bytes.subarray(start, typeof end === 'number' ? end : undefined));
    start = typeof end === 'number' ? end : bytes.length;
  }
  return packets;
}

const SUBSCRIBE = 8;
const UNSUBSCRIBE = 10;
const PINGREQ = 12;
const DISCONNECT = 14;
const isAck = (type: number) => type >= 4 && type <= 7;

/** `$share` with a wildcard in the group's name, without a filter behind it, or with a malformed one. */
const badShare =
  /\$share\/(?:[^/]*[+#]|[^/]{1,2}(?![/\w])|[^/]*$|\/|[^/]+\/[^\0]*(?:#[^\0]|[^/]#|\+[^/\0]|[^/]\+))/;

/** What a play has in the place of `PLACE`. */
const ownPlace = /^[^/]{6}(?=\/)/;

/** A CONNECT with a small Receive Maximum. */
const takesFew = /^10.*2100(01|02)/;

/** The packets of a line without what follows from their order and number, and from the subscription chosen. */
function plain(line: string): string[] {
  return line
    .replace(/"qos":\d/g, '"qos":0')
    .replace(/"packetId":\d+/g, '"packetId":0')
    .replace(/,?"subscriptionIdentifiers":\[[^\]]*\]/g, '')
    .replace('"serverKeepAlive":65535,', '')
    .split(/ (?=\{"type"|closed$)/);
}

/** The end of a connection without the DISCONNECT in front of it. */
function withoutReason(line: string): string {
  return line.replace(/\{"type":"disconnect"[^ ]* closed$/, 'closed');
}

function withoutPublish(lines: readonly string[]): string {
  return lines
    .map((line) =>
      plain(line)
        .filter((one) => !one.startsWith('{"type":"publish"'))
        .join(' '),
    )
    .join('\n');
}

/** Whether Midge publishes a will and Mosquitto does not, and all else is the same. */
function isWillOfMidge(midge: readonly string[], mosquitto: readonly string[]): boolean {
  return midge.join().includes('"payload":"will"') && withoutPublish(midge) === withoutPublish(mosquitto);
}

/**
 * Whether copies of one message, by several subscriptions of a client that takes one or two at a time, come in other
 * steps than at the other broker.
 */
function copiesAtOtherTimes({ before, subscriptions, midge, mosquitto }: Met): boolean {
  const filters = new Set(subscriptions.map(({ filter }) => filter.replace(ownPlace, PLACE)));
  const all = [...midge, ...mosquitto].flatMap(plain);
  const topics = all.flatMap((packet) => /"type":"publish","topic":"([^"]*)"/.exec(packet)?.[1] ?? []);
  return (
    before.some(({ sent, version }) => version === 5 && takesFew.test(sent)) &&
    topics.some((topic) => [...filters].filter((filter) => topicMatchesFilter(topic, filter)).length > 1) &&
    withoutPublish(midge) === withoutPublish(mosquitto)
  );
}

/** What a step subscribes to. */
export function subscriptionsIn({ sent, version }: Answers): readonly SubscriptionRequest[] {
  if (!sent.startsWith('8')) return [];
  const bytes = Buffer.from(sent, 'hex');
  // A step may have more than one packet, if its bytes are malformed.
  if (endOfPacket(bytes, 0) !== bytes.length) return [];
  const packet = decodeWhole(bytes, version, 'client');
  return 'subscriptions' in packet ? packet.subscriptions : [];
}

/** The packet id of a PUBLISH with this QoS. */
function publishPacketId(bytes: Buffer, qos: 1 | 2): number | undefined {
  if ((bytes[0]! & 0xf6) !== (0x30 | (qos << 1))) return undefined;
  const topicAt = bytes[1]! < 0x80 ? 2 : 3;
  const idAt = topicAt + 2 + bytes.readUInt16BE(topicAt);
  return idAt + 2 <= bytes.length ? bytes.readUInt16BE(idAt) : undefined;
}

/** Whether one of the steps was a PUBLISH of QoS 2, and a later one of QoS 1 had the same packet id. */
function reusesPacketId(steps: readonly Answers[]): boolean {
  const ids = new Set<number>();
  return steps.some(({ sent }) => {
    const bytes = Buffer.from(sent, 'hex');
    const [qos1, qos2] = [publishPacketId(bytes, 1), publishPacketId(bytes, 2)];
    if (qos2 !== undefined) ids.add(qos2);
    return qos1 !== undefined && ids.has(qos1);
  });
}

export const LISTED_DIFFERENCES: readonly ListedDifference[] = [
  {
    name: 'a faulty CONNECT of MQTT 5.0',
    recognise: ({ bytes, ownMidge, ownMosquitto }) =>
      typeOf(bytes) === 1 && ownMosquitto === 'closed' && /^\{"type":"connack".* closed$/.test(ownMidge),
  },
  {
    name: 'a CONNECT before MQTT 5.0 with an empty client id, without clean session, and with another fault',
    goesOn: true,
    recognise: ({ bytes, ownMidge, ownMosquitto }) =>
      typeOf(bytes) === 1 &&
      ownMidge === 'closed' &&
      /^\{"type":"connack","sessionPresent":false,"reasonCode":2,.* closed$/.test(ownMosquitto),
  },
  {
    name: 'a QoS 2 PUBLISH with the same packet id for the third time',
    recognise: ({ bytes, ownMidge, ownMosquitto }) =>
      (bytes[0]! & 0xf6) === 0x34 && /^\{"type":"pubrec"/.test(ownMidge) && isClosed(ownMosquitto),
  },
  {
    name: 'a second CONNECT',
    recognise: ({ before, ownMidge, ownMosquitto }) =>
      before.some(
        ({ sent, described }) => sent.startsWith('1') && described.some((got) => got.at(-1) === 'closed'),
      ) && ownMidge.replace('"sessionPresent":true', '"sessionPresent":false').startsWith(ownMosquitto),
  },
  {
    name: 'a keep alive of 0 in MQTT 5.0',
    goesOn: true,
    recognise: ({ ownMidge, ownMosquitto }) =>
      ownMosquitto !== ownMidge && ownMosquitto.replace('"serverKeepAlive":65535,', '') === ownMidge,
  },
  {
    name: 'a connection of MQTT 5.0 that the broker ends',
    goesOn: true,
    recognise: ({ midge, mosquitto }) =>
      midge.every((line, client) => withoutReason(line) === withoutReason(mosquitto[client]!)),
  },
  {
    name: 'wrong flags in the first byte of PUBACK, PUBREC, PUBCOMP or PINGREQ, or of a SUBSCRIBE, UNSUBSCRIBE or DISCONNECT of MQTT 3.1',
    recognise: ({ before, bytes, ownMidge, midge, mosquitto }) =>
      (isClosed(ownMidge) &&
        packetsIn(bytes).some(
          (packet) =>
            ([4, 5, 7, PINGREQ].includes(typeOf(packet)) && (packet[0]! & 0x0f) !== 0) ||
            ([SUBSCRIBE, UNSUBSCRIBE].includes(typeOf(packet)) && (packet[0]! & 0x07) !== 2),
        )) ||
      // Such a DISCONNECT ends the connection with its will.
      ([...before.map(({ sent }) => sent), bytes.toString('hex')].some((sent) => /^e[^0]/.test(sent)) &&
        isWillOfMidge(midge, mosquitto)),
  },
  {
    name: 'a PUBACK, PUBREC, PUBREL, PUBCOMP or DISCONNECT of MQTT 5.0 with a reason code that it cannot have',
    recognise: ({ bytes, ownMidge }) =>
      ((isAck(typeOf(bytes)) && bytes[1]! >= 3) || (typeOf(bytes) === DISCONNECT && bytes[1]! >= 1)) &&
      isClosed(ownMidge) &&
      ownMidge.includes('disconnect'),
  },
  {
    name: 'bytes behind the content of a PUBACK, PUBREC, PUBREL, PUBCOMP or PINGREQ',
    recognise: ({ bytes, ownMidge }) =>
      isClosed(ownMidge) &&
      ((isAck(typeOf(bytes)) && bytes[1]! > 2) || (typeOf(bytes) === PINGREQ && bytes[1]! > 0)),
  },
  {
    name: 'retained messages for a shared subscription',
    recognise: ({ bytes, ownMidge, ownMosquitto }) =>
      typeOf(bytes) === SUBSCRIBE &&
      bytes.includes('$share/') &&
      ownMosquitto.startsWith(`${ownMidge} {"type":"publish"`),
  },
  {
    name: 'a shared subscription without a name or a filter, or with a wildcard in its name',
    recognise: ({ bytes, ownMidge, ownMosquitto }) =>
      [SUBSCRIBE, UNSUBSCRIBE].includes(typeOf(bytes)) &&
      badShare.test(bytes.toString('latin1')) &&
      ownMidge !== ownMosquitto,
  },
  {
    name: 'a SUBSCRIBE with a malformed filter behind a good one',
    recognise: ({ before }) =>
      before.some(
        ({ sent, described }) => sent.startsWith('8') && described.some((got) => got.at(-1) === 'closed'),
      ),
  },
  {
    name: 'one copy for several subscriptions (`allow_duplicate_messages false`)',
    recognise: (met) => {
      const { bytes, subscriptions, midge, mosquitto } = met;
      if (subscriptions.length < 2) return false;
      if (copiesAtOtherTimes(met)) return true;
      // Retained messages of different topics have no order.
      const ordered = (packets: string[]) => (typeOf(bytes) === SUBSCRIBE ? packets.sort() : packets);
      const distinct = (lines: readonly string[]) =>
        lines
          .map((line) => plain(withoutReason(line)).map((one) => one.replace(/"retain":\w+/, '')))
          .map((packets) => ordered([...new Set(packets)]).join(' '))
          .join('\n');
      return distinct(midge) === distinct(mosquitto) && midge.join().includes('"type":"publish"');
    },
  },
  {
    name: 'a topic with more than 200 levels',
    recognise: ({ bytes, ownMidge }) => bytes.includes('/'.repeat(200)) && ownMidge.includes('144'),
  },
  {
    name: 'a CONNECT with an unknown protocol level',
    recognise: ({ bytes, ownMidge, ownMosquitto }) =>
      typeOf(bytes) === 1 && /2003008400|"reasonCode":132/.test(ownMidge) && isClosed(ownMosquitto),
  },
  {
    name: 'a will for `$CONTROL`',
    recognise: ({ bytes, ownMidge }) =>
      typeOf(bytes) === 1 && bytes.includes('$CONTROL/') && isClosed(ownMidge),
  },
  {
    name: 'a SUBACK, UNSUBACK or PINGRESP from a client',
    recognise: ({ bytes, ownMidge }) => [9, 11, 13].includes(typeOf(bytes)) && isClosed(ownMidge),
  },
  {
    name: 'a will at the takeover of a session that goes on',
    recognise: ({ before, bytes, midge, mosquitto }) => {
      const isTakeover = ({ sent, described }: Pick<Answers, 'sent' | 'described'>) =>
        sent.startsWith('1') && described.some((got) => got.at(-1) === 'closed');
      const described = midge.map((line) => line.split(' '));
      const sent = bytes.toString('hex');
      const others = (lines: readonly string[]) =>
        lines
          .map((line) =>
            plain(withoutReason(line))
              .filter((one) => !one.includes('"payload":"will"'))
              .join(' '),
          )
          .join('\n');
      // A retained will is seen later, in the place of what was retained before.
      const isSeenLater = typeOf(bytes) === SUBSCRIBE && isWillOfMidge(midge, mosquitto);
      return (
        [...before, { sent, described }].some(isTakeover) &&
        (isSeenLater || others(midge) === others(mosquitto))
      );
    },
  },
  {
    name: 'a PUBLISH of QoS 0 with the DUP flag',
    recognise: ({ bytes, ownMidge }) => (bytes[0]! & 0xfe) === 0x38 && isClosed(ownMidge),
  },
  {
    name: 'a PUBLISH or will of MQTT 5.0 whose response topic has a wildcard, or with a payload format indicator of 2 or more',
    recognise: ({ bytes, ownMidge, ownMosquitto }) =>
      [1, 3].includes(typeOf(bytes)) &&
      /"reasonCode":130.* closed$/.test(ownMidge) &&
      !isClosed(ownMosquitto),
  },
  {
    name: 'the order of retained messages of different topics',
    recognise: ({ bytes, midge, mosquitto }) => {
      const sorted = (lines: readonly string[]) =>
        lines.map((line) => plain(line).sort().join(' ')).join('\n');
      return typeOf(bytes) === SUBSCRIBE && sorted(midge) === sorted(mosquitto);
    },
  },
  {
    name: 'a QoS 1 PUBLISH with the packet id of a QoS 2 message that is not released',
    recognise: ({ before, bytes, midge, mosquitto }) =>
      [...before.map(({ sent }) => sent), bytes.toString('hex')].some((sent) => sent.startsWith('6')) &&
      reusesPacketId(before) &&
      withoutPublish(midge) === withoutPublish(mosquitto),
  },
  {
    name: 'a PUBACK or PUBCOMP of MQTT 5.0 for a packet id that is not in flight',
    recognise: ({ before, midge, mosquitto }) =>
      before.some(({ sent, version }) => version === 5 && takesFew.test(sent)) &&
      before.some(({ sent }) => /^[47]0/.test(sent)) &&
      midge.every((line, client) => mosquitto[client]!.startsWith(line)) &&
      withoutPublish(midge) === withoutPublish(mosquitto),
  },
  {
    name: 'retained messages for a client that takes no more at the moment (Receive Maximum, `max_inflight_messages`)',
    recognise: ({ before, midge, mosquitto }) =>
      before.some(({ sent, version }) => version === 5 && takesFew.test(sent)) &&
      [...midge, ...mosquitto].some((line) => /"type":"publish".*"retain":true/.test(line)) &&
      withoutPublish(midge) === withoutPublish(mosquitto),
  },
  {
    name: 'messages in flight for a client that comes back with a smaller Receive Maximum',
    recognise: ({ before, bytes, midge, mosquitto }) => {
      const connects = [...before.map(({ sent }) => sent), bytes.toString('hex')];
      const again = (lines: readonly string[]) => lines.join().split('"dup":true').length;
      return (
        connects.some((sent) => takesFew.test(sent)) &&
        again(mosquitto) > again(midge) &&
        withoutPublish(midge) === withoutPublish(mosquitto)
      );
    },
  },
  {
    name: 'a second SUBSCRIBE to a filter with other options than QoS',
    recognise: ({ subscriptions, midge, mosquitto }) => {
      const options = new Map<string, string>();
      const isChanged = subscriptions.some(({ filter, noLocal, retainAsPublished }) => {
        const earlier = options.get(filter);
        options.set(filter, `${noLocal} ${retainAsPublished}`);
        return earlier !== undefined && earlier !== options.get(filter);
      });
      return isChanged && withoutPublish(midge) === withoutPublish(mosquitto);
    },
  },
  {
    name: 'a DISCONNECT of MQTT 5.0 with a reason code of 0x80 or more',
    recognise: ({ before, bytes, midge, mosquitto }) =>
      [...before.map(({ sent }) => sent), bytes.toString('hex')].some((sent) => /^e0..[89a]/.test(sent)) &&
      isWillOfMidge(midge, mosquitto),
  },
  {
    name: 'an UNSUBSCRIBE of MQTT 5.0 from a topic that begins with `$` and is not subscribed to',
    recognise: ({ bytes, ownMidge, ownMosquitto }) =>
      typeOf(bytes) === UNSUBSCRIBE &&
      bytes.includes('$') &&
      ownMidge.replaceAll('17', '0') === ownMosquitto.replaceAll('17', '0'),
  },
  {
    name: 'a SUBSCRIBE with an empty filter',
    recognise: ({ bytes, ownMidge, ownMosquitto }) =>
      typeOf(bytes) === SUBSCRIBE && bytes.includes('\0\0') && isClosed(ownMidge) && !isClosed(ownMosquitto),
  },
  {
    name: 'a malformed packet right behind a PUBLISH',
    recognise: ({ bytes, ownMidge, ownMosquitto }) =>
      typeOf(bytes) === 3 &&
      isClosed(ownMidge) &&
      isClosed(ownMosquitto) &&
      /^\{"type":"pub(ack|rec)"/.test(ownMosquitto),
  },
  {
    name: 'No Local on a shared subscription',
    recognise: ({ bytes, ownMidge, ownMosquitto }) =>
      typeOf(bytes) === SUBSCRIBE &&
      bytes.includes('$share/') &&
      /"reasonCode":130.* closed$/.test(ownMidge) &&
      !isClosed(ownMosquitto),
  },
];

export function listedDifference(met: Met): ListedDifference | undefined {
  return LISTED_DIFFERENCES.find((difference) => difference.recognise(met));
}
