/** The state machine of a bridge in virtual time: the test plays the other broker, the way there, and the clock. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Bridge } from '../../../src/bridge/bridge.js';
import type { Channel, ChannelEvents, Uplink } from '../../../src/bridge/uplink.js';
import { type BridgeSettings, defaultsOf, type Settings } from '../../../src/config/settings.js';
import { decodePacket } from '../../../src/mqtt/decode.js';
import { encodePacket } from '../../../src/mqtt/encode.js';
import { Framer } from '../../../src/mqtt/framer.js';
import { isPacketError } from '../../../src/mqtt/packet-error.js';
import type { ConnectPacket, Packet, ProtocolVersion } from '../../../src/mqtt/packets.js';
import { BrokerFixture } from '../../support/brokers/broker-fixture.js';
import { packetBytes } from '../../support/packets/packet-bytes.js';
import { publishPacket } from '../../support/packets/publication.js';

const stateTopic = '$SYS/broker/connection/gateway/state';

const PINGRESP = 0xd0;

/** The other broker's end of a connection. */
class FarEnd implements Channel {
  isOpen = true;
  isPaused = true;
  version: ProtocolVersion = 4;
  /** Of the last PUBLISH that has arrived. */
  lastPacketId = 0;
  readonly #arrived: Packet[] = [];
  #events: ChannelEvents | null = null;
  readonly #framer = new Framer((buffer, start, bodyStart, end) => {
    const sender = buffer[start] === PINGRESP ? 'server' : 'client'; // a bridge may be asked, too
    const packet = decodePacket(buffer, start, bodyStart, end, this.version, sender);
    assert.ok(!isPacketError(packet), 'the bridge sends proper packets');
    if (packet.type === 'connect') this.version = packet.version;
    if (packet.type === 'publish') this.lastPacketId = packet.packetId;
    this.#arrived.push(packet);
    return true;
  });

  serve(events: ChannelEvents): void {
    this.#events = events;
  }

  write(chunk: Buffer, length: number): boolean {
    this.#framer.push(chunk, length);
    return true;
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
  }

  end(): void {
    this.isOpen = false;
  }

  destroy(): void {
    this.isOpen = false;
  }

  send(packet: Packet): void {
    const bytes = encodePacket(packet, this.version);
    this.#events!.received(bytes, bytes.length);
  }

  sendBytes(bytes: Buffer): void {
    this.#events!.received(bytes, bytes.length);
  }

  /** @param isTheirs it is the other broker that closes the connection */
  close(why = '', isTheirs = true): void {
    this.#events!.closed(why, isTheirs);
  }

  takePackets(): Packet[] {
    return this.#arrived.splice(0);
  }

  /** What came since the last call, in short. */
  take(): string[] {
    return this.#arrived.splice(0).map((packet) => {
      if (packet.type === 'publish') return `${packet.topic} ${Buffer.from(packet.payload)} q${packet.qos}`;
      return packet.type === 'subscribe' ? `subscribe ${packet.subscriptions[0]!.filter}` : packet.type;
    });
  }
}

class Way implements Uplink {
  /** What the next attempts find: a broker, nobody, or no answer at all. */
  finds: 'broker' | 'nobody' | 'silence' = 'broker';
  primaryListens = false;
  readonly ports: number[] = [];
  far!: FarEnd;
  #pending: (() => void)[] = [];

  open(
    _settings: BridgeSettings,
    { port }: { port: number },
    opened: (channel: Channel) => void,
    failed: (why: string) => void,
  ): () => void {
    this.ports.push(port);
    let isGivenUp = false;
    const { finds } = this;
    this.#pending.push(() => {
      if (isGivenUp || finds === 'silence') return;
      if (finds === 'nobody') failed('nobody is there');
      else opened((this.far = new FarEnd()));
    });
    return () => {
      isGivenUp = true;
    };
  }

  probe(_settings: BridgeSettings, _address: unknown, answer: (listens: boolean) => void): () => void {
    this.#pending.push(() => answer(this.primaryListens));
    return () => {};
  }

  settle(): void {
    for (const happen of this.#pending.splice(0)) happen();
  }
}

function hex16(value: number): string {
  return value.toString(16).padStart(4, '0');
}

class Scene {
  readonly fixture: BrokerFixture;
  readonly way = new Way();
  readonly bridge: Bridge;

  constructor(change: Partial<BridgeSettings> = {}, limits: Partial<Settings> = {}) {
    const settings: BridgeSettings = {
      ...defaultsOf('bridge'),
      name: 'up',
      address: [{ host: 'far.example', port: 1 }],
      topic: [
        { pattern: 'out', direction: 'out', qos: 2, localPrefix: undefined, remotePrefix: undefined },
        { pattern: 'in', direction: 'in', qos: 2, localPrefix: undefined, remotePrefix: undefined },
      ],
      restartTimeout: { kind: 'jitter', baseSeconds: 5, capSeconds: 30, stableSeconds: 10 },
      remoteClientid: 'gateway',
      localClientid: 'local.gateway',
      localCleansession: false,
      bridgeReceiveMaximum: 20,
      givenAt: {},
      ...change,
    };
    this.fixture = new BrokerFixture({ settings: { bridges: [settings], sysInterval: 1, ...limits } });
    const monotonicMs = () => this.fixture.now;
    const world = { broker: this.fixture.broker, uplink: this.way, monotonicMs, random: () => 0 };
    this.bridge = new Bridge(world, settings);
  }

  async start(): Promise<this> {
    this.bridge.start();
    await this.settle();
    return this;
  }

  async settle(): Promise<void> {
    await this.fixture.settle();
    this.way.settle();
    this.fixture.flush();
  }

  async advance(seconds: number): Promise<void> {
    for (let second = 0; second < seconds; second += 1) {
      this.fixture.advance(1);
      this.bridge.tick();
      await this.settle();
    }
  }

  accept(sessionPresent = false): void {
    this.way.far.send({ type: 'connack', sessionPresent, reasonCode: 0, properties: {} });
    this.fixture.flush();
  }

  get state(): string | undefined {
    return this.fixture.retained(stateTopic)[0]?.slice(stateTopic.length + 1);
  }

  own(topic: string): string | undefined {
    const name = `$SYS/broker/bridge/up/${topic}`;
    return this.fixture.retained(name)[0]?.slice(name.length + 1);
  }
}

describe('connecting', () => {
  test('CONNECT; after CONNACK the state, then what is wanted', async () => {
    const scene = await new Scene().start();
    assert.equal(scene.state, '0');
    assert.deepEqual(scene.way.far.take(), ['connect']);
    scene.accept();
    assert.equal(scene.state, '1');
    assert.deepEqual(scene.way.far.take(), [`${stateTopic} 1 q1`, 'unsubscribe', 'subscribe in']);
  });

  test('bridge_attempt_unsubscribe false: it does not ask for less', async () => {
    const scene = await new Scene({ bridgeAttemptUnsubscribe: false }).start();
    scene.accept();
    assert.deepEqual(scene.way.far.take(), ['connect', `${stateTopic} 1 q1`, 'subscribe in']);
  });

  test('notifications false: the state is told to nobody', async () => {
    const scene = await new Scene({ notifications: false }).start();
    scene.accept();
    assert.equal(scene.state, undefined);
    assert.deepEqual(scene.way.far.take(), ['connect', 'unsubscribe', 'subscribe in']);
    assert.equal(scene.own('connected'), '1');
  });

  test('notifications_local_only: the state is told to this broker', async () => {
    const scene = await new Scene({ notificationsLocalOnly: true }).start();
    assert.equal(scene.state, '0');
    scene.accept();
    assert.equal(scene.state, '1');
    assert.deepEqual(scene.way.far.take(), ['connect', 'unsubscribe', 'subscribe in']);
  });

  test('local_clientid and local_username are those of its session', async () => {
    const scene = await new Scene({ localClientid: 'mine', localUsername: 'bridge' }).start();
    const session = scene.fixture.broker.sessions.get('mine')!;
    assert.equal(session.username, 'bridge');
    assert.deepEqual([...session.subscriptions.keys()], ['out']);
  });

  test('nobody answers the CONNECT for 30 seconds: given up, and tried again', async () => {
    const scene = await new Scene().start();
    const { far } = scene.way;
    await scene.advance(29);
    assert.equal(far.isOpen, true);
    await scene.advance(1);
    assert.equal(far.isOpen, false);
    assert.match(scene.own('last_error')!, /does not answer the CONNECT/);
    await scene.advance(5);
    assert.notEqual(scene.way.far, far);
  });

  test('waits: base, as the dice fall; next_try tells', async () => {
    const scene = new Scene();
    scene.way.finds = 'nobody';
    await scene.start();
    const attempts = [];
    for (let second = 1; second <= 20; second += 1) {
      await scene.advance(1);
      if (scene.way.ports.length > attempts.length + 1) attempts.push(second);
    }
    assert.deepEqual(attempts, [5, 10, 15, 20]);
    assert.equal(scene.own('next_try'), new Date(scene.fixture.now + 5000).toISOString());
    assert.equal(scene.own('connected'), '0');
  });

  test('a way that never answers leaves everything else as it is', async () => {
    const scene = new Scene();
    scene.way.finds = 'silence';
    await scene.start();
    const client = await scene.fixture.connect();
    await scene.advance(100);
    client.publish('out', 'x', { qos: 1 });
    client.expectPacket('puback');
    assert.equal(scene.way.ports.length, 1);
  });

  test('bytes that are not MQTT end the connection', async () => {
    const scene = await new Scene().start();
    scene.way.far.send({ type: 'pingresp' });
    assert.equal(scene.way.far.isOpen, false);
    assert.match(scene.own('last_error')!, /sends pingresp out of turn/);
  });
});

describe('a link that dies', () => {
  test('PINGREQ after the keepalive interval, the end after another one', async () => {
    const scene = await new Scene({ keepaliveInterval: 10 }).start();
    scene.accept();
    const { far } = scene.way;
    far.take();
    await scene.advance(10);
    assert.deepEqual(far.take(), ['pingreq']);
    far.send({ type: 'pingresp' });
    await scene.advance(10);
    assert.deepEqual(far.take(), ['pingreq']);
    await scene.advance(9);
    assert.equal(scene.state, '1');
    await scene.advance(1);
    assert.equal(scene.state, '0');
    assert.equal(far.isOpen, false);
  });

  test('sending alone does not keep it alive', async () => {
    const scene = await new Scene({ keepaliveInterval: 10 }).start();
    scene.accept();
    const client = await scene.fixture.connect();
    for (let second = 0; second < 21; second += 1) {
      client.publish('out', 'x');
      await scene.advance(1);
    }
    assert.equal(scene.state, '0');
  });

  test('messages wait, with their age, and leave in order before retained ones', async () => {
    const scene = await new Scene({ restartTimeout: { kind: 'constant', seconds: 5 } }).start();
    scene.accept();
    scene.way.far.close();
    scene.way.finds = 'nobody';
    const client = await scene.fixture.connect();
    for (const text of ['1', '2', '3']) client.publish('out', text, { qos: 1, retain: text === '3' });
    await scene.advance(60);
    assert.equal(scene.own('backlog/messages'), '3');
    assert.match(scene.own('backlog/oldest')!, /^(59|60) seconds$/);
    scene.way.finds = 'broker';
    await scene.advance(5);
    scene.way.far.take();
    scene.accept();
    const sent = scene.way.far.take().filter((text) => text.startsWith('out'));
    assert.deepEqual(sent, ['out 1 q1', 'out 2 q1', 'out 3 q1', 'out 3 q1']);
  });

  test('dropped messages are in the log: the first at once, further ones every ten minutes', async () => {
    const scene = new Scene({}, { maxQueuedMessages: 2 });
    scene.way.finds = 'nobody';
    await scene.start();
    const client = await scene.fixture.connect(4);
    const publish = (count: number) => {
      for (let i = 0; i < count; i += 1) client.publish('out', 'x', { qos: 1 });
    };
    const lines = () => scene.fixture.takeLog(/Messages for bridge up have been dropped/);
    publish(3);
    await scene.advance(2);
    assert.deepEqual(lines(), ['Warning: Messages for bridge up have been dropped: 1 queue full.']);
    publish(2);
    await scene.advance(590);
    assert.deepEqual(lines(), []);
    await scene.advance(10);
    assert.deepEqual(lines(), ['Warning: Messages for bridge up have been dropped: 3 queue full.']);
    await scene.advance(1200);
    assert.deepEqual(lines(), []);
  });

  test('what was not acknowledged is sent again; a QoS 2 message that was released is not', async () => {
    const scene = await new Scene({ restartTimeout: { kind: 'constant', seconds: 1 } }).start();
    scene.accept();
    scene.way.far.take();
    const client = await scene.fixture.connect();
    client.publish('out', 'once', { qos: 2 });
    const { packetId } = client.expectPacket('pubrec');
    client.ack('pubrel', packetId);
    client.publish('out', 'again', { qos: 1 });
    scene.fixture.flush();
    assert.deepEqual(scene.way.far.take(), ['out once q2', 'out again q1']);
    // Packet ids 1 to 3 went to state, UNSUBSCRIBE and SUBSCRIBE.
    scene.way.far.send({ type: 'pubrec', packetId: 4, reasonCode: 0, properties: {} });
    scene.fixture.flush();
    assert.deepEqual(scene.way.far.take(), ['pubrel']);
    scene.way.far.close();
    await scene.advance(1);
    scene.accept(true);
    const sent = scene.way.far.take();
    assert.deepEqual(
      sent.filter((text) => text === 'pubrel' || text.startsWith('out')),
      ['pubrel', 'out again q1'],
    );
  });
});

describe('what the other broker sends', () => {
  const incoming = (payload: string, packetId: number) =>
    publishPacket({ topic: 'in', payload: Buffer.from(payload), qos: 2, packetId });

  test('only the max_packet_size of the file is announced in MQTT 5.0, and kept to', async () => {
    for (const givenPacketSizeMax of [undefined, 100]) {
      const scene = await new Scene({ bridgeProtocolVersion: 'mqttv50' }, { givenPacketSizeMax }).start();
      const [connect] = scene.way.far.takePackets() as ConnectPacket[];
      assert.equal(connect!.properties.maximumPacketSize, givenPacketSizeMax);
      scene.way.far.sendBytes(Buffer.from('2003000000', 'hex'));
      scene.way.far.sendBytes(packetBytes(0x30, `"in" 00 ${'00'.repeat(90)}`));
      assert.equal(scene.own('connected'), '1');
      scene.way.far.sendBytes(packetBytes(0x30, `"in" 00 ${'00'.repeat(200)}`));
      await scene.advance(2);
      assert.equal(scene.own('connected'), givenPacketSizeMax === undefined ? '1' : '0');
    }
  });

  test('PINGREQ from the other broker is answered', async () => {
    const scene = await new Scene().start();
    scene.accept();
    scene.way.far.take();
    scene.way.far.sendBytes(Buffer.from('c000', 'hex'));
    scene.fixture.flush();
    assert.deepEqual(scene.way.far.take(), ['pingresp']);
    assert.equal(scene.state, '1');
  });

  test('messages with malformed topics are acknowledged, dropped, counted, and one is named', async () => {
    const scene = await new Scene({
      topic: [{ pattern: '#', direction: 'in', qos: 2, localPrefix: 'from/', remotePrefix: undefined }],
    }).start();
    const watcher = await scene.fixture.connect();
    watcher.subscribe('#', 0);
    scene.accept();
    watcher.take();
    scene.way.far.take();
    const wrong = ['in/+', '#', 'in\xff', 'in\0', '', '/'.repeat(300), '/'.repeat(200), '\x01'];
    const topics = wrong.map((topic) => Buffer.from(topic, 'latin1'));
    for (const [i, topic] of topics.entries()) {
      const hex = `${hex16(topic.length)} ${topic.toString('hex')} ${hex16(i + 1)} 'x'`;
      scene.way.far.sendBytes(packetBytes(0x32, hex));
      scene.fixture.flush();
      assert.deepEqual(scene.way.far.take(), ['puback'], wrong[i]);
    }
    watcher.expectNothing();
    assert.equal(scene.state, '1');
    assert.deepEqual(scene.fixture.takeLog(/malformed/), [
      "Warning: Bridge up: a message from far.example:1 with the topic 'in/+' is dropped: the topic is malformed; 1 so far.",
    ]);
    await scene.advance(2);
    assert.equal(scene.own('dropped/malformed'), `${topics.length}`);
    scene.way.far.send(publishPacket({ topic: 'in', qos: 1, packetId: 9 }));
    scene.fixture.flush();
    assert.deepEqual(watcher.takePublishes().filter((one) => one.startsWith('from/')).length, 1);
  });

  /** First byte and body, then what answers it. */
  const malformed: Record<string, [first: number, body: string, answer: string[]]> = {
    'a control character in the content type': [0x32, "0002 'in' 0007 04 03 0001 01 'x'", ['puback']],
    'QoS 2': [0x34, "0002 'in' 0007 04 03 0001 01 'x'", ['pubrec']],
    'QoS 0': [0x30, "0002 'in' 04 03 0001 01 'x'", []],
    'a non-character in the response topic': [0x32, "0002 'in' 0007 06 08 0003 efbfbf 'x'", ['puback']],
    'a wildcard in the response topic': [0x32, "0002 'in' 0007 04 08 0001 '#' 'x'", ['puback']],
    'a control character in the name of a user property': [
      0x32,
      "0002 'in' 0007 06 26 0001 7f 0000 'x'",
      ['puback'],
    ],
    'a control character in the value of a user property': [
      0x32,
      "0002 'in' 0007 06 26 0000 0001 1f 'x'",
      ['puback'],
    ],
    'a text that is no UTF-8': [0x32, "0002 'in' 0007 04 03 0001 ff 'x'", ['puback']],
    'a payload format that does not exist': [0x32, "0002 'in' 0007 02 01 02 'x'", ['puback']],
    'a property of another packet': [0x32, "0002 'in' 0007 05 11 00000001 'x'", ['puback']],
    'a property twice': [0x32, "0002 'in' 0007 04 01 00 01 00 'x'", ['puback']],
    'a property that does not end': [0x32, "0002 'in' 0007 04 03 0009 'x'", ['puback']],
    'properties that do not end': [0x32, "0002 'in' 0007 7f 'x'", ['puback']],
    'no properties': [0x32, "0002 'in' 0007", ['puback']],
    'an alias that is not set': [0x32, "0000 0007 03 23 0005 'x'", ['puback']],
    'an alias of 0': [0x32, "0002 'in' 0007 03 23 0000 'x'", ['puback']],
    'an alias that is too large': [0x32, "0002 'in' 0007 03 23 ffff 'x'", ['puback']],
    'a topic that does not end': [0x32, "0009 'in'", []],
    'no topic': [0x32, '00', []],
    'no packet id': [0x32, "0002 'in'", []],
    'packet id 0': [0x32, "0002 'in' 0000 00", []],
    'QoS 3': [0x36, "0002 'in' 0007 00 'x'", []],
    'DUP with QoS 0': [0x38, "0002 'in' 00 'x'", []],
  };

  test('other malformed messages are acknowledged, dropped and counted, too', async () => {
    const scene = await new Scene({ bridgeProtocolVersion: 'mqttv50', bridgeMaxTopicAlias: 10 }).start();
    const watcher = await scene.fixture.connect();
    watcher.subscribe('#', 0);
    scene.accept();
    watcher.take();
    const { far } = scene.way;
    far.take();
    for (const [name, [first, body, answer]] of Object.entries(malformed)) {
      far.sendBytes(packetBytes(first, body));
      scene.fixture.flush();
      assert.deepEqual(far.take(), answer, name);
      assert.ok(far.isOpen, name);
    }
    watcher.expectNothing();
    assert.deepEqual(scene.fixture.takeLog(/is dropped/), [
      "Warning: Bridge up: a message from far.example:1 with the topic 'in' is dropped: PUBLISH packet with a control character or non-character in content-type; 1 so far.",
    ]);
    // A topic alias is in force though the message that has set it is dropped.
    far.sendBytes(packetBytes(0x30, "0002 'in' 0c 01 01 26 0001 01 0000 23 0004 'x'"));
    far.sendBytes(packetBytes(0x30, "0000 03 23 0004 'y'"));
    scene.fixture.flush();
    assert.deepEqual(watcher.takePublishes(), ['in y']);
    await scene.advance(2);
    assert.equal(scene.own('dropped/malformed'), `${Object.keys(malformed).length + 1}`);
    assert.equal(scene.state, '1');
  });

  test('a QoS 2 message that comes twice is published once', async () => {
    const scene = await new Scene().start();
    scene.accept();
    const client = await scene.fixture.connect();
    client.subscribe('in', 2);
    client.take();
    for (let i = 0; i < 2; i += 1) scene.way.far.send(incoming('x', 7));
    for (let i = 0; i < 2; i += 1) {
      scene.way.far.send({ type: 'pubrel', packetId: 7, reasonCode: 0, properties: {} });
    }
    scene.fixture.flush();
    assert.equal(client.take().filter(({ type }) => type === 'publish').length, 1);
    assert.deepEqual(scene.way.far.take().slice(-4), ['pubrec', 'pubrec', 'pubcomp', 'pubcomp']);
  });

  test('where it has forgotten the session, packet ids begin anew', async () => {
    const scene = await new Scene({ restartTimeout: { kind: 'constant', seconds: 1 } }).start();
    scene.accept();
    const client = await scene.fixture.connect();
    client.subscribe('in', 2);
    client.take();
    scene.way.far.send(incoming('same', 7));
    scene.way.far.close();
    await scene.advance(1);
    scene.accept(false);
    scene.way.far.send({ type: 'pubrel', packetId: 7, reasonCode: 0, properties: {} });
    scene.fixture.flush();
    assert.deepEqual(client.take(), []);
  });
});

describe('a message over which the other broker ends the connection', () => {
  const restartTimeout = { kind: 'constant', seconds: 1 } as const;

  /** The messages that come over the next connection. */
  async function next(scene: Scene): Promise<string[]> {
    await scene.advance(1);
    scene.accept(true);
    return scene.way.far.take().filter((text) => text.startsWith('out'));
  }

  for (const qos of [1, 2] as const) {
    test(`is dropped after five connections, and those behind it arrive [QoS ${qos}]`, async () => {
      const scene = await new Scene({ restartTimeout }).start();
      scene.accept();
      const client = await scene.fixture.connect();
      client.publish('out', 'bad', { qos, retain: true, packetId: 1 });
      if (qos === 2) client.ack('pubrel', 1);
      client.publish('out', 'good', { qos: 1, packetId: 2 });
      scene.fixture.flush();
      scene.way.far.close();
      const both = [`out bad q${qos}`, 'out good q1'];
      assert.deepEqual((await next(scene)).slice(0, 2), both);
      scene.way.far.close('Connection reset by peer');
      for (let connection = 3; connection <= 5; connection += 1) {
        assert.deepEqual(await next(scene), both.slice(0, 1), 'it is sent alone');
        assert.deepEqual(scene.fixture.takeLog(/is dropped/), []);
        scene.way.far.close();
      }
      assert.deepEqual(scene.fixture.takeLog(/is dropped/), [
        "Warning: Bridge up: a message to far.example:1 with the topic 'out' is dropped: the other broker has ended the connection 5 times in a row without acknowledging it.",
      ]);
      assert.deepEqual(await next(scene), ['out good q1']);
      await scene.advance(2);
      assert.equal(scene.own('dropped/ends_connection'), '1');
      assert.equal(scene.fixture.count('publishDropped'), 1);
    });
  }

  test('MQTT 5.0: a DISCONNECT about packets counts, one about the broker does not', async () => {
    const scene = await new Scene({ restartTimeout, bridgeProtocolVersion: 'mqttv50' }).start();
    scene.accept();
    (await scene.fixture.connect()).publish('out', 'x', { qos: 1 });
    scene.fixture.flush();
    for (const reasonCode of [0x8b, 0x89, 0x97, 0x8b, 0x89, 0x97]) {
      scene.way.far.send({ type: 'disconnect', reasonCode, properties: {} });
      assert.deepEqual(await next(scene), ['out x q1']);
    }
    for (const reasonCode of [0x95, 0x81, 0x82, 0x90]) {
      scene.way.far.send({ type: 'disconnect', reasonCode, properties: {} });
      assert.deepEqual(await next(scene), ['out x q1']);
    }
    scene.way.far.send({ type: 'disconnect', reasonCode: 0x87, properties: {} });
    assert.deepEqual(await next(scene), []);
  });

  test('a link that is cut costs nothing, and neither does an end with another first message', async () => {
    const scene = await new Scene({ restartTimeout }).start();
    scene.accept();
    const client = await scene.fixture.connect();
    client.publish('out', 'one', { qos: 1 });
    scene.fixture.flush();
    for (let connection = 0; connection < 10; connection += 1) {
      scene.way.far.close('Connection timed out', false);
      assert.deepEqual(await next(scene), ['out one q1']);
    }
    client.publish('out', 'two', { qos: 1 });
    for (const first of ['one', 'two']) {
      for (let connection = 0; connection < 4; connection += 1) {
        scene.way.far.close();
        assert.equal((await next(scene))[0], `out ${first} q1`);
      }
      scene.way.far.send({
        type: 'puback',
        packetId: scene.way.far.lastPacketId,
        reasonCode: 0,
        properties: {},
      });
    }
    assert.deepEqual(scene.fixture.takeLog(/is dropped/), []);
  });

  test('a broker that ends each connection whatever it is sent gets more time with each message', async () => {
    const scene = await new Scene({ restartTimeout }).start();
    scene.accept();
    const client = await scene.fixture.connect();
    for (let i = 0; i < 6; i += 1) client.publish('out', `${i}`, { qos: 1 });
    scene.fixture.flush();
    const droppedAfter: number[] = [];
    for (let ends = 1; ends <= 155; ends += 1) {
      scene.way.far.close();
      if (scene.fixture.takeLog(/is dropped/).length > 0) droppedAfter.push(ends);
      await next(scene);
    }
    assert.deepEqual(droppedAfter, [5, 15, 35, 75, 115, 155]);
  });
});

describe('packet ids of a bridge that is changed by a reload', () => {
  for (const isAcknowledged of [true, false]) {
    test(isAcknowledged ? 'begin anew' : 'go on while something is in flight', async () => {
      const scene = await new Scene({
        notifications: false,
        bridgeAttemptUnsubscribe: false,
        bridgeReloadType: 'immediate',
      }).start();
      scene.accept();
      const client = await scene.fixture.connect();
      const publishedUnder = (): number => {
        client.publish('out', 'x', { qos: 1 });
        scene.fixture.flush();
        return scene.way.far.lastPacketId;
      };
      const packetId = publishedUnder();
      assert.equal(packetId, 2, 'behind the SUBSCRIBE');
      if (isAcknowledged) scene.way.far.send({ type: 'puback', packetId, reasonCode: 0, properties: {} });
      scene.bridge.change({ ...scene.bridge.settings, keepaliveInterval: 50 });
      await scene.settle();
      scene.accept(true);
      assert.equal(publishedUnder(), isAcknowledged ? 2 : 4);
    });
  }
});

describe('addresses', () => {
  const address = [1, 2].map((port) => ({ host: 'far.example', port }));

  test('the second serves while the first is away; the first is asked for every five seconds', async () => {
    const scene = new Scene({ address, restartTimeout: { kind: 'constant', seconds: 1 } });
    scene.way.finds = 'nobody';
    await scene.start();
    scene.way.finds = 'broker';
    await scene.advance(1);
    scene.accept();
    assert.deepEqual(scene.way.ports, [1, 2]);
    await scene.advance(12);
    assert.equal(scene.state, '1');
    scene.way.primaryListens = true;
    await scene.advance(6);
    assert.deepEqual(scene.way.ports, [1, 2, 1]);
    scene.accept();
    assert.equal(scene.state, '1');
  });
});
