/**
 * Packets that are wrong in one way each, and what is to come of it: the reason code, and of a CONNECT the CONNACK.
 * A name begins with the statement or the section of the standard that the packet offends against; numbers are
 * those of MQTT 5.0 unless the row is of an older version.
 */
import type { PacketOrigin } from '../../../src/mqtt/decode.js';
import type { ProtocolVersion } from '../../../src/mqtt/packets.js';
import { packetBytes } from './packet-bytes.js';

export interface MalformedPacket {
  name: string;
  /** What the connection speaks; of a CONNECT: what the answer is in, `undefined` where nothing is answered. */
  version: ProtocolVersion | undefined;
  origin: PacketOrigin;
  bytes: Buffer;
  reasonCode: number;
  /** What the log is to say, so that a packet is not refused for some other reason. */
  message: RegExp;
  /** The connection closes without a DISCONNECT. */
  silent: boolean;
  /** The CONNACK that answers a CONNECT; `undefined` = none. */
  connackCode: number | undefined;
}

type Row = [name: string, firstByte: number, body: string, reasonCode: number, message: RegExp];

type ConnectRow = [
  name: string,
  body: string,
  answer: `v${ProtocolVersion} ${'closed' | number}` | 'closed',
  reasonCode: number,
  message: RegExp,
];

const MALFORMED = 0x81;
const PROTOCOL_ERROR = 0x82;
const TOPIC_NAME_INVALID = 0x90;

/** Answers: the version, then the code of the CONNACK or "closed" for none. */
// biome-ignore format: one packet a line
const connects: ConnectRow[] = [
  ['3.1.2.1 nothing after the fixed header', '', 'closed', MALFORMED, /incomplete/],
  ['3.1.2.1 protocol name cut off', "0004 'MQ'", 'closed', MALFORMED, /incomplete/],
  ['[MQTT-3.1.2-1] protocol name of another length', '"MQTTX" 05 02 003c 00 "p"', 'closed', PROTOCOL_ERROR, /incorrect protocol string length \(5\)/],
  ['[MQTT-3.1.2-1] empty protocol name', '"" 05 02 003c 00 "p"', 'closed', PROTOCOL_ERROR, /incorrect protocol string length \(0\)/],
  ['[MQTT-3.1.2-1] another protocol name of that length', '"MQTX" 05 02 003c 00 "p"', 'closed', PROTOCOL_ERROR, /invalid protocol "MQTX"/],
  ['[MQTT-3.1.2-1] protocol name in small letters', '"mqtt" 05 02 003c 00 "p"', 'closed', PROTOCOL_ERROR, /invalid protocol "mqtt"/],
  ['[MQTT-3.1.2-1] protocol name that would break the log line', "0004 4d0a5154 05 02 003c 00 \"p\"", 'closed', PROTOCOL_ERROR, /invalid protocol "M\?QT"/],
  ['3.1.2.2 no protocol level', '"MQTT"', 'closed', MALFORMED, /incomplete/],
  ['[MQTT-3.1.2-2] level 6', '"MQTT" 06 02 003c 00 "p"', 'v5 132', 0x84, /invalid protocol version \(6\)/],
  ['[MQTT-3.1.2-2] level 0', '"MQTT" 00 02 003c "p"', 'v5 132', 0x84, /invalid protocol version \(0\)/],
  ['[MQTT-3.1.2-2] level 6 with the bridge bit', '"MQTT" 86 02 003c "p"', 'v5 132', 0x84, /invalid protocol version \(134\)/],
  ['[MQTT-3.1.2-2] level 5 with the bridge bit', '"MQTT" 85 02 003c 00 "p"', 'v5 132', 0x84, /invalid protocol version \(133\)/],
  ['[MQTT-3.1.2-2] level 3 under the newer name', '"MQTT" 03 02 003c "p"', 'v4 1', 0x84, /invalid protocol version \(3\)/],
  ['[MQTT-3.1.2-2] level 4 under the older name', '"MQIsdp" 04 02 003c "p"', 'v4 1', 0x84, /invalid protocol version \(4\)/],
  ['[MQTT-3.1.2-2] level 5 under the older name', '"MQIsdp" 05 02 003c 00 "p"', 'v4 1', 0x84, /invalid protocol version \(5\)/],

  ['[MQTT-3.1.2-3] v5 reserved connect flag', '"MQTT" 05 03 003c 00 "p"', 'v5 closed', PROTOCOL_ERROR, /reserved connect flag/],
  ['[MQTT-3.1.2-3] v3.1.1 reserved connect flag', '"MQTT" 04 03 003c "p"', 'v4 closed', PROTOCOL_ERROR, /reserved connect flag/],
  ['[MQTT-3.1.2-11] v5 will QoS without a will', '"MQTT" 05 0a 003c 00 "p"', 'v5 closed', PROTOCOL_ERROR, /no Will/],
  ['[MQTT-3.1.2-13] v5 will retain without a will', '"MQTT" 05 22 003c 00 "p"', 'v5 closed', PROTOCOL_ERROR, /no Will/],
  ['[MQTT-3.1.2-13] v3.1.1 will QoS without a will', '"MQTT" 04 12 003c "p"', 'v4 closed', PROTOCOL_ERROR, /no Will/],
  ['[MQTT-3.1.2-15] v3.1.1 will retain without a will', '"MQTT" 04 22 003c "p"', 'v4 closed', PROTOCOL_ERROR, /no Will/],
  ['[MQTT-3.1.2-12] v5 will QoS 3', '"MQTT" 05 1e 003c 00 "p" 00 "w" "x"', 'v5 129', MALFORMED, /invalid Will QoS \(3\)/],
  ['[MQTT-3.1.2-14] v3.1.1 will QoS 3', '"MQTT" 04 1e 003c "p" "w" "x"', 'v4 closed', MALFORMED, /invalid Will QoS \(3\)/],
  ['3.1 v3.1 will QoS 3', '"MQIsdp" 03 1e 003c "p" "w" "x"', 'v3 closed', MALFORMED, /invalid Will QoS \(3\)/],
  ['3.1 v3.1 will QoS 3 without a will', '"MQIsdp" 03 1a 003c "p"', 'v3 closed', MALFORMED, /invalid Will QoS \(3\)/],
  ['[MQTT-3.1.2-22] v3.1.1 password without user name', '"MQTT" 04 42 003c "p" "secret"', 'v4 closed', PROTOCOL_ERROR, /no username/],
  ['3.1 v3.1 password without user name', '"MQIsdp" 03 42 003c "p" "secret"', 'v3 closed', PROTOCOL_ERROR, /no username/],
  ['3.1.2.3 no connect flags', '"MQTT" 05', 'v5 129', MALFORMED, /incomplete/],
  ['3.1.2.10 keep alive cut off', '"MQTT" 05 02 00', 'v5 129', MALFORMED, /incomplete/],
  ['3.1.2.10 v3.1.1 keep alive cut off', '"MQTT" 04 02 00', 'v4 closed', MALFORMED, /incomplete/],

  ['3.1.2.11 no properties', '"MQTT" 05 02 003c', 'v5 129', MALFORMED, /incomplete/],
  ['3.1.2.11 properties longer than the packet', '"MQTT" 05 02 003c 7f 210005', 'v5 129', MALFORMED, /incomplete/],
  ['1.5.5 property length of five bytes', '"MQTT" 05 02 003c ffffffff7f "p"', 'v5 129', MALFORMED, /overlong variable byte integer/],
  ['[MQTT-1.5.5-1] property length in more bytes than it needs', '"MQTT" 05 02 003c 8000 "p"', 'v5 129', MALFORMED, /overlong variable byte integer/],
  ['[MQTT-1.5.5-1] property length of the will in more bytes than it needs', '"MQTT" 05 06 003c 00 "p" 8000 "w" "x"', 'v5 129', MALFORMED, /overlong variable byte integer/],
  ['2.2.2.2 unknown property', '"MQTT" 05 02 003c 02 7f00 "p"', 'v5 129', MALFORMED, /invalid property 0x7f/],
  ['2.2.2.2 property above the table', '"MQTT" 05 02 003c 03 ff0100 "p"', 'v5 129', MALFORMED, /invalid property 0xff/],
  ['2.2.2.2 property of PUBLISH', '"MQTT" 05 02 003c 02 0101 "p"', 'v5 129', MALFORMED, /invalid property 0x01/],
  ['2.2.2.2 property of the will outside the will', '"MQTT" 05 02 003c 05 1800000001 "p"', 'v5 129', MALFORMED, /invalid property 0x18/],
  ['2.2.2.2 property value cut off', '"MQTT" 05 02 003c 02 2100 "p"', 'v5 129', MALFORMED, /incomplete/],
  ['2.2.2.2 property value beyond the property length', '"MQTT" 05 02 003c 02 2100 05 "p"', 'v5 129', MALFORMED, /incomplete/],
  ['3.1.2.11.2 session expiry interval twice', '"MQTT" 05 02 003c 0a 1100000001 1100000001 "p"', 'v5 130', PROTOCOL_ERROR, /duplicate session-expiry-interval/],
  ['3.1.2.11.3 receive maximum 0', '"MQTT" 05 02 003c 03 210000 "p"', 'v5 130', PROTOCOL_ERROR, /receive-maximum = 0\.$/],
  ['3.1.2.11.3 receive maximum twice', '"MQTT" 05 02 003c 06 210001 210001 "p"', 'v5 130', PROTOCOL_ERROR, /duplicate receive-maximum/],
  ['3.1.2.11.4 maximum packet size 0', '"MQTT" 05 02 003c 05 2700000000 "p"', 'v5 130', PROTOCOL_ERROR, /maximum-packet-size = 0\.$/],
  ['3.1.2.11.4 maximum packet size twice', '"MQTT" 05 02 003c 0a 2700000064 2700000064 "p"', 'v5 130', PROTOCOL_ERROR, /duplicate maximum-packet-size/],
  ['3.1.2.11.5 topic alias maximum twice', '"MQTT" 05 02 003c 06 220001 220001 "p"', 'v5 130', PROTOCOL_ERROR, /duplicate topic-alias-maximum/],
  ['3.1.2.11.6 request response information 2', '"MQTT" 05 02 003c 02 1902 "p"', 'v5 130', PROTOCOL_ERROR, /request-response-information = 2\.$/],
  ['3.1.2.11.6 request response information twice', '"MQTT" 05 02 003c 04 1901 1901 "p"', 'v5 130', PROTOCOL_ERROR, /duplicate request-response-information/],
  ['3.1.2.11.7 request problem information 2', '"MQTT" 05 02 003c 02 1702 "p"', 'v5 130', PROTOCOL_ERROR, /request-problem-information = 2\.$/],
  ['3.1.2.11.7 request problem information twice', '"MQTT" 05 02 003c 04 1700 1700 "p"', 'v5 130', PROTOCOL_ERROR, /duplicate request-problem-information/],
  ['[MQTT-1.5.7-1] user property whose name is no UTF-8', '"MQTT" 05 02 003c 07 26 0001ff "v" "p"', 'v5 129', MALFORMED, /UTF-8 in user-property/],
  ['[MQTT-1.5.7-1] user property whose value is no UTF-8', '"MQTT" 05 02 003c 07 26 "n" 0001ff "p"', 'v5 129', MALFORMED, /UTF-8 in user-property/],
  ['3.1.2.11.9 authentication method twice', '"MQTT" 05 02 003c 08 15 "m" 15 "m" "p"', 'v5 130', PROTOCOL_ERROR, /duplicate authentication-method/],
  ['3.1.2.11.10 authentication data without a method', '"MQTT" 05 02 003c 04 16 "d" "p"', 'v5 130', PROTOCOL_ERROR, /no authentication-method/],
  ['3.1.2.11.10 authentication data twice', '"MQTT" 05 02 003c 0c 15 "m" 16 "d" 16 "d" "p"', 'v5 130', PROTOCOL_ERROR, /duplicate authentication-data/],

  ['[MQTT-3.1.3-3] v5 no client id', '"MQTT" 05 02 003c 00', 'v5 129', MALFORMED, /incomplete/],
  ['[MQTT-3.1.3-3] v3.1.1 no client id', '"MQTT" 04 02 003c', 'v4 closed', MALFORMED, /incomplete/],
  ['[MQTT-3.1.3-3] client id cut off', "\"MQTT\" 05 02 003c 00 0005 'a'", 'v5 129', MALFORMED, /incomplete/],
  ['[MQTT-3.1.3-4] v5 client id that is no UTF-8', '"MQTT" 05 02 003c 00 0001ff', 'v5 133', 0x85, /UTF-8 in client id/],
  ['[MQTT-1.5.4-1] client id with a surrogate', '"MQTT" 05 02 003c 00 0003eda080', 'v5 133', 0x85, /UTF-8 in client id/],
  ['[MQTT-1.5.4-2] client id with U+0000', '"MQTT" 05 02 003c 00 0003610062', 'v5 133', 0x85, /UTF-8 in client id/],
  ['1.5.4 client id with U+0001', '"MQTT" 05 02 003c 00 0001 01', 'v5 133', 0x85, /control character or non-character in client id/],
  ['1.5.3 v3.1.1 client id with U+FFFF', '"MQTT" 04 02 003c 0003 efbfbf', 'v4 closed', 0x85, /control character or non-character in client id/],
  ['1.5.4 user name with U+007F', '"MQTT" 05 82 003c 00 "p" 0001 7f', 'v5 129', MALFORMED, /control character or non-character in username/],
  ['1.5.4 will topic with U+0001', '"MQTT" 05 06 003c 00 "p" 00 0001 01 "x"', 'v5 129', MALFORMED, /control character or non-character in will topic/],
  ['1.5.3 v3.1.1 will topic with U+0001', '"MQTT" 04 06 003c "p" 0001 01 "x"', 'v4 closed', MALFORMED, /control character or non-character in will topic/],
  ['[MQTT-3.1.3-4] v3.1.1 client id that is no UTF-8', '"MQTT" 04 02 003c 0001ff', 'v4 closed', 0x85, /UTF-8 in client id/],
  ['[MQTT-3.1.3-8] v3.1.1 empty client id without clean session', '"MQTT" 04 00 003c ""', 'v4 2', 0x85, /^CONNECT with zero length clientid when forbidden/],
  ['3.1 v3.1 empty client id', '"MQIsdp" 03 02 003c ""', 'v3 2', 0x85, /^v3\.1 CONNECT with zero length clientid/],
  ['3.1 v3.1 empty client id without clean session', '"MQIsdp" 03 00 003c ""', 'v3 2', 0x85, /^v3\.1 CONNECT with zero length clientid/],

  ['[MQTT-3.1.2-9] v5 will missing', '"MQTT" 05 06 003c 00 "p"', 'v5 129', MALFORMED, /incomplete/],
  ['[MQTT-3.1.2-9] v5 will payload missing', '"MQTT" 05 06 003c 00 "p" 00 "w"', 'v5 129', MALFORMED, /incomplete/],
  ['[MQTT-3.1.2-9] v3.1.1 will missing', '"MQTT" 04 06 003c "p"', 'v4 closed', MALFORMED, /incomplete/],
  ['3.1 v3.1 will payload missing', '"MQIsdp" 03 06 003c "p" "w"', 'v3 closed', MALFORMED, /incomplete/],
  ['[MQTT-4.7.3-1] v5 empty will topic', '"MQTT" 05 06 003c 00 "p" 00 "" "x"', 'v5 130', PROTOCOL_ERROR, /empty will topic/],
  ['[MQTT-4.7.3-1] v3.1.1 empty will topic', '"MQTT" 04 06 003c "p" "" "x"', 'v4 closed', PROTOCOL_ERROR, /empty will topic/],
  ['[MQTT-3.3.2-2] v5 wildcard in the will topic', '"MQTT" 05 06 003c 00 "p" 00 "a/+" "x"', 'v5 144', TOPIC_NAME_INVALID, /invalid will topic/],
  ['[MQTT-3.3.2-2] v3.1.1 wildcard in the will topic', '"MQTT" 04 06 003c "p" "#" "x"', 'v4 closed', TOPIC_NAME_INVALID, /invalid will topic/],
  ['[mosq: $CONTROL] will topic', '"MQTT" 05 06 003c 00 "p" 00 "$CONTROL/a" "x"', 'v5 144', TOPIC_NAME_INVALID, /invalid will topic/],
  ['[MQTT-3.1.3-11] v5 will topic that is no UTF-8', '"MQTT" 05 06 003c 00 "p" 00 0001ff "x"', 'v5 129', MALFORMED, /UTF-8 in will topic/],
  ['[MQTT-3.1.3-10] v3.1.1 will topic that is no UTF-8', '"MQTT" 04 06 003c "p" 0001ff "x"', 'v4 closed', MALFORMED, /UTF-8 in will topic/],
  ['2.2.2.2 topic alias in the will', '"MQTT" 05 06 003c 00 "p" 03 230001 "w" "x"', 'v5 129', MALFORMED, /invalid property 0x23/],
  ['3.1.3.2.2 will delay interval twice', '"MQTT" 05 06 003c 00 "p" 0a 1800000001 1800000001 "w" "x"', 'v5 130', PROTOCOL_ERROR, /duplicate will-delay-interval/],
  ['3.1.3.2.3 will payload format indicator 2', '"MQTT" 05 06 003c 00 "p" 02 0102 "w" "x"', 'v5 130', PROTOCOL_ERROR, /payload-format-indicator = 2\.$/],
  ['[MQTT-3.3.2-14] wildcard in the response topic of the will', '"MQTT" 05 06 003c 00 "p" 06 08 "a/#" "w" "x"', 'v5 130', PROTOCOL_ERROR, /wildcard in response-topic/],

  ['[MQTT-3.1.2-17] v5 user name missing', '"MQTT" 05 82 003c 00 "p"', 'v5 closed', PROTOCOL_ERROR, /missing username/],
  ['[MQTT-3.1.2-19] v3.1.1 user name missing', '"MQTT" 04 82 003c "p"', 'v4 closed', PROTOCOL_ERROR, /missing username/],
  ['[MQTT-3.1.2-19] v5 password missing', '"MQTT" 05 c2 003c 00 "p" "u"', 'v5 closed', PROTOCOL_ERROR, /missing password/],
  ['[MQTT-3.1.2-21] v3.1.1 password missing', '"MQTT" 04 c2 003c "p" "u"', 'v4 closed', PROTOCOL_ERROR, /missing password/],
  ['[MQTT-3.1.3-12] v5 user name that is no UTF-8', '"MQTT" 05 82 003c 00 "p" 0001ff', 'v5 129', MALFORMED, /UTF-8 in username/],
  ['[MQTT-3.1.3-11] v3.1.1 user name that is no UTF-8', '"MQTT" 04 82 003c "p" 0001ff', 'v4 closed', MALFORMED, /UTF-8 in username/],
  ['3.1.3.6 v5 password cut off', "\"MQTT\" 05 c2 003c 00 \"p\" \"u\" 0005 's'", 'v5 129', MALFORMED, /incomplete/],
  ['3.1 v3.1 password cut off', "\"MQIsdp\" 03 c2 003c \"p\" \"u\" 0005 's'", 'v3 closed', MALFORMED, /incomplete/],
  ['[MQTT-3.1.2-16] v5 user name without its flag', '"MQTT" 05 02 003c 00 "p" "u"', 'v5 129', MALFORMED, /overlong remaining length/],
  ['[MQTT-3.1.2-18] v3.1.1 user name without its flag', '"MQTT" 04 02 003c "p" "u"', 'v4 closed', MALFORMED, /overlong remaining length/],
  ['3.1 v3.1 a byte too many', "\"MQIsdp\" 03 02 003c \"p\" 'x'", 'v3 closed', MALFORMED, /overlong remaining length/],
];

/** From a client that speaks MQTT 5.0. */
// biome-ignore format: one packet a line
const fromClientV5: Row[] = [
  ['2.1.2 packet type 0', 0x00, '', PROTOCOL_ERROR, /^RESERVED packet\.$/],
  ['2.1.2 CONNACK', 0x20, '00 00 00', PROTOCOL_ERROR, /CONNACK packet from a client/],
  ['2.1.2 SUBACK', 0x90, '0001 00 00', PROTOCOL_ERROR, /SUBACK packet from a client/],
  ['2.1.2 UNSUBACK', 0xb0, '0001 00 00', PROTOCOL_ERROR, /UNSUBACK packet from a client/],
  ['2.1.2 PINGRESP', 0xd0, '', PROTOCOL_ERROR, /PINGRESP packet from a client/],

  ['[MQTT-2.1.3-1] flags on PUBACK', 0x41, '0001', MALFORMED, /PUBACK with non-zero reserved flags \(41\)/],
  ['[MQTT-2.1.3-1] flags on PUBREC', 0x52, '0001', MALFORMED, /PUBREC with non-zero reserved flags \(52\)/],
  ['[MQTT-2.1.3-1] flags on PUBCOMP', 0x78, '0001', MALFORMED, /PUBCOMP with non-zero reserved flags \(78\)/],
  ['[MQTT-2.1.3-1] flags on PINGREQ', 0xc1, '', MALFORMED, /PINGREQ with non-zero reserved flags \(C1\)/],
  ['[MQTT-3.14.1-1] flags on DISCONNECT', 0xe1, '', MALFORMED, /DISCONNECT with non-zero reserved flags \(E1\)/],
  ['[MQTT-3.15.1-1] flags on AUTH', 0xf1, '18 04 15 "m"', MALFORMED, /AUTH with non-zero reserved flags \(F1\)/],
  ['[MQTT-3.6.1-1] PUBREL without its flags', 0x60, '0001', MALFORMED, /^PUBREL with non-zero reserved flags \(60\)\.$/],
  ['[MQTT-3.6.1-1] PUBREL with DUP', 0x6a, '0001', MALFORMED, /^PUBREL with non-zero reserved flags \(6A\)\.$/],
  ['[MQTT-3.8.1-1] SUBSCRIBE without its flags', 0x80, '0001 00 "a" 00', MALFORMED, /SUBSCRIBE with non-zero reserved flags \(80\)/],
  ['[MQTT-3.8.1-1] SUBSCRIBE with DUP', 0x8a, '0001 00 "a" 00', MALFORMED, /SUBSCRIBE with non-zero reserved flags \(8A\)/],
  ['[MQTT-3.10.1-1] UNSUBSCRIBE without its flags', 0xa0, '0001 00 "a"', MALFORMED, /UNSUBSCRIBE with non-zero reserved flags \(A0\)/],

  ['[MQTT-3.3.1-4] PUBLISH with QoS 3', 0x36, '"a" 0001 00', MALFORMED, /^Invalid QoS in PUBLISH/],
  ['[MQTT-3.3.1-2] PUBLISH with QoS 0 and DUP', 0x38, '"a" 00', MALFORMED, /^Invalid PUBLISH \(QoS=0 and DUP=1\)/],
  ['3.3.2 PUBLISH without anything', 0x30, '', MALFORMED, /incomplete/],
  ['3.3.2.1 PUBLISH whose topic is cut off', 0x30, "0005 'a'", MALFORMED, /incomplete/],
  ['[MQTT-3.3.2-1] PUBLISH whose topic is no UTF-8', 0x30, '0001ff 00', MALFORMED, /UTF-8 in topic/],
  ['[MQTT-1.5.4-1] PUBLISH whose topic has a surrogate', 0x30, '0003edbfbf 00', MALFORMED, /UTF-8 in topic/],
  ['[MQTT-4.7.3-2] PUBLISH whose topic has U+0000', 0x30, '0003610062 00', MALFORMED, /UTF-8 in topic/],
  ['1.5.4 PUBLISH whose topic has U+0001', 0x30, '0006 6465762f7401 00', MALFORMED, /control character or non-character in topic/],
  ['1.5.4 PUBLISH whose topic has U+001F', 0x30, '0001 1f 00', MALFORMED, /control character or non-character in topic/],
  ['1.5.4 PUBLISH whose topic has U+007F', 0x30, '0001 7f 00', MALFORMED, /control character or non-character in topic/],
  ['1.5.4 PUBLISH whose topic has U+0080', 0x30, '0002 c280 00', MALFORMED, /control character or non-character in topic/],
  ['1.5.4 PUBLISH whose topic has U+009F', 0x30, '0002 c29f 00', MALFORMED, /control character or non-character in topic/],
  ['1.5.4 PUBLISH whose topic has U+FDD0', 0x30, '0003 efb790 00', MALFORMED, /control character or non-character in topic/],
  ['1.5.4 PUBLISH whose topic has U+FDEF', 0x30, '0003 efb7af 00', MALFORMED, /control character or non-character in topic/],
  ['1.5.4 PUBLISH whose topic has U+FFFE', 0x30, '0003 efbfbe 00', MALFORMED, /control character or non-character in topic/],
  ['1.5.4 PUBLISH whose topic has U+FFFF', 0x30, '0003 efbfbf 00', MALFORMED, /control character or non-character in topic/],
  ['1.5.4 PUBLISH whose topic has U+1FFFE', 0x30, '0004 f09fbfbe 00', MALFORMED, /control character or non-character in topic/],
  ['1.5.4 PUBLISH whose topic has U+10FFFF', 0x30, '0004 f48fbfbf 00', MALFORMED, /control character or non-character in topic/],
  ['1.5.4 SUBSCRIBE whose filter has U+0001', 0x82, '0001 00 0001 01 00', MALFORMED, /control character or non-character in topic filter/],
  ['1.5.4 UNSUBSCRIBE whose filter has U+FFFF', 0xa2, '0001 00 0003 efbfbf', MALFORMED, /control character or non-character in topic filter/],
  ['1.5.4 content type with U+0001', 0x30, '"a" 04 03 0001 01', MALFORMED, /control character or non-character in content-type/],
  ['1.5.4 response topic with U+007F', 0x30, '"a" 04 08 0001 7f', MALFORMED, /control character or non-character in response-topic/],
  ['1.5.4 user property with U+0085', 0x30, '"a" 08 26 "n" 0002 c285', MALFORMED, /control character or non-character in user-property/],
  ['1.5.4 reason string with U+0001', 0xe0, '00 04 1f 0001 01', MALFORMED, /control character or non-character in reason-string/],
  ['[MQTT-3.3.2-2] PUBLISH with + in its topic', 0x30, '"a/+" 00', MALFORMED, /invalid topic/],
  ['[MQTT-3.3.2-2] PUBLISH with # in its topic', 0x30, '"#" 00', MALFORMED, /invalid topic/],
  ['[mosq: topics] PUBLISH with 201 separators', 0x30, `"${'/'.repeat(201)}" 00`, TOPIC_NAME_INVALID, /invalid topic/],
  ['3.3.2.1 PUBLISH with neither topic nor alias', 0x30, '"" 00', PROTOCOL_ERROR, /neither topic nor topic-alias/],
  ['3.3.2.2 PUBLISH without a packet id', 0x32, '"a"', MALFORMED, /incomplete/],
  ['[MQTT-2.2.1-3] PUBLISH with packet id 0', 0x32, '"a" 0000 00', PROTOCOL_ERROR, /^PUBLISH packet with mid = 0\.$/],
  ['3.3.2.3 PUBLISH without properties', 0x30, '"a"', MALFORMED, /incomplete/],
  ['3.3.2.3 PUBLISH with properties longer than the packet', 0x30, '"a" 05 0101', MALFORMED, /incomplete/],
  ['2.2.2.2 PUBLISH with an unknown property', 0x30, '"a" 02 7f00', MALFORMED, /invalid property 0x7f/],
  ['2.2.2.2 PUBLISH with a property of CONNECT', 0x30, '"a" 05 1100000001', MALFORMED, /invalid property 0x11/],
  ['3.3.2.3.2 payload format indicator 2', 0x30, '"a" 02 0102', PROTOCOL_ERROR, /payload-format-indicator = 2/],
  ['3.3.2.3.2 payload format indicator twice', 0x30, '"a" 04 0101 0101', PROTOCOL_ERROR, /duplicate payload-format-indicator/],
  ['3.3.2.3.3 message expiry interval cut off', 0x30, '"a" 03 020000', MALFORMED, /incomplete/],
  ['3.3.2.3.3 message expiry interval twice', 0x30, '"a" 0a 0200000001 0200000001', PROTOCOL_ERROR, /duplicate message-expiry-interval/],
  ['[MQTT-3.3.2-8] topic alias 0', 0x30, '"a" 03 230000', 0x94, /^PUBLISH invalid topic alias \(0\)\.$/],
  ['3.3.2.3.4 topic alias twice', 0x30, '"a" 06 230001 230001', PROTOCOL_ERROR, /duplicate topic-alias/],
  ['[MQTT-3.3.2-13] response topic that is no UTF-8', 0x30, '"a" 04 08 0001ff', MALFORMED, /UTF-8 in response-topic/],
  ['[MQTT-3.3.2-14] response topic with +', 0x30, '"a" 06 08 "b/+"', PROTOCOL_ERROR, /wildcard in response-topic/],
  ['[MQTT-3.3.2-14] response topic with #', 0x30, '"a" 04 08 "#"', PROTOCOL_ERROR, /wildcard in response-topic/],
  ['[MQTT-4.7.3-1] empty response topic', 0x30, '"a" 03 08 ""', PROTOCOL_ERROR, /empty response-topic/],
  ['3.3.2.3.5 response topic twice', 0x30, '"a" 08 08 "b" 08 "b"', PROTOCOL_ERROR, /duplicate response-topic/],
  ['3.3.2.3.6 correlation data twice', 0x30, '"a" 08 09 "b" 09 "b"', PROTOCOL_ERROR, /duplicate correlation-data/],
  ['3.3.2.3.6 correlation data cut off', 0x30, "\"a\" 04 09 0002 'b'", MALFORMED, /incomplete/],
  ['[MQTT-3.3.4-6] subscription identifier from a client', 0x30, '"a" 02 0b01', PROTOCOL_ERROR, /subscription-identifier from a client/],
  ['[MQTT-3.3.2-19] content type that is no UTF-8', 0x30, '"a" 04 03 0001ff', MALFORMED, /UTF-8 in content-type/],
  ['3.3.2.3.9 content type twice', 0x30, '"a" 08 03 "b" 03 "b"', PROTOCOL_ERROR, /duplicate content-type/],
  ['3.3.2.3.7 user property without its value', 0x30, '"a" 04 26 "n"', MALFORMED, /incomplete/],

  ['2.2.1 PUBACK of one byte', 0x40, '00', MALFORMED, /incomplete/],
  ['[MQTT-2.2.1-5] PUBACK with packet id 0', 0x40, '0000', PROTOCOL_ERROR, /^PUBACK packet with mid = 0\.$/],
  ['[MQTT-2.2.1-5] PUBREC with packet id 0', 0x50, '0000', PROTOCOL_ERROR, /^PUBREC packet with mid = 0\.$/],
  ['[MQTT-2.2.1-5] PUBREL with packet id 0', 0x62, '0000', PROTOCOL_ERROR, /^PUBREL packet with mid = 0\.$/],
  ['[MQTT-2.2.1-5] PUBCOMP with packet id 0', 0x70, '0000', PROTOCOL_ERROR, /^PUBCOMP packet with mid = 0\.$/],
  ['[MQTT-3.4.2-1] PUBACK with a code of SUBACK', 0x40, '0001 01', PROTOCOL_ERROR, /invalid reason code \(1\)/],
  ['[MQTT-3.5.2-1] PUBREC with a code that is none', 0x50, '0001 ff', PROTOCOL_ERROR, /invalid reason code \(255\)/],
  ['[MQTT-3.6.2-1] PUBREL with a code of PUBACK', 0x62, '0001 10', PROTOCOL_ERROR, /invalid reason code \(16\)/],
  ['[MQTT-3.7.2-1] PUBCOMP with a code of PUBACK', 0x70, '0001 80', PROTOCOL_ERROR, /invalid reason code \(128\)/],
  ['3.4.2.2 PUBACK with properties longer than the packet', 0x40, '0001 00 05 1f0001', MALFORMED, /incomplete/],
  ['2.2.2.2 PUBACK with a property of PUBLISH', 0x40, '0001 00 02 0101', MALFORMED, /invalid property 0x01/],
  ['3.4.2.2.2 PUBACK with two reason strings', 0x40, '0001 00 08 1f "a" 1f "a"', PROTOCOL_ERROR, /duplicate reason-string/],
  ['3.5.2.2 PUBREC with a byte too many', 0x50, '0001 00 00 00', MALFORMED, /overlong remaining length/],

  ['[MQTT-2.2.1-3] SUBSCRIBE with packet id 0', 0x82, '0000 00 "a" 00', MALFORMED, /^SUBSCRIBE packet with mid = 0\.$/],
  ['3.8.2 SUBSCRIBE without anything', 0x82, '', MALFORMED, /incomplete/],
  ['3.8.2.1 SUBSCRIBE without properties', 0x82, '0001', MALFORMED, /incomplete/],
  ['3.8.2.1.2 subscription identifier 0', 0x82, '0001 02 0b00 "a" 00', PROTOCOL_ERROR, /subscription-identifier = 0/],
  ['3.8.2.1.2 subscription identifier twice', 0x82, '0001 04 0b01 0b02 "a" 00', PROTOCOL_ERROR, /duplicate subscription-identifier/],
  ['[MQTT-1.5.5-1] SUBSCRIBE with a property length in more bytes than it needs', 0x82, '0001 8000 "p" 00', MALFORMED, /overlong variable byte integer/],
  ['[MQTT-1.5.5-1] subscription identifier in more bytes than it needs', 0x82, '0001 03 0b8100 "a" 00', MALFORMED, /overlong variable byte integer/],
  ['[MQTT-1.5.5-1] PUBLISH with a property length in more bytes than it needs', 0x30, '"a" 8000', MALFORMED, /overlong variable byte integer/],
  ['[MQTT-1.5.5-1] PUBLISH with properties whose length has more bytes than it needs', 0x30, '"a" 828000 0101', MALFORMED, /overlong variable byte integer/],
  ['[MQTT-1.5.5-1] PUBACK with a property length in more bytes than it needs', 0x40, '0001 00 8000', MALFORMED, /overlong variable byte integer/],
  ['[MQTT-1.5.5-1] UNSUBSCRIBE with a property length in more bytes than it needs', 0xa2, '0001 8000 "a"', MALFORMED, /overlong variable byte integer/],
  ['[MQTT-1.5.5-1] DISCONNECT with a property length in more bytes than it needs', 0xe0, '00 8000', MALFORMED, /overlong variable byte integer/],
  ['3.8.2.1.2 subscription identifier of five bytes', 0x82, '0001 06 0bffffffff7f "a" 00', MALFORMED, /overlong variable byte integer/],
  ['[MQTT-3.8.3-2] SUBSCRIBE without a filter', 0x82, '0001 00', MALFORMED, /no topic filter/],
  ['[MQTT-3.8.3-1] SUBSCRIBE with a filter that is no UTF-8', 0x82, '0001 00 0002c080 00', MALFORMED, /UTF-8 in topic filter/],
  ['[MQTT-4.7.3-1] SUBSCRIBE with an empty filter', 0x82, '0001 00 "" 00', MALFORMED, /^Empty subscription string/],
  ['[MQTT-4.7.1-1] SUBSCRIBE with # before the end', 0x82, '0001 00 "a/#/b" 00', MALFORMED, /^Invalid subscription string/],
  ['[MQTT-4.7.1-1] SUBSCRIBE with # behind a character', 0x82, '0001 00 "a#" 00', MALFORMED, /^Invalid subscription string/],
  ['[MQTT-4.7.1-2] SUBSCRIBE with + behind a character', 0x82, '0001 00 "a+/b" 00', MALFORMED, /^Invalid subscription string/],
  ['[MQTT-4.7.1-2] SUBSCRIBE with + before a character', 0x82, '0001 00 "+a" 00', MALFORMED, /^Invalid subscription string/],
  ['[mosq: topics] SUBSCRIBE with 201 separators', 0x82, `0001 00 "${'/'.repeat(201)}" 00`, MALFORMED, /^Invalid subscription string/],
  ['[MQTT-3.8.3-1] SUBSCRIBE whose second filter is wrong', 0x82, '0001 00 "a" 00 "b#" 00', MALFORMED, /^Invalid subscription string/],
  ['3.8.3 SUBSCRIBE without options', 0x82, '0001 00 "a"', MALFORMED, /incomplete/],
  ['3.8.3.1 SUBSCRIBE with QoS 3', 0x82, '0001 00 "a" 03', MALFORMED, /invalid QoS \(3\)/],
  ['3.8.3.1 SUBSCRIBE with retain handling 3', 0x82, '0001 00 "a" 30', MALFORMED, /invalid subscription options \(30\)/],
  ['[MQTT-3.8.3-5] SUBSCRIBE with reserved option bit 6', 0x82, '0001 00 "a" 40', MALFORMED, /invalid subscription options \(40\)/],
  ['[MQTT-3.8.3-5] SUBSCRIBE with reserved option bit 7', 0x82, '0001 00 "a" 81', MALFORMED, /invalid subscription options \(81\)/],
  ['[MQTT-3.8.3-4] shared subscription with no local', 0x82, '0001 00 "$share/g/a" 04', PROTOCOL_ERROR, /^\$share subscription with no-local set\.$/],
  ['[MQTT-4.8.2-1] $share alone', 0x82, '0001 00 "$share" 00', PROTOCOL_ERROR, /^Invalid subscription string/],
  ['[MQTT-4.8.2-2] $share with a group alone', 0x82, '0001 00 "$share/g" 00', PROTOCOL_ERROR, /^Invalid subscription string/],
  ['[MQTT-4.8.2-2] $share with an empty filter', 0x82, '0001 00 "$share/g/" 00', PROTOCOL_ERROR, /^Invalid subscription string/],
  ['[MQTT-4.8.2-2] $share with a wildcard for a group', 0x82, '0001 00 "$share/+/a" 00', PROTOCOL_ERROR, /^Invalid subscription string/],

  ['[MQTT-2.2.1-3] UNSUBSCRIBE with packet id 0', 0xa2, '0000 00 "a"', MALFORMED, /^UNSUBSCRIBE packet with mid = 0\.$/],
  ['[MQTT-3.10.3-2] UNSUBSCRIBE without a filter', 0xa2, '0001 00', MALFORMED, /no topic filter/],
  ['[MQTT-3.10.3-1] UNSUBSCRIBE with a filter that is no UTF-8', 0xa2, '0001 00 0001ff', MALFORMED, /UTF-8 in topic filter/],
  ['[MQTT-4.7.3-1] UNSUBSCRIBE with an empty filter', 0xa2, '0001 00 ""', MALFORMED, /^Empty unsubscription string/],
  ['[MQTT-4.7.1-1] UNSUBSCRIBE with a wrong wildcard', 0xa2, '0001 00 "#/a"', MALFORMED, /^Invalid unsubscription string/],
  ['2.2.2.2 UNSUBSCRIBE with a subscription identifier', 0xa2, '0001 02 0b01 "a"', MALFORMED, /invalid property 0x0b/],
  ['3.10.3 UNSUBSCRIBE whose filter is cut off', 0xa2, "0001 00 0003 'a'", MALFORMED, /incomplete/],

  ['[MQTT-3.14.2-1] DISCONNECT with a code that is none', 0xe0, '01', PROTOCOL_ERROR, /invalid reason code \(1\)/],
  ['3.14.2.2 DISCONNECT with properties longer than the packet', 0xe0, '00 05 11', MALFORMED, /incomplete/],
  ['3.14.2.2.2 DISCONNECT with two session expiry intervals', 0xe0, '00 0a 1100000001 1100000001', PROTOCOL_ERROR, /duplicate session-expiry-interval/],
  ['2.2.2.2 DISCONNECT with a property of CONNECT', 0xe0, '00 03 210001', MALFORMED, /invalid property 0x21/],
  ['3.14.2 DISCONNECT with a byte too many', 0xe0, '00 00 00', MALFORMED, /overlong remaining length/],
  ['3.15.2.2.2 AUTH without a method', 0xf0, '18 00', PROTOCOL_ERROR, /no authentication-method/],
  ['3.15.2.2.2 AUTH without anything', 0xf0, '', PROTOCOL_ERROR, /no authentication-method/],
  ['[MQTT-3.15.2-1] AUTH with a code that is none', 0xf0, '01 04 15 "m"', PROTOCOL_ERROR, /invalid reason code \(1\)/],
  ['3.15.2.2.3 AUTH with data twice', 0xf0, '18 0c 15 "m" 16 "d" 16 "d"', PROTOCOL_ERROR, /duplicate authentication-data/],
];

/** From a client that speaks MQTT 3.1.1 (and, but for the rows named so, 3.1). */
// biome-ignore format: one packet a line
const fromClientV4: Row[] = [
  ['2.2.1 packet type 0', 0x00, '', PROTOCOL_ERROR, /^RESERVED packet\.$/],
  ['2.2.1 packet type 15', 0xf0, '', PROTOCOL_ERROR, /^RESERVED packet\.$/],
  ['[MQTT-2.2.2-2] flags on PUBACK', 0x42, '0001', MALFORMED, /reserved flags/],
  ['[MQTT-3.10.1-1] UNSUBSCRIBE without its flags', 0xa0, '0001 "a"', MALFORMED, /reserved flags/],
  ['[MQTT-3.14.1-1] flags on DISCONNECT', 0xe2, '', MALFORMED, /reserved flags/],
  ['[MQTT-3.3.1-4] PUBLISH with QoS 3', 0x36, '"a" 0001', MALFORMED, /^Invalid QoS/],
  ['[MQTT-3.3.1-2] PUBLISH with QoS 0 and DUP', 0x38, '"a"', MALFORMED, /DUP=1/],
  ['[MQTT-2.3.1-1] PUBLISH with packet id 0', 0x34, '"a" 0000', PROTOCOL_ERROR, /mid = 0/],
  ['[MQTT-4.7.3-1] PUBLISH with an empty topic', 0x30, '""', MALFORMED, /empty topic/],
  ['[MQTT-3.3.2-2] PUBLISH with a wildcard', 0x30, '"a/#"', MALFORMED, /invalid topic/],
  ['[MQTT-3.3.2-1] PUBLISH whose topic is no UTF-8', 0x30, '0001c0', MALFORMED, /UTF-8 in topic/],
  ['[MQTT-1.5.3-2] PUBLISH whose topic has U+0000', 0x30, '000100', MALFORMED, /UTF-8 in topic/],
  ['1.5.3 PUBLISH whose topic has U+0001', 0x30, '0006 6465762f7401', MALFORMED, /control character or non-character in topic/],
  ['1.5.3 SUBSCRIBE whose filter has U+009F', 0x82, '0001 0002 c29f 00', MALFORMED, /control character or non-character in topic filter/],
  ['3.4.2 PUBACK of three bytes', 0x40, '0001 00', MALFORMED, /overlong remaining length/],
  ['3.5.2 PUBREC of one byte', 0x50, '01', MALFORMED, /incomplete/],
  ['3.6.2 PUBREL of four bytes', 0x62, '0001 00 00', MALFORMED, /overlong remaining length/],
  ['3.7.2 PUBCOMP of three bytes', 0x70, '0001 00', MALFORMED, /overlong remaining length/],
  ['[MQTT-2.3.1-1] PUBACK with packet id 0', 0x40, '0000', PROTOCOL_ERROR, /mid = 0/],
  ['[MQTT-2.3.1-1] SUBSCRIBE with packet id 0', 0x82, '0000 "a" 00', MALFORMED, /mid = 0/],
  ['[MQTT-3-8.3-4] SUBSCRIBE with QoS 3', 0x82, '0001 "a" 03', MALFORMED, /invalid QoS/],
  ['[MQTT-3-8.3-4] SUBSCRIBE with an option of MQTT 5.0', 0x82, '0001 "a" 04', MALFORMED, /invalid subscription options \(04\)/],
  ['[MQTT-4.7.1-2] SUBSCRIBE with a wrong wildcard', 0x82, '0001 "a#" 00', MALFORMED, /^Invalid subscription string/],
  ['[mosq: shared subscriptions] $share with a group alone', 0x82, '0001 "$share/g" 00', PROTOCOL_ERROR, /^Invalid subscription string/],
  ['[MQTT-4.7.3-1] UNSUBSCRIBE with an empty filter', 0xa2, '0001 ""', MALFORMED, /^Empty unsubscription string/],
  ['3.14 DISCONNECT with a reason code', 0xe0, '00', MALFORMED, /overlong remaining length/],
];

// biome-ignore format: one packet a line
const onlyFromClientV4: Row[] = [
  ['[MQTT-3.6.1-1] PUBREL with DUP', 0x6a, '0001', MALFORMED, /reserved flags/],
  ['[MQTT-3.8.1-1] SUBSCRIBE with DUP', 0x8a, '0001 "a" 00', MALFORMED, /reserved flags/],
  ['[MQTT-3.10.1-1] UNSUBSCRIBE with DUP', 0xaa, '0001 "a"', MALFORMED, /reserved flags/],
  ['[MQTT-3.8.3-3] SUBSCRIBE without a filter', 0x82, '0001', MALFORMED, /no topic filter/],
  ['[MQTT-3.10.3-2] UNSUBSCRIBE without a filter', 0xa2, '0001', MALFORMED, /no topic filter/],
];

/** Cut off without a DISCONNECT. */
// biome-ignore format: one packet a line
const silentFromClient: Row[] = [
  ['3.12 PINGREQ with payload', 0xc0, '00', MALFORMED, /PINGREQ packet with payload/],
];

// biome-ignore format: one packet a line
const fromServerV5: Row[] = [
  ['2.1.2 SUBSCRIBE', 0x82, '0001 00 "a" 00', PROTOCOL_ERROR, /SUBSCRIBE packet from a server/],
  ['2.1.2 UNSUBSCRIBE', 0xa2, '0001 00 "a"', PROTOCOL_ERROR, /UNSUBSCRIBE packet from a server/],
  ['2.1.2 CONNECT', 0x10, '"MQTT" 05 02 003c 00 "p"', PROTOCOL_ERROR, /CONNECT packet from a server/],
  ['[MQTT-3.2.2-1] CONNACK with a reserved flag', 0x20, '02 00 00', MALFORMED, /reserved acknowledge flags/],
  ['[MQTT-3.2.2-8] CONNACK with a code that is none', 0x20, '00 04 00', PROTOCOL_ERROR, /invalid reason code \(4\)/],
  ['3.2.2.3 CONNACK without properties', 0x20, '00 00', MALFORMED, /incomplete/],
  ['3.2.2.3.4 CONNACK with maximum QoS 2', 0x20, '00 00 02 2402', PROTOCOL_ERROR, /maximum-qos = 2/],
  ['3.2.2.3.3 CONNACK with receive maximum 0', 0x20, '00 00 03 210000', PROTOCOL_ERROR, /receive-maximum = 0/],
  ['3.2.2.3.5 CONNACK with retain available 2', 0x20, '00 00 02 2502', PROTOCOL_ERROR, /retain-available = 2/],
  ['3.2.2.3.14 CONNACK with server keep alive twice', 0x20, '00 00 06 13003c 13003c', PROTOCOL_ERROR, /duplicate server-keep-alive/],
  ['[MQTT-3.9.3-2] SUBACK with a code that is none', 0x90, '0001 00 03', PROTOCOL_ERROR, /invalid reason code \(3\)/],
  ['[MQTT-3.11.3-2] UNSUBACK with a code of SUBACK', 0xb0, '0001 00 01', PROTOCOL_ERROR, /invalid reason code \(1\)/],
  ['[MQTT-2.2.1-4] PUBLISH with packet id 0', 0x32, '"a" 0000 00', PROTOCOL_ERROR, /mid = 0/],
  ['3.3.2.3.8 PUBLISH with subscription identifier 0', 0x30, '"a" 02 0b00', PROTOCOL_ERROR, /subscription-identifier = 0/],
  ['[MQTT-3.14.2-2] DISCONNECT with a session expiry interval', 0xe0, '00 05 1100000001', PROTOCOL_ERROR, /session-expiry-interval from a server/],
  ['3.13 PINGRESP with payload', 0xd0, '00', MALFORMED, /overlong remaining length/],
];

// biome-ignore format: one packet a line
const fromServerV4: Row[] = [
  ['3.14 DISCONNECT', 0xe0, '', PROTOCOL_ERROR, /DISCONNECT packet from a server/],
  ['3.2.2.1 CONNACK with a reserved flag', 0x20, '02 00', MALFORMED, /reserved acknowledge flags/],
  ['3.2 CONNACK of three bytes', 0x20, '00 00 00', MALFORMED, /overlong remaining length/],
  ['[MQTT-3.9.3-2] SUBACK with a code that is none', 0x90, '0001 03', MALFORMED, /invalid return code \(3\)/],
  ['3.11 UNSUBACK with a code', 0xb0, '0001 00', MALFORMED, /overlong remaining length/],
];

function rows(
  version: ProtocolVersion,
  origin: PacketOrigin,
  table: Row[],
  silent = false,
): MalformedPacket[] {
  return table.map(([name, firstByte, body, reasonCode, message]) => ({
    name: `v${version} from a ${origin}: ${name}`,
    version,
    origin,
    bytes: packetBytes(firstByte, body),
    reasonCode,
    message,
    silent,
    connackCode: undefined,
  }));
}

function connectRow([name, body, answer, reasonCode, message]: ConnectRow): MalformedPacket {
  const [, version, code] = /^(?:v(\d) )?(.*)$/.exec(answer)!;
  return {
    name: `CONNECT: ${name}`,
    version: version === undefined ? undefined : (Number(version) as ProtocolVersion),
    origin: 'client',
    bytes: packetBytes(0x10, body),
    reasonCode,
    message,
    silent: true,
    connackCode: code === 'closed' ? undefined : Number(code),
  };
}

export const malformedConnects: readonly MalformedPacket[] = [
  ...connects.map(connectRow),
  {
    ...connectRow([
      '[MQTT-2.1.3-1] flags on CONNECT',
      '"MQTT" 05 02 003c 00 "p"',
      'closed',
      PROTOCOL_ERROR,
      /^First packet not CONNECT \(11\)/,
    ]),
    bytes: packetBytes(0x11, '"MQTT" 05 02 003c 00 "p"'),
  },
  {
    ...connectRow([
      '2.2.2 flags on a CONNECT of 3.1.1',
      '"MQTT" 04 02 003c "p"',
      'closed',
      PROTOCOL_ERROR,
      /^First packet not CONNECT \(1F\)/,
    ]),
    bytes: packetBytes(0x1f, '"MQTT" 04 02 003c "p"'),
  },
];

/** Packets after an accepted CONNECT. */
export const malformedPackets: readonly MalformedPacket[] = [
  ...rows(5, 'client', fromClientV5),
  ...rows(4, 'client', fromClientV4),
  ...rows(4, 'client', onlyFromClientV4),
  ...rows(3, 'client', fromClientV4),
  ...rows(5, 'client', silentFromClient, true),
  ...rows(4, 'client', silentFromClient, true),
  ...rows(3, 'client', silentFromClient, true),
  ...rows(5, 'server', fromServerV5),
  ...rows(4, 'server', fromServerV4),
];
