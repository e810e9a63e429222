/**
 * The texts of the log lines that Midge shares with Mosquitto 2.1, and that scripts, log watchers and fail2ban rules
 * read: one function a line, without timestamp and line end. The letter in a line's comment is its type: E error,
 * W warning, N notice, I information, D debug, S subscribe, U unsubscribe. The texts are an interface; only the
 * lines that print a program's name and version say Midge's. What is wrong with a packet, its decoder says
 * (`mqtt/packet-error.ts`).
 *
 * Addresses and client ids are printed as they are: what could break a line is made harmless where it is written
 * (`line-format.ts`).
 */
import type { ProtocolVersion, Qos } from '../mqtt/packets.js';

// ------------------------------------------------------------------------------------------- start and stop

/** I */
export const starting = (version: string) => `midge version ${version} starting`;

/** I */
export const running = (version: string) => `midge version ${version} running`;

/** I */
export const terminating = (version: string) => `midge version ${version} terminating`;

/** I */
export const configLoaded = (file: string) => `Config loaded from ${file}.`;

/** I */
export const usingDefaultConfig = () => 'Using default config.';

/** I; at SIGHUP. */
export const reloadingConfig = () => 'Reloading config.';

/** I */
export const runningAsUser = (user: string) => `Info: running midge as user: ${user}.`;

/** W; three lines. */
export const startingInLocalOnlyMode = () => [
  'Starting in local only mode. Connections will only be possible from clients running on this machine.',
  'Create a configuration file which defines a listener to allow remote access.',
  'For more details see https://mosquitto.org/documentation/authentication-methods/',
];

/** I */
export const openingListenSocket = (family: 'ipv4' | 'ipv6', port: number) =>
  `Opening ${family} listen socket on port ${port}.`;

/** I; once for all addresses of the listener. */
export const openingWebSocketsListenSocket = (port: number) =>
  `Opening websockets listen socket on port ${port}.`;

/** I; once for all addresses of the listener. */
export const openingHttpApiListenSocket = (port: number) => `Opening http api listen socket on port ${port}.`;

/** I */
export const openingUnixListenSocket = (path: string) => `Opening unix listen socket on path ${path}.`;

/** E; a listener that cannot be opened. @param text strerror's, as in `Address already in use` */
export const error = (text: string) => `Error: ${text}`;

/** E; a listener's host name that does not resolve. @param text gai_strerror's */
export const errorCreatingListener = (text: string) => `Error creating listener: ${text}.`;

/** E */
export const errorBindingUnixSocket = (text: string) => `Error binding unix socket: ${text}`;

/** E */
export const unableToOpenLogFile = (file: string) => `Error: Unable to open log file ${file} for writing.`;

// ---------------------------------------------------------------------------------------------- connections

/** N; `connection_messages`. */
export const newConnection = (address: string, port: number, localPort: number) =>
  `New connection from ${address}:${port} on port ${localPort}.`;

export interface ConnectedClient {
  address: string;
  port: number;
  clientId: string;
  version: ProtocolVersion;
  cleanStart: boolean;
  /** Seconds, as the client asked for. */
  keepAlive: number;
  username?: string | null | undefined;
  /** The client is another broker's bridge. */
  bridge?: boolean;
}

/** N; `connection_messages`. */
export function clientConnected(client: ConnectedClient): string {
  const { address, port, clientId, version, cleanStart, keepAlive, username } = client;
  const kind = client.bridge ? 'bridge' : 'client';
  const user = username == null ? '' : `, u'${username}'`;
  return `New ${kind} connected from ${address}:${port} as ${clientId} (p${version}, c${+cleanStart}, k${keepAlive}${user}).`;
}

/** N; `connection_messages`. @param protocol as OpenSSL names it, `TLSv1.3` */
export const negotiatedTls = (clientId: string, protocol: string, cipher: string) =>
  `Client ${clientId} negotiated ${protocol} cipher ${cipher}`;

/** D; two lines. */
export const willSpecified = (will: { payloadBytes: number; retain: boolean; qos: Qos; topic: string }) => [
  `Will message specified (${will.payloadBytes} bytes) (r${+will.retain}, q${will.qos}).`,
  `\t${will.topic}`,
];

/** D */
export const noWillSpecified = () => 'No will message specified.';

/** D. @param client its id, or the address if the id is not known */
export const sendingConnack = (client: string, sessionPresent: boolean, code: number) =>
  `Sending CONNACK to ${client} (${+sessionPresent}, ${code})`;

/** Why a connection ended, as `clientDisconnected` prints it. */
export const DisconnectReason = {
  /** End of file without DISCONNECT. */
  closedByClient: 'connection closed by client',
  timeout: 'exceeded timeout',
  protocolError: 'protocol error',
  malformedPacket: 'malformed packet',
  notAuthorised: 'not authorised',
  oversizePacket: 'oversize packet',
  oversizePayload: 'oversize payload',
  takenOver: 'session taken over',
  topicAliasInvalid: 'topic alias invalid',
  administrativeAction: 'administrative action',
  outOfMemory: 'out of memory',
  receiveMaximumExceeded: 'receive maximum exceeded',
  /** Only for what CONNECT asks: the will's QoS and retain, the authentication method. */
  disallowedFeature: 'used disallowed feature (QoS too high, retain not supported, or bad AUTH method)',
  quotaExceeded: 'quota exceeded',
  implementationSpecific: 'implementation specific error',
  clientIdNotValid: 'client identifier not valid',
  badUsernameOrPassword: 'bad username or password',
  serverUnavailable: 'server unavailable',
  serverBusy: 'server busy',
  clientBanned: 'client banned',
  badAuthenticationMethod: 'bad authentication method',
  connectionRateExceeded: 'connection rate exceeded',
  /** [mosq: websockets_origin] */
  originNotMatching: 'non-matching http origin',
  /** The next two are Midge's own. */
  topicNameInvalid: 'topic name invalid',
  payloadFormatInvalid: 'payload format invalid',
  retainNotSupported: 'bad socket read/write: Retain not supported',
  qosNotSupported: 'bad socket read/write: Requested QoS not supported on server',
} as const;

/** A socket's fault as a disconnect reason. @param text strerror's, as in `Connection reset by peer` */
export const badSocket = (text: string) => `${BAD_SOCKET}${text}`;

const BAD_SOCKET = 'bad socket read/write: ';

const reasonOfCode: ReadonlyMap<number, string> = new Map([
  [0x81, DisconnectReason.malformedPacket],
  [0x82, DisconnectReason.protocolError],
  [0x83, DisconnectReason.implementationSpecific],
  [0x85, DisconnectReason.clientIdNotValid],
  [0x86, DisconnectReason.badUsernameOrPassword],
  [0x87, DisconnectReason.notAuthorised],
  [0x88, DisconnectReason.serverUnavailable],
  [0x89, DisconnectReason.serverBusy],
  [0x8a, DisconnectReason.clientBanned],
  [0x8c, DisconnectReason.badAuthenticationMethod],
  [0x8d, DisconnectReason.timeout],
  [0x8e, DisconnectReason.takenOver],
  [0x90, DisconnectReason.topicNameInvalid],
  [0x93, DisconnectReason.receiveMaximumExceeded],
  [0x94, DisconnectReason.topicAliasInvalid],
  [0x95, DisconnectReason.oversizePacket],
  [0x97, DisconnectReason.quotaExceeded],
  [0x98, DisconnectReason.administrativeAction],
  [0x99, DisconnectReason.payloadFormatInvalid],
  [0x9a, DisconnectReason.retainNotSupported],
  [0x9b, DisconnectReason.qosNotSupported],
  [0x9f, DisconnectReason.connectionRateExceeded],
]);

/** The reason to print for an MQTT 5.0 reason code with which the broker ends a connection. */
export const disconnectReason = (reasonCode: number): string =>
  reasonOfCode.get(reasonCode) ?? DisconnectReason.protocolError;

export interface DisconnectedClient {
  /** `null` before CONNECT named it: then the address stands in its place. */
  clientId: string | null;
  address: string;
  port: number;
  /** None if the client sent DISCONNECT. */
  reason?: string | null | undefined;
}

/** N; `connection_messages`. */
export function clientDisconnected({ clientId, address, port, reason }: DisconnectedClient): string {
  const line = `Client ${clientId ?? address} [${address}:${port}] disconnected`;
  if (reason == null) return `${line}.`;
  // Mosquitto ends the line without a full stop here.
  return reason.startsWith(BAD_SOCKET) ? `${line}: ${reason}` : `${line}: ${reason}.`;
}

/** N */
export const maxConnectionsExceeded = (address: string) =>
  `Client connection from ${address} denied: max_connections exceeded.`;

/** W; `accept()` is out of descriptors. */
export const systemSocketCountExceeded = () =>
  'Unable to accept new connection, system socket count has been exceeded. Try increasing "ulimit -n" or equivalent.';

/** N; before the header has told who the client is. */
export const corruptProxyHeader = () => 'Connection rejected, corrupt PROXY header.';

/** N */
export const corruptProxyHeaderOf = (address: string, port: number) =>
  `Connection from ${address}:${port} rejected, corrupt PROXY header.`;

/** N; `proxy_protocol_v2_require_tls`. */
export const proxyClientWithoutTls = (address: string, port: number) =>
  `Connection from ${address}:${port} rejected, client did not connect using TLS.`;

/** N; `require_certificate` behind a proxy. */
export const proxyClientWithoutCertificate = (address: string, port: number) =>
  `Connection from ${address}:${port} rejected, client did not provide a certificate.`;

/** N; between the client and the proxy. @param protocol as OpenSSL names it, `TLSv1.3` */
export const negotiatedTlsWithProxy = (address: string, port: number, protocol: string, cipher: string) =>
  `Connection from ${address}:${port} negotiated ${protocol} cipher ${cipher}`;

/** N; a session ends by its expiry. */
export const expiringClient = (clientId: string) => `Expiring client ${clientId} due to timeout.`;

/** N; a TLS hello on a listener without TLS. */
export const tlsOnPlainListener = (address: string, port: number) =>
  `Client from ${address}:${port} appears to be using TLS to connect to a non-TLS listener.`;

// -------------------------------------------------------------------------------------------------- packets

export interface LoggedPublish {
  clientId: string;
  dup: boolean;
  qos: Qos;
  retain: boolean;
  /** 0 with QoS 0. */
  packetId: number;
  topic: string;
  /** Bytes of the payload. */
  payloadLength: number;
}

const publishFields = ({ clientId, dup, qos, retain, packetId, topic, payloadLength }: LoggedPublish) =>
  `${clientId} (d${+dup}, q${qos}, r${+retain}, m${packetId}, '${topic}', ... (${payloadLength} bytes))`;

/** D */
export const receivedPublish = (publish: LoggedPublish) => `Received PUBLISH from ${publishFields(publish)}`;

/** D */
export const sendingPublish = (publish: LoggedPublish) => `Sending PUBLISH to ${publishFields(publish)}`;

/** D */
export const deniedPublish = (publish: LoggedPublish) => `Denied PUBLISH from ${publishFields(publish)}`;

/** N; Midge's own, beside `deniedPublish`. @param why the rule that decided, with its file and line */
export const deniedBecause = (clientId: string, topic: string, why: string) =>
  `Client ${clientId} may not publish '${topic}': ${why}.`;

/** N; Midge's own. */
export const furtherDenials = (count: number) => `${count} further messages were denied.`;

/** N; Midge's own, before `clientDisconnected`. @param why a clause */
export const loginRefused = (clientId: string, address: string, why: string) =>
  `Client ${clientId} from ${address} is refused: ${why}.`;

/** D; beyond `message_size_limit`. */
export const droppedTooLargePublish = (publish: LoggedPublish) =>
  `Dropped too large PUBLISH from ${publishFields(publish)}`;

/** D; Midge's own: MQTT 5.0 is told why it is refused. @param why a clause that follows "whose" */
export const refusedPublish = (publish: LoggedPublish, why: string) =>
  `Refused PUBLISH from ${publishFields(publish)}, whose ${why}`;

/** N; beyond the client's maximum packet size. */
export const droppingTooLargeOutgoingPublish = (clientId: string, bytes: number) =>
  `Dropping too large outgoing PUBLISH for ${clientId} (${bytes} bytes)`;

/** N; once a connection. */
export const outgoingMessagesDropped = (clientId: string) =>
  `Outgoing messages are being dropped for client ${clientId}.`;

/** Ours. @param isLast further topics are not named */
export const undeliverable = (topic: string, isLast: boolean) =>
  `Warning: Stored messages of the topic '${topic.slice(0, 200)}' are not delivered: the topic or a property has a control character or non-character, over which clients end the connection.${isLast ? ' Further topics are not named.' : ''}`;

/** Ours: how many messages a client did not get, by reason. */
export const messagesDropped = (clientId: string, during: string, drops: ReadonlyMap<string, number>) => {
  const total = [...drops.values()].reduce((sum, count) => sum + count, 0);
  const reasons = [...drops].map(([reason, count]) => `${reason} ${count}`).join(', ');
  return `Messages dropped for client ${clientId} ${during}: ${total} (${reasons}).`;
};

/** D */
export const receivedPuback = (clientId: string, packetId: number, reasonCode: number) =>
  `Received PUBACK from ${clientId} (Mid: ${packetId}, RC:${reasonCode})`;

/** D */
export const receivedPubrec = (clientId: string, packetId: number) =>
  `Received PUBREC from ${clientId} (Mid: ${packetId})`;

/** D */
export const receivedPubrel = (clientId: string, packetId: number) =>
  `Received PUBREL from ${clientId} (Mid: ${packetId})`;

/** D */
export const receivedPubcomp = (clientId: string, packetId: number, reasonCode: number) =>
  `Received PUBCOMP from ${clientId} (Mid: ${packetId}, RC:${reasonCode})`;

/** D. The reason code of PUBCOMP is not printed. */
export const sendingAck = (
  type: 'puback' | 'pubrec' | 'pubcomp',
  clientId: string,
  packetId: number,
  reasonCode: number,
) =>
  type === 'pubcomp'
    ? `Sending PUBCOMP to ${clientId} (m${packetId})`
    : `Sending ${type.toUpperCase()} to ${clientId} (m${packetId}, rc${reasonCode})`;

/** D */
export const sendingPubrel = (clientId: string, packetId: number) =>
  `Sending PUBREL to ${clientId} (m${packetId})`;

/** D */
export const receivedSubscribe = (clientId: string) => `Received SUBSCRIBE from ${clientId}`;

/** D; one a filter of SUBSCRIBE. @param qos the granted one, `null` if the subscription is denied */
export const subscribeFilter = (topicFilter: string, qos: Qos | null) =>
  qos === null ? `\t${topicFilter} (denied)` : `\t${topicFilter} (QoS ${qos})`;

/** I; a command of dynamic security was successful. @param command with its arguments */
export const dynamicSecurityCommand = (
  { clientId, username }: { clientId: string; username: string | undefined },
  command: string,
) => `dynsec: ${clientId}/${username ?? '(null)'} | ${command}`;

/** S; the access rules refuse the subscription. */
export const subscriptionDenied = (clientId: string, topicFilter: string) =>
  `${clientId} ${topicFilter} (denied)`;

/** S; one an accepted filter. */
export const subscribed = (clientId: string, qos: Qos, topicFilter: string) =>
  `${clientId} ${qos} ${topicFilter}`;

/** E; our own. @param unwritten how many such lines were left out before it */
export const inputFault = (from: string, what: string, stack: string, unwritten: number) =>
  `Error: Midge failed over ${what} of ${from}, and goes on without it: ${stack}${unwritten === 0 ? '' : ` (${unwritten} more of these were not written)`}`;

/** I; our own. */
export const unnamedShareGroup = (clientId: string, filter: string) =>
  `A filter of ${clientId} is refused: ${filter} names no group between $share/ and the next /.`;

/** I; our own. */
export const subscriptionTooLong = (clientId: string) =>
  `A filter of ${clientId} is refused: with mount_point before it, it is too long or has too many levels.`;

/** N; once for each SUBSCRIBE */
export const tooManySubscriptions = (clientId: string) =>
  `A filter of ${clientId} is refused: the client has as many subscriptions as max_subscriptions allows.`;

/** W */
export const clientSlowed = (client: {
  clientId: string;
  occupiedBytes: number;
  limit: number;
  waiting: number;
  unreleased: number;
  subscriptions: number;
}) =>
  `Warning: Client ${client.clientId} occupies ${client.occupiedBytes} bytes (${client.waiting} messages wait for it, ${client.unreleased} for its PUBREL, ${client.subscriptions} subscriptions), and memory is short (memory_limit ${client.limit}): nothing more is queued for it, and what it sends is slowed, then refused.`;

/** W */
export const disconnectedForMemory = (name: string, bytes: number, limit: number) =>
  `Warning: Client ${name} is disconnected: memory_limit (${limit}) is reached, and ${bytes} bytes of packets wait that it has not sent whole or does not read.`;

/** W */
export const retainedRefused = (clientId: string, bytes: number, limit: number) =>
  `Warning: Retained messages occupy ${bytes} bytes, and memory is short (memory_limit ${limit}): those of new topics are refused, such as one from client ${clientId}.`;

/** N */
export const subscriptionOverMemory = (clientId: string) =>
  `A filter of ${clientId} is refused: memory_limit is reached.`;

/** D */
export const sendingSuback = (clientId: string) => `Sending SUBACK to ${clientId}`;

/** D */
export const receivedUnsubscribe = (clientId: string) => `Received UNSUBSCRIBE from ${clientId}`;

/** D; one a filter of UNSUBSCRIBE. */
export const unsubscribeFilter = (topicFilter: string) => `\t${topicFilter}`;

/** U; one a filter. */
export const unsubscribed = (clientId: string, topicFilter: string) => `${clientId} ${topicFilter}`;

/** D */
export const sendingUnsuback = (clientId: string) => `Sending UNSUBACK to ${clientId}`;

/** D */
export const receivedPingreq = (clientId: string) => `Received PINGREQ from ${clientId}`;

/** D */
export const sendingPingresp = (clientId: string) => `Sending PINGRESP to ${clientId}`;

/** D */
export const receivedDisconnect = (clientId: string) => `Received DISCONNECT from ${clientId}`;

/** D */
export const sendingDisconnect = (clientId: string, reasonCode: number) =>
  `Sending DISCONNECT to ${clientId} (rc${reasonCode})`;

// ------------------------------------------------------------------------------------------ protocol faults

/** I. @param client its id, or `ADDR:PORT` before CONNECT named it @param text with its full stop */
export const protocolError = (client: string, text: string) => `Protocol error from ${client}: ${text}`;

/**
 * What `protocolError` says of a packet that is well formed, but not in its place. What is wrong with a packet by
 * itself is said by the decoder (`mqtt/packet-error.ts`).
 */
export const protocolFault = {
  firstPacketNotConnect: (firstByte: number) =>
    `First packet not CONNECT (${firstByte.toString(16).toUpperCase().padStart(2, '0')}).`,
  emptyClientIdForbidden: () => 'CONNECT with zero length clientid when forbidden.',
  wrongAck: (type: string, packetId: number) =>
    `${type.toUpperCase()} for message ID ${packetId}, which waits for another acknowledgement.`,
  connackTooLarge: (bytes: number, packetSizeMax: number) =>
    `CONNECT with maximum-packet-size ${packetSizeMax}, less than the ${bytes} bytes of its CONNACK.`,
  /** @param packet that is not answered */
  answerTooLarge: (packet: 'SUBSCRIBE' | 'UNSUBSCRIBE') =>
    `${packet} packet whose answer is larger than the client's maximum-packet-size.`,
  invalidTopicAlias: (alias: number) => `PUBLISH invalid topic alias (${alias}).`,
  /** @param disconnect seconds, as DISCONNECT has them @param connect seconds, as CONNECT had them */
  sessionExpiryMismatch: (disconnect: number, connect: number) =>
    `DISCONNECT packet with mismatched session-expiry-interval (${disconnect}:${connect}).`,
} as const;

/** N */
export const multipleConnects = (address: string, port: number) =>
  `Bad client ${address}:${port} sending multiple CONNECT messages.`;

/** I; beyond `max_qos`. */
export const tooHighQos = (clientId: string) => `Too high QoS in PUBLISH from ${clientId}, disconnecting.`;

/** W; the same packet id with another message before PUBREL. */
export const reusedMessageId = (packetId: number, clientId: string) =>
  `Reused message ID ${packetId} from ${clientId} detected. Clearing from storage.`;

/** W */
export const receiveMaximumExceeded = (clientId: string) =>
  `Client ${clientId} has exceeded its receive-maximum quota. This behaviour must be fixed on the client.`;

// ---------------------------------------------------------------------------------------------- persistence

/** I */
export const savingDatabase = (file: string) => `Saving in-memory database to ${file}.`;

/** E. @param text strerror's */
export const errorSavingDatabase = (text: string) => `Error saving in-memory database, ${text}`;

/** W */
export const emptyDatabase = () => 'Warning: Persistence file is empty.';

/** N; Midge's own. */
export const clockWasSet = (ms: number) =>
  `The machine's clock was set ${ms > 0 ? 'forward' : 'back'} by ${Math.round(Math.abs(ms) / 1000)} s. What expires goes by the time before that until the broker starts again.`;
