/** The options that limit what clients may do: each at its limit and beyond, with every version of the protocol. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import type { ProtocolVersion, Qos } from '../../src/mqtt/packets.js';
import { ReasonCode } from '../../src/mqtt/reason-codes.js';
import { onPort } from '../support/brokers/access-files.js';
import {
  type Broker,
  isReference,
  startBroker,
  withBrokers,
  withSharedBroker,
} from '../support/brokers/broker.js';
import { makeFolder, shareInSuite } from '../support/cleanup.js';
import { type ConnectOptions, connectPacket } from '../support/clients/packet-socket.js';
import { RawClient } from '../support/clients/raw-client.js';
import { freePort } from '../support/network/free-port.js';

const versions: readonly ProtocolVersion[] = [3, 4, 5];
/** What is asked for here is what Mosquitto 2.1 does. */
const skip = isReference ? 'Mosquitto 2.0.11 has other limits' : false;

/** A CONNECT that is refused; `undefined`: the connection closes without a CONNACK. */
async function expectRefused(
  t: TestContext,
  broker: Broker,
  version: ProtocolVersion,
  options: ConnectOptions,
  reasonCode: number | undefined,
): Promise<void> {
  const client = await RawClient.open(t, broker, version);
  client.send(connectPacket(version, options));
  if (reasonCode !== undefined) await client.expectPacket('connack', { sessionPresent: false, reasonCode });
  await client.expectClosed();
}

/** Older versions are just closed. */
async function expectFault(client: RawClient, version: ProtocolVersion, reasonCode: number): Promise<void> {
  if (version === 5) await client.expectPacket('disconnect', { reasonCode });
  await client.expectClosed();
}

/** A client whose session stays. */
function lasting(clientId: string): ConnectOptions {
  return { clientId, cleanStart: false, properties: { sessionExpiryInterval: 600 } };
}

/** Publishes to a client that is away, and tells what it finds when it is back. */
async function payloadsAfterAbsence(
  t: TestContext,
  broker: Broker,
  version: ProtocolVersion,
  messages: readonly (readonly [payload: string, qos: Qos])[],
): Promise<string[]> {
  const clientId = `away-${version}`;
  const client = await RawClient.connect(t, broker, version, lasting(clientId));
  await client.subscribe(clientId, 2);
  await client.disconnect();
  const publisher = await RawClient.connect(t, broker, version);
  for (const [payload, qos] of messages) {
    if (qos === 0) publisher.sendPublish(clientId, payload);
    else await publisher.publish(clientId, payload, { qos });
  }
  await publisher.expectSilence();
  const back = await RawClient.connect(t, broker, version, lasting(clientId));
  await publisher.publish(clientId, 'end', { qos: 2 });
  const payloads: string[] = [];
  for (;;) {
    const packet = await back.next('a message');
    if (packet.type === 'pubrel') back.sendAck('pubcomp', packet.packetId);
    if (packet.type !== 'publish') continue;
    const payload = Buffer.from(packet.payload).toString();
    if (payload === 'end') return payloads;
    payloads.push(payload);
    if (packet.qos > 0) back.sendAck(packet.qos === 1 ? 'puback' : 'pubrec', packet.packetId);
  }
}

/** Waits for the value of a `$SYS` topic. */
async function expectSys(t: TestContext, broker: Broker, topic: string, value: string): Promise<void> {
  const watcher = await RawClient.connect(t, broker, 4);
  await watcher.subscribe(topic);
  for (;;) {
    const { payload } = await watcher.expectPacket('publish', { topic });
    if (Buffer.from(payload).toString() === value) return;
  }
}

describe('limits', { concurrency: 3 }, () => {
  withSharedBroker(
    'limits of messages in flight and of sessions',
    {
      config: [
        'max_inflight_messages 3',
        'max_inflight_bytes 100',
        'retain_available false',
        'auto_id_prefix guest:',
        'persistent_client_expiration 1s',
        'allow_duplicate_messages false',
        'sys_interval 1',
      ].join('\n'),
      skip,
    },
    {
      max_inflight_messages: async (t, broker) => {
        for (const version of versions) {
          const client = await RawClient.connect(t, broker, version);
          if (version === 5) assert.equal(client.connack!.properties.receiveMaximum, 3);
          await client.subscribe(`window/${version}`, 1);
          const publisher = await RawClient.connect(t, broker, version);
          for (let i = 0; i < 5; i += 1) await publisher.publish(`window/${version}`, `${i}`);
          const { packetId } = await client.expectPublish(`window/${version}`, '0');
          for (const payload of ['1', '2']) await client.expectPublish(`window/${version}`, payload);
          await client.expectSilence();
          client.sendAck('puback', packetId);
          await client.expectPublish(`window/${version}`, '3');
          await client.expectSilence();
        }
      },

      'max_inflight_bytes: beyond it messages wait, but one is always allowed': async (t, broker) => {
        for (const version of versions) {
          const client = await RawClient.connect(t, broker, version);
          await client.subscribe(`bytes/${version}`, 1);
          const publisher = await RawClient.connect(t, broker, version);
          for (const length of [40, 40, 40, 200, 10]) {
            await publisher.publish(`bytes/${version}`, 'x'.repeat(length));
          }
          const ids: number[] = [];
          const expectNext = async (length: number): Promise<void> => {
            ids.push((await client.expectPublish(`bytes/${version}`, 'x'.repeat(length))).packetId);
          };
          await expectNext(40);
          await expectNext(40);
          await client.expectSilence();
          client.sendAck('puback', ids.shift()!);
          await expectNext(40);
          client.sendAck('puback', ids.shift()!);
          await client.expectSilence();
          client.sendAck('puback', ids.shift()!);
          await expectNext(200);
          await client.expectSilence();
          client.sendAck('puback', ids.shift()!);
          await expectNext(10);
        }
      },

      'retain_available false': async (t, broker) => {
        for (const version of versions) {
          const client = await RawClient.connect(t, broker, version);
          if (version === 5) assert.equal(client.connack!.properties.retainAvailable, 0);
          client.sendPublish('retain', 'x', { retain: true });
          await expectFault(client, version, ReasonCode.retainNotSupported);
          const will = { topic: 'w', payload: Buffer.of(), qos: 0 as const, retain: true, properties: {} };
          await expectRefused(
            t,
            broker,
            version,
            { will },
            version === 5 ? ReasonCode.retainNotSupported : undefined,
          );
        }
      },

      auto_id_prefix: async (t, broker) => {
        const client = await RawClient.connect(t, broker, 5, { clientId: '' });
        const { assignedClientIdentifier } = client.connack!.properties;
        assert.match(assignedClientIdentifier ?? '', /^guest:[0-9A-F]{8}-[0-9A-F]{4}-/);
        await RawClient.connect(t, broker, 4, { clientId: '' });
        await broker.waitForLog(/as guest:[0-9A-F-]{36} \(p4, /);
      },

      'persistent_client_expiration caps how long sessions stay': async (t, broker) => {
        const sessions = [
          [3, 0],
          [4, 0],
          [5, 600],
          [5, 0xffffffff],
        ] as const;
        const expire = async ([version, sessionExpiryInterval]: (typeof sessions)[number]): Promise<void> => {
          const clientId = `expires-${version}-${sessionExpiryInterval}`;
          const properties = version === 5 ? { sessionExpiryInterval } : {};
          const client = await RawClient.connect(t, broker, version, {
            clientId,
            cleanStart: false,
            properties,
          });
          await client.disconnect();
          await broker.waitForLog(new RegExp(`Expiring client ${clientId} due to timeout\\.$`));
        };
        await Promise.all(sessions.map(expire));
        await expectSys(t, broker, '$SYS/broker/clients/expired', '4');
      },

      'allow_duplicate_messages false: one copy, in MQTT 5.0 too': async (t, broker) => {
        for (const version of versions) {
          const client = await RawClient.connect(t, broker, version);
          await client.subscribe(`dup/${version}/#`, 0);
          await client.subscribe(`dup/${version}/+`, 1);
          const publisher = await RawClient.connect(t, broker, version);
          await publisher.publish(`dup/${version}/a`, 'x');
          await client.expectPublish(`dup/${version}/a`, 'x');
          await client.expectSilence();
        }
      },
    },
  );

  withSharedBroker(
    'limits of queues',
    { config: ['max_queued_messages 3', 'max_inflight_messages 2', 'sys_interval 1'].join('\n'), skip },
    {
      'max_queued_messages: of a full queue the new message is dropped, counted and logged': async (
        t,
        broker,
      ) => {
        for (const version of versions) {
          // Online: what is in flight, and the queue with as much in addition.
          const clientId = `full-${version}`;
          const client = await RawClient.connect(t, broker, version, lasting(clientId));
          await client.subscribe(`queue/${version}`, 1);
          const publisher = await RawClient.connect(t, broker, version);
          for (let i = 0; i < 9; i += 1) await publisher.publish(`queue/${version}`, `${i}`);
          for (let i = 0; i < 7; i += 1) {
            const { packetId } = await client.expectPublish(`queue/${version}`, `${i}`);
            client.sendAck('puback', packetId);
          }
          await client.expectSilence();
          await broker.waitForLog(
            new RegExp(`Outgoing messages are being dropped for client ${clientId}\\.$`),
          );
          await client.disconnect();
          await broker.waitForLog(
            new RegExp(
              `Messages dropped for client ${clientId} while it was connected: 2 \\(queue full 2\\)\\.$`,
            ),
          );
          // Offline: the queue alone.
          const numbers = [0, 1, 2, 3, 4].map((i) => [`${i}`, i % 2 === 0 ? 1 : 2] as const);
          assert.deepEqual(await payloadsAfterAbsence(t, broker, version, numbers), ['0', '1', '2']);
          await broker.waitForLog(
            new RegExp(
              `Messages dropped for client away-${version} while it was away: 2 \\(queue full 2\\)\\.$`,
            ),
          );
        }
        // Three versions, two messages each time.
        await expectSys(t, broker, '$SYS/broker/publish/messages/dropped', '12');
        await expectSys(t, broker, '$SYS/broker/publish/messages/dropped/queue_full', '12');
      },

      'QoS 0 for a client that does not read is dropped beyond max_queued_messages': async (t, broker) => {
        const client = await RawClient.connect(t, broker, 4, { clientId: 'slow' });
        await client.subscribe('slow');
        client.pause();
        const publisher = await RawClient.connect(t, broker, 4);
        const payload = 'x'.repeat(60_000);
        const dropping = broker.waitForLog(/Outgoing messages are being dropped for client slow\.$/);
        let isDropping = false;
        void dropping.then(() => {
          isDropping = true;
        });
        while (!isDropping) {
          for (let i = 0; i < 50; i += 1) publisher.sendPublish('slow', payload);
          await publisher.expectSilence();
        }
        await dropping;
        client.destroy();
        await broker.waitForLog(
          /Messages dropped for client slow while it was connected: \d+ \(backlog \d+\)\.$/,
        );
      },
    },
  );

  withSharedBroker(
    'limits of sizes',
    {
      config: [
        'message_size_limit 10',
        'max_inflight_messages 0',
        'allow_zero_length_clientid false',
        'log_type all',
      ].join('\n'),
      skip,
    },
    {
      message_size_limit: async (t, broker) => {
        for (const version of versions) {
          const watcher = await RawClient.connect(t, broker, version);
          await watcher.subscribe(`size/${version}`, 2);
          const client = await RawClient.connect(t, broker, version);
          const refused = version === 5 ? ReasonCode.packetTooLarge : 0;
          for (const qos of [1, 2] as const) {
            assert.equal(await client.publish(`size/${version}`, 'x'.repeat(10), { qos }), 0);
            await watcher.expectPublish(`size/${version}`, 'x'.repeat(10));
            assert.equal(await client.publish(`size/${version}`, 'x'.repeat(11), { qos }), refused);
          }
          client.sendPublish(`size/${version}`, 'x'.repeat(11));
          await client.expectSilence();
          await watcher.expectSilence();
          const will = {
            topic: 'w',
            payload: Buffer.alloc(11),
            qos: 0 as const,
            retain: false,
            properties: {},
          };
          await expectRefused(t, broker, version, { will }, version === 5 ? ReasonCode.packetTooLarge : 5);
          await RawClient.connect(t, broker, version, { will: { ...will, payload: Buffer.alloc(10) } });
        }
        await broker.waitForLog(/Dropped too large PUBLISH from /);
      },

      'max_inflight_messages 0 is no limit': async (t, broker) => {
        for (const version of versions) {
          const client = await RawClient.connect(t, broker, version);
          assert.equal(client.connack!.properties.receiveMaximum, undefined);
          await client.subscribe(`window/${version}`, 1);
          const publisher = await RawClient.connect(t, broker, version);
          for (let i = 0; i < 60; i += 1) await publisher.publish(`window/${version}`, `${i}`);
          for (let i = 0; i < 60; i += 1) await client.expectPublish(`window/${version}`, `${i}`);
        }
      },

      'allow_zero_length_clientid false': async (t, broker) => {
        await expectRefused(t, broker, 5, { clientId: '' }, ReasonCode.unspecifiedError);
        await expectRefused(t, broker, 4, { clientId: '' }, 2);
        await expectRefused(t, broker, 3, { clientId: '' }, 2);
        for (const version of versions) await RawClient.connect(t, broker, version);
      },
    },
  );

  withSharedBroker(
    'limits of bytes',
    { config: ['max_packet_size 100', 'max_queued_bytes 100'].join('\n'), skip },
    {
      max_packet_size: async (t, broker) => {
        for (const version of versions) {
          const client = await RawClient.connect(t, broker, version);
          if (version === 5) assert.equal(client.connack!.properties.maximumPacketSize, 100);
          // Header 2, topic 3 and, in MQTT 5.0, an empty property list.
          const room = 100 - 2 - 3 - (version === 5 ? 1 : 0);
          client.sendPublish('t', 'x'.repeat(room));
          await client.expectSilence();
          client.sendPublish('t', 'x'.repeat(room + 1));
          await expectFault(client, version, ReasonCode.packetTooLarge);
          // A CONNECT that is too large: nobody knows yet what it speaks.
          await expectRefused(t, broker, version, { clientId: 'x'.repeat(100) }, undefined);
        }
        await broker.waitForLog(/disconnected: oversize packet\./);
      },

      max_queued_bytes: async (t, broker) => {
        for (const version of versions) {
          const messages = ['x'.repeat(40), 'y'.repeat(40), 'z'.repeat(30), 'w'.repeat(20)];
          const found = await payloadsAfterAbsence(
            t,
            broker,
            version,
            messages.map((payload) => [payload, 1]),
          );
          // The third would make it 110 bytes; the fourth has room.
          assert.deepEqual(found, [messages[0], messages[1], messages[3]]);
        }
      },
    },
  );

  describe('limits of a listener', { skip, concurrency: 1 }, () => {
    const cases: [name: string, options: string[], run: (t: TestContext, broker: Broker) => Promise<void>][] =
      [
        [
          'max_qos',
          ['max_qos 0'],
          async (t, broker) => {
            for (const version of versions) {
              const client = await RawClient.connect(t, broker, version);
              if (version === 5) assert.equal(client.connack!.properties.maximumQos, 0);
              client.sendSubscribe('qos', 2);
              await client.expectPacket('suback', { reasonCodes: [0] });
              client.sendPublish('qos', 'x');
              await client.expectPublish('qos', 'x', { qos: 0 });
              client.sendPublish('qos', 'x', { qos: 1 });
              await expectFault(client, version, ReasonCode.qosNotSupported);
              const will = {
                topic: 'w',
                payload: Buffer.of(),
                qos: 1 as const,
                retain: false,
                properties: {},
              };
              await expectRefused(
                t,
                broker,
                version,
                { will },
                version === 5 ? ReasonCode.qosNotSupported : undefined,
              );
            }
            await broker.waitForLog(/Too high QoS in PUBLISH from .*, disconnecting\.$/);
          },
        ],
        [
          'accept_protocol_versions',
          ['accept_protocol_versions 3, 5'],
          async (t, broker) => {
            await RawClient.connect(t, broker, 3);
            await RawClient.connect(t, broker, 5);
            await expectRefused(t, broker, 4, {}, 1);
          },
        ],
        [
          'max_topic_alias and max_topic_alias_broker',
          ['max_topic_alias 2', 'max_topic_alias_broker 1'],
          async (t, broker) => {
            const client = await RawClient.connect(t, broker, 5, { properties: { topicAliasMaximum: 10 } });
            assert.equal(client.connack!.properties.topicAliasMaximum, 2);
            await client.subscribe('alias/#');
            const publisher = await RawClient.connect(t, broker, 5);
            for (const [topic, topicAlias] of [
              ['a', 1],
              ['b', undefined],
              ['a', 1],
            ] as const) {
              publisher.sendPublish(`alias/${topic}`, 'x');
              assert.equal((await client.expectPacket('publish')).properties.topicAlias, topicAlias);
            }
            client.sendPublish('alias/a', 'x', { properties: { topicAlias: 3 } });
            await expectFault(client, 5, ReasonCode.topicAliasInvalid);
          },
        ],
        [
          'max_topic_alias 0',
          ['max_topic_alias 0'],
          async (t, broker) => {
            const client = await RawClient.connect(t, broker, 5);
            assert.equal(client.connack!.properties.topicAliasMaximum, undefined);
            client.sendPublish('alias', 'x', { properties: { topicAlias: 1 } });
            await expectFault(client, 5, ReasonCode.topicAliasInvalid);
          },
        ],
      ];
    const shared = shareInSuite('limits of a listener', async (suite) => {
      const ports: number[] = [];
      for (const _ of cases) ports.push(await freePort());
      const listeners = cases.map(
        ([, options], i) => `listener ${ports[i]} 127.0.0.1\nallow_anonymous true\n${options.join('\n')}`,
      );
      return { broker: await startBroker(suite, { config: listeners.join('\n'), workers: 3 }), ports };
    });
    for (const [i, [name, , run]] of cases.entries()) {
      test(name, async (t) => {
        const { broker, ports } = await shared();
        await run(t, onPort(broker, ports[i]!));
      });
    }
  });

  withBrokers(
    'queue_qos0_messages',
    async (t, broker) => {
      for (const version of versions) {
        // QoS 0 is not counted itself, but there has to be room.
        const messages = [
          ['a', 0],
          ['b', 1],
          ['c', 0],
          ['d', 2],
          ['e', 0],
          ['f', 1],
        ] as const;
        assert.deepEqual(await payloadsAfterAbsence(t, broker, version, messages), ['a', 'b', 'c', 'd']);
      }
    },
    { config: 'queue_qos0_messages true\nmax_queued_messages 2', skip },
  );

  withBrokers('without queue_qos0_messages QoS 0 does not wait', async (t, broker) => {
    for (const version of versions) {
      const messages = [
        ['a', 0],
        ['b', 1],
        ['c', 0],
      ] as const;
      assert.deepEqual(await payloadsAfterAbsence(t, broker, version, messages), ['b']);
    }
  });

  withBrokers(
    'upgrade_outgoing_qos',
    async (t, broker) => {
      for (const version of versions) {
        const publisher = await RawClient.connect(t, broker, version);
        await publisher.publish(`up/${version}`, 'kept', { retain: true });
        const client = await RawClient.connect(t, broker, version);
        await client.subscribe(`up/${version}`, 2);
        await client.expectPublish(`up/${version}`, 'kept', { qos: 2, retain: true });
        publisher.sendPublish(`up/${version}`, 'zero');
        await client.expectPublish(`up/${version}`, 'zero', { qos: 2 });
        await client.subscribe(`up/${version}`, 1);
        await client.expectPublish(`up/${version}`, 'kept', { qos: 1, retain: true });
        await publisher.publish(`up/${version}`, 'two', { qos: 2 });
        await client.expectPublish(`up/${version}`, 'two', { qos: 1 });
      }
    },
    { config: 'upgrade_outgoing_qos true', skip },
  );

  withBrokers(
    'max_keepalive',
    async (t, broker) => {
      for (const keepAlive of [0, 11, 65_535]) {
        const client = await RawClient.connect(t, broker, 5, { keepAlive });
        assert.equal(client.connack!.properties.serverKeepAlive, 10);
        for (const version of [3, 4] as const) await expectRefused(t, broker, version, { keepAlive }, 2);
      }
      for (const version of versions) {
        const client = await RawClient.connect(t, broker, version, { keepAlive: 10 });
        assert.equal(client.connack!.properties.serverKeepAlive, undefined);
      }
    },
    { config: 'max_keepalive 10', skip },
  );

  withBrokers(
    'max_keepalive is what a silent client of MQTT 5.0 is measured by',
    async (t, broker) => {
      const client = await RawClient.connect(t, broker, 5, { keepAlive: 0 });
      assert.equal(client.connack!.properties.serverKeepAlive, 1);
      await client.expectClosed();
    },
    { config: 'max_keepalive 1', skip },
  );

  for (const option of ['max_connections', 'global_max_connections']) {
    withBrokers(
      option,
      async (t, broker) => {
        const first = await RawClient.connect(t, broker, 4, { clientId: 'round 0' });
        const second = await RawClient.connect(t, broker, 5);
        const third = await RawClient.open(t, broker, 5);
        await third.expectClosed();
        await broker.waitForLog(/Client connection from .* denied: max_connections exceeded\.$/);
        await second.expectSilence();
        // A client that closes and comes back finds a free place, as soon as its worker has seen the end.
        let client = first;
        for (let round = 0; round < 20; round += 1) {
          client.destroy();
          await broker.waitForLog(new RegExp(`: Client round ${round} \\[.* disconnected`));
          client = await RawClient.connect(t, broker, 4, { clientId: `round ${round + 1}` });
        }
      },
      { config: `listener {port} 127.0.0.1\nallow_anonymous true\n${option} 2`, skip },
    );
  }

  withBrokers(
    'global_max_clients counts who is away, too; a known client may always come back',
    async (t, broker) => {
      const away = await RawClient.connect(t, broker, 5, lasting('away'));
      await away.disconnect();
      const here = await RawClient.connect(t, broker, 4, { clientId: 'here' });
      await expectRefused(t, broker, 5, { clientId: 'third' }, ReasonCode.serverBusy);
      await expectRefused(t, broker, 4, { clientId: 'third' }, undefined);
      await expectRefused(t, broker, 3, { clientId: 'third' }, undefined);
      const back = await RawClient.connect(t, broker, 5, lasting('away'));
      assert.equal(back.connack!.sessionPresent, true);
      await here.disconnect();
      for (;;) {
        const third = await RawClient.open(t, broker, 5);
        third.send(connectPacket(5, { clientId: 'third' }));
        const { reasonCode } = await third.expectPacket('connack');
        if (reasonCode === 0) break;
      }
    },
    { config: 'global_max_clients 2', skip },
  );

  withBrokers(
    'clientid_prefixes',
    async (t, broker) => {
      for (const version of versions) {
        await RawClient.connect(t, broker, version, { clientId: `home-${version}` });
        const refused = version === 5 ? ReasonCode.notAuthorized : 5;
        for (const clientId of ['Home-1', 'hom', 'x-home-']) {
          await expectRefused(t, broker, version, { clientId }, refused);
        }
      }
    },
    { config: 'clientid_prefixes home-', skip },
  );

  withBrokers(
    'memory_limit: what waits may not take more',
    async (t, broker) => {
      const away = await RawClient.connect(t, broker, 4, lasting('away'));
      await away.subscribe('memory', 1);
      await away.disconnect();
      const publisher = await RawClient.connect(t, broker, 5);
      // The broker looks once a second.
      while ((await publisher.publish('memory', 'x'.repeat(1000))) === 0);
      await broker.waitForLog(/Messages take \d+ bytes, memory_limit is 20000: further ones are refused\.$/);
      assert.equal(await publisher.publish('memory', 'x', { qos: 2 }), ReasonCode.quotaExceeded);
      const old = await RawClient.connect(t, broker, 4, { clientId: 'old' });
      old.sendPublish('memory', 'x', { qos: 1 });
      await old.expectClosed();
      await broker.waitForLog(/Client old .*disconnected: out of memory\.$/);
      // Once the messages are gone everything is as before.
      await RawClient.connect(t, broker, 4, { clientId: 'away' });
      await broker.waitForLog(/Messages take less than memory_limit again/);
      while ((await publisher.publish('memory', 'x')) !== ReasonCode.noMatchingSubscribers);
    },
    { config: 'memory_limit 20000\nmax_queued_messages 0', skip },
  );

  for (const isChecked of [true, false]) {
    test(`check_retain_source ${isChecked}`, { skip }, async (t) => {
      const aclFile = join(makeFolder(t), 'acl');
      writeFileSync(aclFile, 'user alice\ntopic readwrite #\nuser bob\ntopic readwrite #\n');
      const config = `acl_file ${aclFile}\ncheck_retain_source ${isChecked}`;
      const broker = await startBroker(t, { config, workers: 2 });
      const alice = await RawClient.connect(t, broker, 5, { username: 'alice' });
      const bob = await RawClient.connect(t, broker, 5, { username: 'bob' });
      await alice.publish('from/alice', 'kept', { retain: true });
      await bob.publish('from/bob', 'kept', { retain: true });
      writeFileSync(aclFile, 'user alice\ntopic read #\nuser bob\ntopic readwrite #\n');
      broker.program.signal('SIGHUP');
      while ((await alice.publish('elsewhere', 'x')) !== ReasonCode.notAuthorized);
      // Each worker is told by itself: what bob sees on his is asked for until it is as it should be.
      const expected = isChecked ? ['from/bob'] : ['from/alice', 'from/bob'];
      for (;;) {
        await bob.subscribe('from/#');
        bob.send({ type: 'pingreq' });
        const topics: string[] = [];
        for (let packet = await bob.next(); packet.type !== 'pingresp'; packet = await bob.next()) {
          if (packet.type === 'publish') topics.push(packet.topic);
        }
        if (topics.join() === expected.join()) return;
        assert.ok(isChecked, `without the check ${topics.join()} came`);
      }
    });
  }
});
