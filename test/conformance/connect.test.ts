/** CONNECT and CONNACK: who is let in, who is refused and how, and what the answer says. */
import assert from 'node:assert/strict';
import { encodePacket } from '../../src/mqtt/encode.js';
import { ReasonCode } from '../../src/mqtt/reason-codes.js';
import { type ConnectOptions, connectPacket } from '../support/clients/packet-socket.js';
import { bytes, packetBytes } from '../support/packets/packet-bytes.js';
import { runStatements, type Scene, statement } from './statement.js';

/** "MQTT" or "MQIsdp" and the level, as the body of a CONNECT begins. */
function protocolOf({ version }: Scene): string {
  return version === 3 ? '"MQIsdp" 03' : `"MQTT" 0${version}`;
}

/** An empty property block, where the version has one. */
function noProperties({ version }: Scene): string {
  return version === 5 ? '00' : '';
}

statement(
  { v3: '', v4: '3.1.0-1', v5: '3.1.0-1' },
  'a packet before CONNECT ends the connection',
  async (scene) => {
    for (const first of ['c000', '8206000100016100', 'e000']) {
      const client = await scene.open();
      client.send(first);
      await client.expectClosed();
    }
  },
);

statement(
  { v3: '', v4: '3.1.0-2', v5: '3.1.0-2' },
  'a second CONNECT ends the connection, well-formed or not, and not the session',
  async (scene) => {
    for (const second of [
      connectPacket(scene.version, { clientId: scene.id }),
      packetBytes(0x10, "00 03 'x'"),
    ]) {
      const client = await scene.connectLasting(scene.id);
      client.send(second);
      await client.expectClosed();
      const again = await scene.openWith(scene.lasting(scene.id));
      const { sessionPresent } = await again.expectPacket('connack');
      assert.equal(sessionPresent, scene.version !== 3);
      await again.disconnect();
    }
  },
);

statement(
  { v3: '', v4: '3.1.0-2', v5: '3.2.0-2' },
  'two CONNECTs in one segment get one CONNACK',
  async (scene) => {
    const connect = encodePacket(connectPacket(scene.version, { clientId: scene.id }), scene.version);
    const client = await scene.openWith(Buffer.concat([connect, connect]));
    await client.expectPacket('connack', { reasonCode: 0 });
    await client.expectClosed();
  },
);

statement({ v4: '3.1.2-1', v5: '3.1.2-1' }, 'another protocol name is not served', async (scene) => {
  const client = await scene.openWith(
    packetBytes(0x10, `"MQTX" 0${scene.version} 02 003c ${noProperties(scene)} "a"`),
  );
  await client.expectClosed();
});

statement(
  { v3: '', v4: '3.1.2-2 3.2.2-5 3.2.2-4', v5: '3.1.2-2 3.2.2-7 3.2.2-6' },
  'a version that the listener does not accept is refused',
  async (scene) => {
    const client = await scene.openWith({ clientId: scene.id });
    await client.expectPacket('connack', {
      sessionPresent: false,
      reasonCode: scene.isV5 ? ReasonCode.unsupportedProtocolVersion : 1,
    });
    await client.expectClosed();
  },
  { config: 'listener {port} 127.0.0.1\nallow_anonymous true\naccept_protocol_versions none' },
);

statement({ v3: '', v4: '3.1.2-2' }, 'an unknown level is refused with return code 1', async (scene) => {
  const client = await scene.openWith(packetBytes(0x10, '"MQIsdp" 04 02 003c "a"'));
  await client.expectPacket('connack', { sessionPresent: false, reasonCode: 1 });
  await client.expectClosed();
});

statement({ v4: '3.1.2-3', v5: '3.1.2-3' }, 'the reserved connect flag is looked at', async (scene) => {
  const client = await scene.openWith(
    packetBytes(0x10, `${protocolOf(scene)} 03 003c ${noProperties(scene)} "${scene.id}"`),
  );
  await client.expectClosed();
});

statement({ v3: '' }, 'the reserved connect flag of MQTT 3.1 is tolerated', async (scene) => {
  const client = await scene.openWith(packetBytes(0x10, `${protocolOf(scene)} 03 003c "${scene.id}"`));
  await client.expectPacket('connack', { reasonCode: 0 });
});

statement({ v3: '' }, 'stray bits of a will that is none are tolerated in MQTT 3.1', async (scene) => {
  const client = await scene.openWith(packetBytes(0x10, `${protocolOf(scene)} 2a 003c "${scene.id}"`));
  await client.expectPacket('connack', { reasonCode: 0 });
});

statement({ v3: '' }, 'a user name that is announced may be missing in MQTT 3.1', async (scene) => {
  const client = await scene.openWith(packetBytes(0x10, `${protocolOf(scene)} c2 003c "${scene.id}"`));
  await client.expectPacket('connack', { reasonCode: 0 });
});

/** Flags and the payload behind the client id; each is against a rule. */
const contradictions: readonly [v4: string, v5: string, what: string, flags: string, rest: string][] = [
  ['3.1.2-11 3.1.2-13', '3.1.2-11', 'will QoS without a will', '0a', ''],
  ['3.1.2-11 3.1.2-15', '3.1.2-13', 'will retain without a will', '22', ''],
  ['3.1.2-14', '3.1.2-12', 'will QoS 3', '1e', '{properties} "w" "x"'],
  ['3.1.2-9', '3.1.2-9', 'a will without its fields', '06', ''],
  ['3.1.2-11', '3.1.2-9', 'fields of a will without its flag', '02', '{properties} "w" "x"'],
  ['3.1.2-18', '3.1.2-16', 'a user name without its flag', '02', '"u"'],
  ['3.1.2-19', '3.1.2-17', 'a user name missing', '82', ''],
  ['3.1.2-20', '3.1.2-18', 'a password without its flag', '82', '"u" "p"'],
  ['3.1.2-21', '3.1.2-19', 'a password missing', 'c2', '"u"'],
  ['3.1.3-10', '3.1.3-11', 'a will topic that is no text', '06', '{properties} 0001ff "x"'],
  ['3.1.3-11', '3.1.3-12', 'a user name that is no text', '82', '0002c328'],
  ['4.7.1-1', '4.7.0-1', 'a wildcard in the will topic', '06', '{properties} "a/+" "x"'],
];

for (const [v4, v5, what, flags, rest] of contradictions) {
  statement({ v4: `${v4} 3.1.4-1`, v5: `${v5} 3.1.4-1` }, `${what} ends the connection`, async (scene) => {
    const tail = rest.replace('{properties}', noProperties(scene));
    const connect = `${protocolOf(scene)} ${flags} 003c ${noProperties(scene)} "${scene.id}" ${tail}`;
    const client = await scene.openWith(packetBytes(0x10, connect));
    // A CONNECT of 5.0 may be answered; one of 3.1.1 that breaks the rules is not.
    const answer = scene.isV5 ? await client.next().catch(() => undefined) : undefined;
    if (answer !== undefined) assert.ok(answer.type === 'connack' && answer.reasonCode >= 0x80);
    await client.expectClosed();
  });
}

statement({ v4: '3.1.2-22' }, 'a password without a user name ends the connection', async (scene) => {
  const client = await scene.openWith(packetBytes(0x10, `${protocolOf(scene)} 42 003c "${scene.id}" "p"`));
  await client.expectClosed();
});

statement({ v5: '3.1.2-16 3.1.2-19' }, 'a password without a user name is allowed', async (scene) => {
  await scene.connect({ password: Buffer.from('p') });
});

statement(
  { v3: '', v4: '3.1.3-1', v5: '3.1.3-1' },
  'the fields of the payload are read in their order',
  async (scene) => {
    const watcher = await scene.connect();
    await watcher.subscribe(`${scene.id}/#`);
    const fields = `"${scene.id}" ${noProperties(scene)} "${scene.id}/will" "message" "user" "secret"`;
    const connect = `${protocolOf(scene)} c6 0000 ${noProperties(scene)} ${fields}`;
    const client = await scene.openWith(packetBytes(0x10, connect));
    await client.expectPacket('connack', { reasonCode: 0 });
    client.destroy();
    await watcher.expectPublish(`${scene.id}/will`, 'message');
    await scene.broker.waitForLog(new RegExp(` as ${scene.id} \\(.*u'user'\\)`));
  },
);

statement(
  { v3: '', v4: '3.1.3-3', v5: '3.1.3-3' },
  'a CONNECT without a client id ends the connection',
  async (scene) => {
    const client = await scene.openWith(
      packetBytes(0x10, `${protocolOf(scene)} 02 003c ${noProperties(scene)}`),
    );
    if (scene.isV5) await client.expectPacket('connack', { reasonCode: ReasonCode.malformedPacket });
    await client.expectClosed();
  },
);

statement(
  { v3: '', v4: '3.1.3-4', v5: '3.1.3-4 3.1.3-8 3.2.2-7' },
  'a client id that is no text ends the connection',
  async (scene) => {
    const client = await scene.openWith(
      packetBytes(0x10, `${protocolOf(scene)} 02 003c ${noProperties(scene)} 0002c328`),
    );
    if (scene.isV5) await client.expectPacket('connack', { reasonCode: ReasonCode.clientIdentifierNotValid });
    await client.expectClosed();
  },
);

statement(
  { v3: '', v4: '3.1.3-5 3.1.4-4', v5: '3.1.3-5 3.1.4-5' },
  'client ids of 1 to 23 letters and digits are accepted',
  async (scene) => {
    const alphabet = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ';
    for (let at = 0; at < alphabet.length; at += 20) {
      await scene.connect({ clientId: `${scene.version}${alphabet.slice(at, at + 22)}` });
    }
    await scene.connect({ clientId: `${scene.version}` });
  },
);

statement(
  { v3: '', v4: '3.1.3-4', v5: '3.1.3-4' },
  'longer client ids and all of Unicode are accepted',
  async (scene) => {
    await scene.connect({ clientId: `${scene.id}-Ä\u{1F980}/+#-${'x'.repeat(60_000)}` });
  },
);

statement(
  { v4: '3.1.3-6 3.2.2-3', v5: '3.1.3-6 3.1.3-7 3.2.2-16' },
  'a client without an id gets one',
  async (scene) => {
    const [first, second] = await Promise.all([
      scene.connect({ clientId: '' }),
      scene.connect({ clientId: '' }),
    ]);
    // Not one and the same id: the first would be taken over.
    await first!.expectSilence();
    await second!.expectSilence();
    if (!scene.isV5) return;
    const ids = [first, second].map((client) => client!.connack!.properties.assignedClientIdentifier);
    for (const id of ids) assert.match(id ?? '', /^auto-[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}$/);
    assert.notEqual(ids[0], ids[1]);
  },
);

statement({ v5: '3.1.3-6 3.1.3-2' }, 'a client that was given its id comes back under it', async (scene) => {
  const options = scene.lasting('');
  const first = await scene.connect(options);
  const clientId = first.connack!.properties.assignedClientIdentifier!;
  await first.disconnect();
  const second = await scene.connect({ ...options, clientId });
  assert.equal(second.connack!.sessionPresent, true);
  assert.equal(second.connack!.properties.assignedClientIdentifier, undefined);
});

statement(
  { v3: '', v4: '3.1.3-8 3.1.3-9 3.2.2-4 3.2.2-5' },
  'no client id and no clean session is refused',
  async (scene) => {
    const client = await scene.openWith({ clientId: '', cleanStart: false });
    await client.expectPacket('connack', { sessionPresent: false, reasonCode: 2 });
    await client.expectClosed();
  },
);

statement({ v3: '' }, 'MQTT 3.1 has no empty client ids', async (scene) => {
  const client = await scene.openWith({ clientId: '' });
  await client.expectPacket('connack', { reasonCode: 2 });
  await client.expectClosed();
});

statement(
  { v3: '', v4: '3.1.4-5 3.2.0-1', v5: '3.1.4-6 3.14.0-1 3.2.0-1' },
  'what follows a refused CONNECT is not worked on',
  async (scene) => {
    const watcher = await scene.connect();
    await watcher.subscribe(`${scene.id}/#`);
    const client = await scene.openWith(
      Buffer.concat([
        encodePacket(connectPacket(scene.version, { clientId: '', cleanStart: false }), scene.version),
        bytes('3004 0001 61 00'),
      ]),
    );
    if (scene.isV5) return; // There such a CONNECT is accepted; the next test refuses one.
    await client.expectPacket('connack', { reasonCode: 2 });
    await client.expectClosed();
    await watcher.expectSilence();
  },
);

statement(
  { v5: '3.1.4-6 3.1.4-2 3.14.0-1 3.2.2-6 3.2.2-7 3.2.2-8 4.12.0-1 4.12.0-4 4.13.2-1' },
  'an unknown authentication method is refused with 0x8C, and what follows is ignored',
  async (scene) => {
    const watcher = await scene.connect();
    await watcher.subscribe(scene.id);
    const properties = { authenticationMethod: 'SCRAM-SHA-256', authenticationData: Buffer.from('x') };
    const client = await scene.openWith(
      Buffer.concat([
        encodePacket(connectPacket(5, { clientId: scene.id, properties }), 5),
        packetBytes(0x30, `"${scene.id}" 00 'x'`),
      ]),
    );
    await client.expectPacket('connack', {
      sessionPresent: false,
      reasonCode: ReasonCode.badAuthenticationMethod,
    });
    await client.expectClosed();
    await watcher.expectSilence();
  },
);

statement(
  { v3: '', v4: '3.1.4-2', v5: '3.1.4-3 3.14.4-2 4.13.2-1' },
  'an older connection of the same client id is ended',
  async (scene) => {
    const older = await scene.connect({ clientId: scene.id });
    const newer = await scene.connect({ clientId: scene.id });
    await scene.expectFault(older, ReasonCode.sessionTakenOver);
    await newer.expectSilence();
  },
);

statement(
  { v4: '3.2.0-1 3.1.4-4', v5: '3.2.0-1 3.2.2-1 3.1.4-5' },
  'CONNACK comes first and says what it should',
  async (scene) => {
    const setUp = await scene.connectLasting(scene.id);
    await setUp.subscribe(scene.id, 1);
    await setUp.disconnect();
    const publisher = await scene.connect();
    await publisher.publish(scene.id, 'kept');
    // The message that waits comes after the CONNACK, whose flags have but their lowest bit.
    const client = await scene.openWith(scene.lasting(scene.id));
    await client.expectPacket('connack', { sessionPresent: true, reasonCode: 0 });
    await client.expectPublish(scene.id, 'kept', { qos: 1 });
  },
);

statement({ v4: '3.1.4-3', v5: '3.1.4-4' }, 'CONNECT may come byte by byte', async (scene) => {
  const client = await scene.open();
  for (const byte of encodePacket(connectPacket(scene.version, { clientId: scene.id }), scene.version)) {
    client.send(Buffer.of(byte));
  }
  await client.expectPacket('connack', { sessionPresent: false, reasonCode: 0 });
});

statement(
  { v3: '', v4: '7.1.1-1 7.0.0-2', v5: '4.2-1' },
  'packets need not wait for CONNACK',
  async (scene) => {
    const connect = encodePacket(connectPacket(scene.version, { clientId: scene.id }), scene.version);
    const client = await scene.openWith(Buffer.concat([connect, Buffer.of(0xc0, 0, 0xc0, 0)]));
    await client.expectPacket('connack', { reasonCode: 0 });
    await client.expectPacket('pingresp');
    await client.expectPacket('pingresp');
  },
);

// ---- refusals that the configuration asks for

const willOptions: readonly [v5: string, code: number, will: ConnectOptions['will']][] = [
  [
    '3.2.2-12 3.2.2-6 3.1.4-2',
    ReasonCode.qosNotSupported,
    { topic: 'w', payload: Buffer.of(), qos: 2, retain: false, properties: {} },
  ],
  [
    '3.2.2-13 3.2.2-7',
    ReasonCode.retainNotSupported,
    { topic: 'w', payload: Buffer.of(), qos: 0, retain: true, properties: {} },
  ],
];

for (const [v5, reasonCode, will] of willOptions) {
  statement(
    { v3: '', v4: '3.2.2-6', v5 },
    `a will that the broker cannot keep its promise of is refused (0x${reasonCode.toString(16)})`,
    async (scene) => {
      const client = await scene.openWith({ clientId: scene.id, will: will! });
      // No return code of older versions fits.
      if (scene.isV5) await client.expectPacket('connack', { sessionPresent: false, reasonCode });
      await client.expectClosed();
    },
    { config: 'max_qos 1\nretain_available false' },
  );
}

statement(
  { v5: '3.2.2-9 3.2.2-10 3.8.4-7' },
  'maximum QoS is announced, and every SUBSCRIBE accepted',
  async (scene) => {
    const client = await scene.connect();
    assert.equal(client.connack!.properties.maximumQos, 1);
    assert.equal(client.connack!.properties.retainAvailable, 0);
    client.sendSubscribe(scene.id, 2);
    await client.expectPacket('suback', { reasonCodes: [1] });
  },
  { config: 'max_qos 1\nretain_available false' },
);

statement({ v5: '3.2.2-9' }, 'what is not limited is not announced', async (scene) => {
  const { maximumQos, retainAvailable, sessionExpiryInterval } = (await scene.connect()).connack!.properties;
  assert.deepEqual(
    { maximumQos, retainAvailable, sessionExpiryInterval },
    {
      maximumQos: undefined,
      retainAvailable: undefined,
      sessionExpiryInterval: undefined,
    },
  );
});

statement(
  { v5: '3.2.2-19 3.2.2-20 3.1.2-28' },
  'CONNACK has no reason string, user properties or response information',
  async (scene) => {
    for (const requestResponseInformation of [0, 1] as const) {
      const options = { properties: { requestResponseInformation, maximumPacketSize: 40 } };
      const { reasonString, userProperties, responseInformation } = (await scene.connect(options)).connack!
        .properties;
      assert.deepEqual(
        [reasonString, userProperties, responseInformation],
        [undefined, undefined, undefined],
      );
    }
  },
);

// ---- keep alive

statement(
  { v3: '', v4: '3.1.2-24', v5: '3.1.2-22 3.2.2-22' },
  'a silent client is disconnected after one and a half times its keep alive',
  async (scene) => {
    const talker = await scene.connect({ keepAlive: 10 }); // a busy machine may hold this test itself up for a second
    const silent = await scene.connect({ keepAlive: 1 });
    assert.equal(silent.connack!.properties.serverKeepAlive, undefined);
    const began = Date.now();
    const pings = setInterval(() => talker.send({ type: 'pingreq' }), 400);
    scene.t.after(() => clearInterval(pings));
    // Mosquitto does not say DISCONNECT 0x8D, and neither does the broker.
    await silent.expectClosed();
    assert.ok(Date.now() - began >= 1400, `closed after ${Date.now() - began} ms`);
    await talker.expectPacket('pingresp');
  },
);

statement({ v3: '', v4: '3.12.4-1', v5: '3.12.4-1' }, 'PINGREQ is answered with PINGRESP', async (scene) => {
  const client = await scene.connect();
  client.send({ type: 'pingreq' });
  await client.expectPacket('pingresp');
});

runStatements(import.meta.url);
