/**
 * What `acl_file` allows and forbids, on every road by which a message can reach a client. A client without rights
 * must neither get a byte of a message nor learn that there is one.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { describe, type TestContext, test } from 'node:test';
import type { ProtocolVersion } from '../../src/mqtt/packets.js';
import { ReasonCode } from '../../src/mqtt/reason-codes.js';
import { reload, writePasswords, writeSecret } from '../support/brokers/access-files.js';
import { type Broker, startBroker } from '../support/brokers/broker.js';
import { type Lifetime, makeFolder, shareInSuite } from '../support/cleanup.js';
import { RawClient } from '../support/clients/raw-client.js';

const versions: readonly ProtocolVersion[] = [3, 4, 5];

const USERS = { owner: 'o', guest: 'g' };

const RULES = `
topic read public/#
user owner
topic readwrite #
user guest
topic read public/#
topic write inbox
topic deny public/secret
pattern readwrite own/%c/#
pattern readwrite users/%u
`;

interface Guarded {
  broker: Broker;
  aclFile: string;
  /** With all rights. */
  owner: RawClient;
}

async function startGuarded(t: Lifetime, workers: number): Promise<Omit<Guarded, 'owner'>> {
  const folder = makeFolder(t);
  const aclFile = writeSecret(folder, 'acl', RULES);
  const passwordFile = await writePasswords(folder, USERS);
  const broker = await startBroker(t, {
    workers,
    config: `listener {port} 127.0.0.1\nallow_anonymous true\nacl_file ${aclFile}\npassword_file ${passwordFile}`,
  });
  return { broker, aclFile };
}

function as(user: keyof typeof USERS, clientId?: string) {
  return { username: user, password: Buffer.from(USERS[user]), ...(clientId !== undefined && { clientId }) };
}

/** A session that outlives its connection. */
function lasting(user: keyof typeof USERS, version: ProtocolVersion, clientId: string) {
  const properties = version === 5 ? { sessionExpiryInterval: 300 } : {};
  return { ...as(user, clientId), cleanStart: false, properties };
}

for (const workers of [1, 3]) {
  const title = `access rights [${workers} workers]`;
  describe(title, () => {
    const shared = shareInSuite(title, (suite) => startGuarded(suite, workers));
    const guarded = (name: string, fn: (t: TestContext, guarded: Guarded) => Promise<void>) =>
      test(name, async (t) => {
        const { broker, aclFile } = await shared();
        await fn(t, { broker, aclFile, owner: await RawClient.connect(t, broker, 5, as('owner')) });
      });

    // A broker logs a few denials, then counts them: who waits for a line comes first, and who is often denied last.
    guarded('the log tells which line denied a publish', async (t, { broker, aclFile }) => {
      const guest = await RawClient.connect(t, broker, 5, as('guest', 'teller'));
      await guest.publish('public/secret', 'x');
      await broker.waitForLog(/^\d+: Client teller may not publish 'public\/secret': /);
      const line = broker.log.find((text) => text.includes('may not publish'))!;
      assert.ok(line.includes(`${aclFile}:8 "topic deny public/secret"`), line);
    });

    guarded('a will', async (t, { broker, owner }) => {
      await owner.subscribe('#', 0);
      for (const version of versions) {
        for (const topic of ['private/will', '$SYS/broker/uptime']) {
          const will = {
            topic,
            payload: Buffer.from('last words'),
            qos: 1 as const,
            retain: true,
            properties: {},
          };
          const guest = await RawClient.connect(t, broker, version, { ...as('guest', `w${version}`), will });
          guest.destroy();
          await broker.waitForLog(
            new RegExp(`Client w${version} may not publish '${topic.replace('$', '\\$')}'`),
          );
        }
        await owner.expectSilence();
      }
    });

    guarded('live messages', async (t, { broker, owner }) => {
      for (const version of versions) {
        const guest = await RawClient.connect(t, broker, version, as('guest', `live${version}`));
        const anonymous = await RawClient.connect(t, broker, version);
        for (const [index, filter] of ['#', '+/+', 'private/x', '+/secret', 'inbox'].entries()) {
          await guest.subscribe(filter, 1, { packetId: index + 1 });
          await anonymous.subscribe(filter, 1, { packetId: index + 1 });
        }
        for (const topic of ['private/x', 'public/secret', 'inbox', 'own/other/x', 'users/owner']) {
          await owner.publish(topic, 'secret');
        }
        await guest.expectSilence();
        await owner.publish('public/secret', 'not for the guest');
        // Anonymous clients have other rules, which do not forbid it: once for each matching filter.
        for (let copies = 0; copies < 6; copies += 1) {
          const { packetId, topic } = await anonymous.expectPacket('publish');
          assert.equal(topic, 'public/secret');
          anonymous.sendAck('puback', packetId);
        }
        await guest.expectSilence();
      }
    });

    guarded('a shared subscription passes over who may not read', async (t, { broker, owner }) => {
      const guests = [
        await RawClient.connect(t, broker, 5, as('guest', 'share1')),
        await RawClient.connect(t, broker, 5, as('guest', 'share2')),
      ];
      const reader = await RawClient.connect(t, broker, 5, as('owner', 'share3'));
      for (const client of [...guests, reader]) await client.subscribe('$share/group/private/#', 1);
      for (let number = 0; number < 6; number += 1) await owner.publish('private/x', String(number));
      for (const guest of guests) await guest.expectSilence();
      const received: string[] = [];
      for (let number = 0; number < 6; number += 1) {
        const { packetId, payload } = await reader.expectPacket('publish');
        reader.sendAck('puback', packetId);
        received.push(Buffer.from(payload).toString());
      }
      // What another worker was asked for first may come later: the members share the topic, and with it its order.
      if (workers > 1) received.sort();
      assert.deepEqual(received, ['0', '1', '2', '3', '4', '5']);
      await reader.expectSilence();
    });

    guarded('a shared subscription of lasting sessions, exactly once', async (t, { broker }) => {
      const publisher = await RawClient.connect(t, broker, 5, lasting('owner', 5, 'sharing'));
      const guests = [
        await RawClient.connect(t, broker, 5, lasting('guest', 5, 'lasting1')),
        await RawClient.connect(t, broker, 5, lasting('guest', 5, 'lasting2')),
      ];
      const reader = await RawClient.connect(t, broker, 5, lasting('owner', 5, 'lasting3'));
      for (const client of [...guests, reader]) await client.subscribe('$share/group/private/#', 2);
      const sent = ['0', '1', '2', '3', '4', '5'];
      for (const payload of sent) await publisher.publish('private/x', payload, { qos: 2 });
      const received: { packetId: number; payload: string }[] = [];
      for (const _ of sent) {
        const { packetId, payload } = await reader.expectPacket('publish', { qos: 2 });
        received.push({ packetId, payload: Buffer.from(payload).toString() });
      }
      assert.deepEqual(received.map(({ payload }) => payload).sort(), sent);
      for (const { packetId } of received) {
        reader.sendAck('pubrec', packetId);
        await reader.expectPacket('pubrel', { packetId });
        reader.sendAck('pubcomp', packetId);
      }
      for (const client of [...guests, reader]) await client.expectSilence();
    });

    guarded('retained messages, whatever the retain handling', async (t, { broker, owner }) => {
      await owner.publish('private/x', 'retained', { retain: true });
      await owner.publish('public/secret', 'retained', { retain: true });
      for (const version of versions) {
        const guest = await RawClient.connect(t, broker, version, as('guest', `retained${version}`));
        for (const filter of ['#', 'private/+', '+/secret', '$share/g/private/x']) {
          for (const retainHandling of [0, 1] as const) {
            await guest.subscribe(filter, 1, version === 5 ? { retainHandling } : {});
          }
        }
        await guest.expectSilence();
      }
      for (const topic of ['private/x', 'public/secret']) await owner.publish(topic, '', { retain: true });
    });

    guarded(
      'messages that were queued, or in flight, for who comes back as another user',
      async (t, guard) => {
        const { broker, owner } = guard;
        for (const version of [4, 5] as const) {
          const id = `takeover${version}`;
          const first = await RawClient.connect(t, broker, version, lasting('owner', version, id));
          await first.subscribe('private/#', 2);
          await owner.publish('private/flight', 'in flight', { qos: 1 });
          await first.expectPublish('private/flight', 'in flight');
          first.destroy();
          await broker.waitForLog(new RegExp(`Client ${id} \\[.*disconnected`));
          await owner.publish('private/queued', 'queued', { qos: 1 });
          await owner.publish('private/queued', 'queued', { qos: 2 });
          const second = await RawClient.connect(t, broker, version, lasting('guest', version, id));
          assert.equal(second.connack?.sessionPresent, true);
          await second.expectSilence();
          // The subscription is still there, and gives nothing either.
          await owner.publish('private/live', 'live');
          await second.expectSilence();
        }
      },
    );

    guarded('rights that were there when a subscription was made', async (t, { broker, owner, aclFile }) => {
      const connected = await RawClient.connect(t, broker, 5, as('guest', 'connected'));
      const away = await RawClient.connect(t, broker, 5, lasting('guest', 5, 'away'));
      for (const client of [connected, away]) await client.subscribe('public/#', 1);
      away.destroy();
      await broker.waitForLog(/Client away \[.*disconnected/);
      await owner.publish('public/before', 'allowed when it was queued');
      const { packetId } = await connected.expectPublish('public/before', 'allowed when it was queued');
      connected.sendAck('puback', packetId);

      writeFileSync(aclFile, RULES.replace('user guest\ntopic read public/#', 'user guest'));
      await reload(broker);
      await owner.publish('public/after', 'not allowed any more');
      await owner.publish('public/retained', 'nor this', { retain: true });
      await connected.expectSilence();
      await connected.subscribe('public/retained', 1, { packetId: 2 });
      await connected.expectSilence();
      const back = await RawClient.connect(t, broker, 5, lasting('guest', 5, 'away'));
      assert.equal(back.connack?.sessionPresent, true);
      await back.expectSilence();

      writeFileSync(aclFile, RULES);
      await reload(broker);
      await owner.publish('public/again', 'allowed');
      await connected.expectPublish('public/again', 'allowed');
    });

    guarded('a wildcard or a slash in a name opens nothing', async (t, { broker, owner }) => {
      for (const clientId of ['+', '#', 'a/#', 'a/b', '$SYS']) {
        const guest = await RawClient.connect(t, broker, 5, as('guest', clientId));
        await guest.subscribe('own/#', 1);
        await owner.publish('own/a/b/x', 'for somebody else');
        await owner.publish('own/b', 'for somebody else');
        await guest.expectSilence();
        assert.equal(await guest.publish('own/a/b/x', 'x'), ReasonCode.notAuthorized, clientId);
      }
    });

    guarded('a publish is taken or refused, each version in its way', async (t, { broker }) => {
      for (const version of versions) {
        const guest = await RawClient.connect(t, broker, version, as('guest', `c${version}`));
        const denied = version === 5 ? ReasonCode.notAuthorized : 0;
        for (const qos of [1, 2] as const) {
          assert.equal(await guest.publish('public/news', 'x', { qos }), denied, `QoS ${qos}`);
          assert.equal(await guest.publish('own/other/x', 'x', { qos }), denied, `QoS ${qos}`);
        }
        for (const topic of ['inbox', `own/c${version}/x`, 'users/guest']) {
          assert.ok((await guest.publish(topic, 'x')) < 0x80, topic);
        }
        assert.equal(await guest.publish('$SYS/broker/version', 'x'), denied);
        assert.equal(await guest.publish('$share/g/inbox', 'x'), denied);
      }
    });
  });
}

test('denials are told of a few times, then counted', async (t) => {
  const { broker } = await startGuarded(t, 1);
  const guest = await RawClient.connect(t, broker, 5, as('guest'));
  for (let number = 0; number < 30; number += 1) await guest.publish(`private/${number}`, 'x');
  await broker.waitForLog(/20 further messages were denied/);
  assert.equal(broker.log.filter((line) => line.includes('may not publish')).length, 10);
});
