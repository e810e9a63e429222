/** The lines as Mosquitto 2.1 prints them: an interface to scripts, so they are spelled out here once more. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as lines from '../../../src/log/mosquitto-lines.js';

type Table = [actual: string | string[], expected: string | string[]][];

function checkAll(table: Table): void {
  for (const [actual, expected] of table) assert.deepEqual(actual, expected);
}

const client = {
  address: '192.168.1.5',
  port: 50514,
  clientId: 'sensor-1',
  version: 4,
  cleanStart: true,
  keepAlive: 60,
} as const;

const publish = {
  clientId: 'sensor-1',
  dup: false,
  qos: 1,
  retain: true,
  packetId: 7,
  topic: 'a/b c',
  payloadLength: 12,
} as const;

const disconnected = { clientId: 'sensor-1', address: '192.168.1.5', port: 50514 };

test('start and stop', () => {
  checkAll([
    [lines.starting('1.2.3'), 'midge version 1.2.3 starting'],
    [lines.running('1.2.3'), 'midge version 1.2.3 running'],
    [lines.terminating('1.2.3'), 'midge version 1.2.3 terminating'],
    [
      lines.configLoaded('/etc/mosquitto/mosquitto.conf'),
      'Config loaded from /etc/mosquitto/mosquitto.conf.',
    ],
    [lines.usingDefaultConfig(), 'Using default config.'],
    [lines.reloadingConfig(), 'Reloading config.'],
    [lines.runningAsUser('mosquitto'), 'Info: running midge as user: mosquitto.'],
    [
      lines.startingInLocalOnlyMode(),
      [
        'Starting in local only mode. Connections will only be possible from clients running on this machine.',
        'Create a configuration file which defines a listener to allow remote access.',
        'For more details see https://mosquitto.org/documentation/authentication-methods/',
      ],
    ],
    [lines.openingListenSocket('ipv4', 1883), 'Opening ipv4 listen socket on port 1883.'],
    [lines.openingListenSocket('ipv6', 1883), 'Opening ipv6 listen socket on port 1883.'],
    [lines.openingUnixListenSocket('/run/m.sock'), 'Opening unix listen socket on path /run/m.sock.'],
    [lines.error('Address already in use'), 'Error: Address already in use'],
    [
      lines.errorCreatingListener('Name or service not known'),
      'Error creating listener: Name or service not known.',
    ],
    [
      lines.errorBindingUnixSocket('No such file or directory'),
      'Error binding unix socket: No such file or directory',
    ],
    [
      lines.unableToOpenLogFile('/var/log/m.log'),
      'Error: Unable to open log file /var/log/m.log for writing.',
    ],
  ]);
});

describe('connections', () => {
  test('connecting', () => {
    const connected = 'New client connected from 192.168.1.5:50514 as sensor-1';
    checkAll([
      [
        lines.newConnection('192.168.1.5', 50514, 1883),
        'New connection from 192.168.1.5:50514 on port 1883.',
      ],
      [lines.clientConnected(client), `${connected} (p4, c1, k60).`],
      [lines.clientConnected({ ...client, username: 'ann' }), `${connected} (p4, c1, k60, u'ann').`],
      [lines.clientConnected({ ...client, username: '' }), `${connected} (p4, c1, k60, u'').`],
      [
        lines.clientConnected({ ...client, version: 5, cleanStart: false, keepAlive: 0 }),
        `${connected} (p5, c0, k0).`,
      ],
      [
        lines.clientConnected({ ...client, version: 3, bridge: true }),
        'New bridge connected from 192.168.1.5:50514 as sensor-1 (p3, c1, k60).',
      ],
      [
        lines.negotiatedTls('sensor-1', 'TLSv1.3', 'TLS_AES_256_GCM_SHA384'),
        'Client sensor-1 negotiated TLSv1.3 cipher TLS_AES_256_GCM_SHA384',
      ],
      [
        lines.willSpecified({ payloadBytes: 4, retain: true, qos: 2, topic: 'will/t' }),
        ['Will message specified (4 bytes) (r1, q2).', '\twill/t'],
      ],
      [lines.noWillSpecified(), 'No will message specified.'],
      [lines.sendingConnack('sensor-1', false, 0), 'Sending CONNACK to sensor-1 (0, 0)'],
      [lines.sendingConnack('192.168.1.5', true, 135), 'Sending CONNACK to 192.168.1.5 (1, 135)'],
    ]);
  });

  test('disconnecting', () => {
    const start = 'Client sensor-1 [192.168.1.5:50514] disconnected';
    checkAll([
      [lines.clientDisconnected(disconnected), `${start}.`],
      [
        lines.clientDisconnected({ ...disconnected, reason: lines.DisconnectReason.closedByClient }),
        `${start}: connection closed by client.`,
      ],
      [
        lines.clientDisconnected({ ...disconnected, reason: lines.DisconnectReason.timeout }),
        `${start}: exceeded timeout.`,
      ],
      [
        lines.clientDisconnected({ ...disconnected, clientId: null, reason: 'not authorised' }),
        'Client 192.168.1.5 [192.168.1.5:50514] disconnected: not authorised.',
      ],
    ]);
  });

  test('a reason that names a system fault has no full stop', () => {
    const start = 'Client sensor-1 [192.168.1.5:50514] disconnected: bad socket read/write: ';
    checkAll([
      [
        lines.clientDisconnected({ ...disconnected, reason: lines.badSocket('Connection reset by peer') }),
        `${start}Connection reset by peer`,
      ],
      [
        lines.clientDisconnected({ ...disconnected, reason: lines.disconnectReason(0x9a) }),
        `${start}Retain not supported`,
      ],
      [
        lines.clientDisconnected({ ...disconnected, reason: lines.disconnectReason(0x9b) }),
        `${start}Requested QoS not supported on server`,
      ],
    ]);
  });

  test('reason codes have the texts of Mosquitto', () => {
    const texts: [reasonCode: number, text: string][] = [
      [0x81, 'malformed packet'],
      [0x82, 'protocol error'],
      [0x83, 'implementation specific error'],
      [0x85, 'client identifier not valid'],
      [0x86, 'bad username or password'],
      [0x87, 'not authorised'],
      [0x88, 'server unavailable'],
      [0x89, 'server busy'],
      [0x8a, 'client banned'],
      [0x8c, 'bad authentication method'],
      [0x8d, 'exceeded timeout'],
      [0x8e, 'session taken over'],
      [0x93, 'receive maximum exceeded'],
      [0x94, 'topic alias invalid'],
      [0x95, 'oversize packet'],
      [0x97, 'quota exceeded'],
      [0x98, 'administrative action'],
      [0x9f, 'connection rate exceeded'],
      [0xff, 'protocol error'],
    ];
    for (const [reasonCode, text] of texts) assert.equal(lines.disconnectReason(reasonCode), text);
  });

  test('refusals and faults', () => {
    checkAll([
      [
        lines.maxConnectionsExceeded('192.168.1.5'),
        'Client connection from 192.168.1.5 denied: max_connections exceeded.',
      ],
      [
        lines.systemSocketCountExceeded(),
        'Unable to accept new connection, system socket count has been exceeded. Try increasing "ulimit -n" or equivalent.',
      ],
      [lines.expiringClient('sensor-1'), 'Expiring client sensor-1 due to timeout.'],
      [
        lines.tlsOnPlainListener('192.168.1.5', 50514),
        'Client from 192.168.1.5:50514 appears to be using TLS to connect to a non-TLS listener.',
      ],
      [
        lines.multipleConnects('192.168.1.5', 50514),
        'Bad client 192.168.1.5:50514 sending multiple CONNECT messages.',
      ],
    ]);
  });

  test('clients behind a proxy', () => {
    checkAll([
      [lines.corruptProxyHeader(), 'Connection rejected, corrupt PROXY header.'],
      [
        lines.corruptProxyHeaderOf('192.168.1.5', 50514),
        'Connection from 192.168.1.5:50514 rejected, corrupt PROXY header.',
      ],
      [
        lines.proxyClientWithoutTls('192.168.1.5', 50514),
        'Connection from 192.168.1.5:50514 rejected, client did not connect using TLS.',
      ],
      [
        lines.proxyClientWithoutCertificate('192.168.1.5', 50514),
        'Connection from 192.168.1.5:50514 rejected, client did not provide a certificate.',
      ],
      [
        lines.negotiatedTlsWithProxy('192.168.1.5', 50514, 'TLSv1.3', 'TLS_AES_256_GCM_SHA384'),
        'Connection from 192.168.1.5:50514 negotiated TLSv1.3 cipher TLS_AES_256_GCM_SHA384',
      ],
    ]);
  });
});

test('packets', () => {
  const fields = "sensor-1 (d0, q1, r1, m7, 'a/b c', ... (12 bytes))";
  checkAll([
    [lines.receivedPublish(publish), `Received PUBLISH from ${fields}`],
    [lines.sendingPublish(publish), `Sending PUBLISH to ${fields}`],
    [lines.deniedPublish(publish), `Denied PUBLISH from ${fields}`],
    [lines.droppedTooLargePublish(publish), `Dropped too large PUBLISH from ${fields}`],
    [
      lines.receivedPublish({ ...publish, dup: true, qos: 0, retain: false, packetId: 0 }),
      "Received PUBLISH from sensor-1 (d1, q0, r0, m0, 'a/b c', ... (12 bytes))",
    ],
    [
      lines.droppingTooLargeOutgoingPublish('sensor-1', 300),
      'Dropping too large outgoing PUBLISH for sensor-1 (300 bytes)',
    ],
    [lines.outgoingMessagesDropped('sensor-1'), 'Outgoing messages are being dropped for client sensor-1.'],
    [lines.sendingAck('puback', 'c', 1, 0), 'Sending PUBACK to c (m1, rc0)'],
    [lines.sendingAck('pubrec', 'c', 1, 135), 'Sending PUBREC to c (m1, rc135)'],
    [lines.sendingAck('pubcomp', 'c', 1, 0), 'Sending PUBCOMP to c (m1)'],
    [lines.sendingPubrel('c', 1), 'Sending PUBREL to c (m1)'],
    [lines.receivedPuback('c', 1, 16), 'Received PUBACK from c (Mid: 1, RC:16)'],
    [lines.receivedPubrec('c', 1), 'Received PUBREC from c (Mid: 1)'],
    [lines.receivedPubrel('c', 1), 'Received PUBREL from c (Mid: 1)'],
    [lines.receivedPubcomp('c', 1, 0), 'Received PUBCOMP from c (Mid: 1, RC:0)'],
    [lines.receivedSubscribe('c'), 'Received SUBSCRIBE from c'],
    [lines.subscribeFilter('a/#', 2), '\ta/# (QoS 2)'],
    [lines.subscribeFilter('a/#', null), '\ta/# (denied)'],
    [lines.subscribed('c', 2, 'a/#'), 'c 2 a/#'],
    [lines.sendingSuback('c'), 'Sending SUBACK to c'],
    [lines.receivedUnsubscribe('c'), 'Received UNSUBSCRIBE from c'],
    [lines.unsubscribeFilter('a/#'), '\ta/#'],
    [lines.unsubscribed('c', 'a/#'), 'c a/#'],
    [lines.sendingUnsuback('c'), 'Sending UNSUBACK to c'],
    [lines.receivedPingreq('c'), 'Received PINGREQ from c'],
    [lines.sendingPingresp('c'), 'Sending PINGRESP to c'],
    [lines.receivedDisconnect('c'), 'Received DISCONNECT from c'],
    [lines.sendingDisconnect('c', 142), 'Sending DISCONNECT to c (rc142)'],
  ]);
});

test('protocol faults', () => {
  const { protocolFault } = lines;
  checkAll([
    [lines.protocolError('c', 'RESERVED packet.'), 'Protocol error from c: RESERVED packet.'],
    [protocolFault.firstPacketNotConnect(0xc0), 'First packet not CONNECT (C0).'],
    [protocolFault.emptyClientIdForbidden(), 'CONNECT with zero length clientid when forbidden.'],
    [
      protocolFault.wrongAck('pubrec', 3),
      'PUBREC for message ID 3, which waits for another acknowledgement.',
    ],
    [
      protocolFault.connackTooLarge(11, 2),
      'CONNECT with maximum-packet-size 2, less than the 11 bytes of its CONNACK.',
    ],
    [
      protocolFault.answerTooLarge('SUBSCRIBE'),
      "SUBSCRIBE packet whose answer is larger than the client's maximum-packet-size.",
    ],
    [protocolFault.invalidTopicAlias(11), 'PUBLISH invalid topic alias (11).'],
    [
      protocolFault.sessionExpiryMismatch(60, 0),
      'DISCONNECT packet with mismatched session-expiry-interval (60:0).',
    ],
    [
      lines.unnamedShareGroup('c', '$share//a'),
      'A filter of c is refused: $share//a names no group between $share/ and the next /.',
    ],
    [lines.tooHighQos('c'), 'Too high QoS in PUBLISH from c, disconnecting.'],
    [lines.reusedMessageId(3, 'c'), 'Reused message ID 3 from c detected. Clearing from storage.'],
    [
      lines.receiveMaximumExceeded('c'),
      'Client c has exceeded its receive-maximum quota. This behaviour must be fixed on the client.',
    ],
  ]);
});

test('persistence', () => {
  checkAll([
    [
      lines.savingDatabase('/var/lib/mosquitto/mosquitto.db'),
      'Saving in-memory database to /var/lib/mosquitto/mosquitto.db.',
    ],
    [
      lines.errorSavingDatabase('No space left on device'),
      'Error saving in-memory database, No space left on device',
    ],
    [lines.emptyDatabase(), 'Warning: Persistence file is empty.'],
  ]);
});
