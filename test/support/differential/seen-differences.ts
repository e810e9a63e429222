/**
 * Differences between Midge and Debian's Mosquitto 2.0.11 that one connection can show: packets and the answers to them,
 * in hexadecimal digits.
 */
import { packetBytes } from '../packets/packet-bytes.js';

const CONNECT = packetBytes(0x10, "00 04 'MQTT' 05 02 00 3c 00 00 02 'ab'");
const CONNECT_31 = packetBytes(0x10, "00 06 'MQIsdp' 03 02 00 3c 00 02 'ab'");
/** Their CONNACK is not shown. */
export const PLAIN_CONNECTS: ReadonlySet<Buffer> = new Set([CONNECT, CONNECT_31]);

const deepTopic = `a${'/a'.repeat(250)}`;
const qos2 = (first: number) => packetBytes(first, "00 01 'a' 00 07 00 'x'");

export interface SeenDifference {
  /** How the row on the page begins. */
  row: string;
  /** Which case of it, if there are several. */
  what?: string;
  packets: readonly Buffer[];
  /** The answers; `closed` stands for the end of the connection. */
  midge: string;
  mosquitto: string;
}

export const SEEN_DIFFERENCES: readonly SeenDifference[] = [
  {
    row: 'a faulty CONNECT of MQTT 5.0, for example with a wildcard in the will topic',
    packets: [packetBytes(0x10, "00 04 'MQTT' 05 06 00 3c 00 00 02 'ab' 00 00 03 'a/#' 00 01 'x'")],
    midge: '2003009000 closed',
    mosquitto: 'closed',
  },
  {
    row: 'a QoS 2 PUBLISH with the same packet id for the third time',
    packets: [CONNECT, qos2(0x34), qos2(0x3c), qos2(0x3c)],
    midge: '50020007 50020007 50020007',
    mosquitto: '50020007 50020007 e00182 closed',
  },
  {
    row: '`$share//a`, a shared subscription without a share name',
    packets: [CONNECT, packetBytes(0x82, "00 01 00 00 09 '$share//a' 00")],
    midge: '90040001008f',
    mosquitto: '900400010000',
  },
  {
    row: "a SUBACK or UNSUBACK larger than the client's Maximum Packet Size",
    packets: [
      packetBytes(0x10, "00 04 'MQTT' 05 02 00 3c 05 27 00 00 00 14 00 02 'ab'"),
      packetBytes(0x82, `00 01 00 ${"00 01 'a' 00 ".repeat(20)}`),
    ],
    midge: '200e00000b22000a27001e8480210014 e00195 closed',
    mosquitto: `200900000622000a210014 9017000100${'00'.repeat(20)}`,
  },
  {
    row: 'a topic with more than 200 levels',
    packets: [CONNECT, packetBytes(0x32, `01 f5 '${deepTopic}' 00 01 00 'x'`)],
    midge: '4003000190',
    mosquitto: 'e00182 closed',
  },
  {
    row: 'a CONNECT before MQTT 5.0 with an empty client id, without clean session, and with another fault',
    packets: [packetBytes(0x10, "00 04 'MQTT' 04 70 00 3c 00 00")],
    midge: 'closed',
    mosquitto: '20020002 closed',
  },
  {
    row: 'a CONNECT with an unknown protocol level',
    packets: [packetBytes(0x10, "00 04 'MQTT' 06 02 00 3c 00 00 01 'x'")],
    midge: '2003008400 closed',
    mosquitto: '20020001 closed',
  },
  {
    row: 'a CONNECT with an unknown protocol level',
    what: 'the bridge bit in MQTT 5.0',
    packets: [packetBytes(0x10, "00 04 'MQTT' 85 02 00 3c 00 00 01 'x'")],
    midge: '2003008400 closed',
    mosquitto: 'closed',
  },
  {
    row: 'a keep alive of 0 in MQTT 5.0',
    packets: [packetBytes(0x10, "00 04 'MQTT' 05 02 00 00 00 00 02 'ab'")],
    midge: '200e00000b22000a27001e8480210014',
    mosquitto: '200c00000922000a13ffff210014',
  },
  {
    row: 'a will for `$CONTROL`',
    packets: [packetBytes(0x10, "00 04 'MQTT' 05 06 00 3c 00 00 02 'ab' 00 00 0a '$CONTROL/a' 00 01 'x'")],
    midge: '2003009000 closed',
    mosquitto: '200900000622000a210014',
  },
  {
    row: 'a PUBLISH of QoS 0 with the DUP flag',
    packets: [CONNECT, packetBytes(0x38, "00 01 'a' 00 'x'")],
    midge: 'e00181 closed',
    mosquitto: '',
  },
  {
    row: 'a PUBLISH or will of MQTT 5.0 whose response topic has a wildcard',
    packets: [CONNECT, packetBytes(0x30, "00 01 'a' 06 08 00 03 'b/+' 'x'")],
    midge: 'e00182 closed',
    mosquitto: '',
  },
  {
    row: 'a PUBLISH or will of MQTT 5.0 whose response topic has a wildcard',
    what: 'a payload format indicator of 2',
    packets: [CONNECT, packetBytes(0x30, "00 01 'a' 02 01 02 'x'")],
    midge: 'e00182 closed',
    mosquitto: '',
  },
  {
    row: 'a shared subscription without a name or a filter',
    packets: [CONNECT, packetBytes(0x82, "00 01 00 00 08 '$share/g' 00")],
    midge: 'e00182 closed',
    mosquitto: '900400010000',
  },
  {
    row: 'a shared subscription without a name or a filter',
    what: 'a wildcard in its name',
    packets: [CONNECT, packetBytes(0x82, "00 01 00 00 0a '$share/+/a' 00")],
    midge: 'e00182 closed',
    mosquitto: '900400010000',
  },
  {
    row: 'No Local on a shared subscription',
    packets: [CONNECT, packetBytes(0x82, "00 01 00 00 0a '$share/g/a' 04")],
    midge: 'e00182 closed',
    mosquitto: '900400010000',
  },
  {
    row: 'an UNSUBSCRIBE of MQTT 5.0 from a topic that begins with `$`',
    packets: [CONNECT, packetBytes(0xa2, "00 01 00 00 02 '$x'")],
    midge: 'b00400010011',
    mosquitto: 'b00400010000',
  },
  {
    row: 'wrong flags in the first byte of PUBACK, PUBREC, PUBCOMP or PINGREQ',
    packets: [CONNECT, packetBytes(0x41, '00 01')],
    midge: 'e00181 closed',
    mosquitto: '',
  },
  {
    row: 'wrong flags in the first byte of PUBACK, PUBREC, PUBCOMP or PINGREQ',
    what: 'SUBSCRIBE of MQTT 3.1',
    packets: [CONNECT_31, packetBytes(0x80, "00 01 00 01 'a' 00")],
    midge: 'closed',
    mosquitto: '9003000100',
  },
  {
    row: 'a PUBACK, PUBREC, PUBREL, PUBCOMP or DISCONNECT of MQTT 5.0 with a reason code',
    packets: [CONNECT, packetBytes(0x40, '00 01 55')],
    midge: 'e00182 closed',
    mosquitto: '',
  },
  {
    row: 'bytes behind the content of a PUBACK, PUBREC, PUBREL, PUBCOMP or PINGREQ',
    packets: [CONNECT, packetBytes(0x40, '00 01 00 00 aa')],
    midge: 'e00181 closed',
    mosquitto: '',
  },
  {
    row: 'a SUBACK, UNSUBACK or PINGRESP from a client',
    packets: [CONNECT, packetBytes(0x90, '00 01 00 00')],
    midge: 'e00182 closed',
    mosquitto: '',
  },
];
