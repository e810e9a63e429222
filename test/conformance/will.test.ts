/** Wills: when they are published, how, and when not. */
import assert from 'node:assert/strict';
import type { DisconnectPacket, Properties, Will } from '../../src/mqtt/packets.js';
import { ReasonCode } from '../../src/mqtt/reason-codes.js';
import type { RawClient } from '../support/clients/raw-client.js';
import { runStatements, type Scene, statement } from './statement.js';

function will(topic: string, fields: Partial<Will> = {}): Will {
  return { topic, payload: Buffer.from('gone'), qos: 0, retain: false, properties: {}, ...fields };
}

async function watch(scene: Scene): Promise<RawClient> {
  const watcher = await scene.connect();
  await watcher.subscribe(`${scene.id}/#`, 2);
  return watcher;
}

/** Nothing of what was published so far is on its way: a message from another connection comes at once. */
async function expectNothingFor(scene: Scene, watcher: RawClient): Promise<void> {
  const publisher = await scene.connect();
  await publisher.publish(`${scene.id}/end`, 'end');
  const { packetId } = await watcher.expectPublish(`${scene.id}/end`, 'end');
  watcher.sendAck('puback', packetId);
}

statement(
  { v3: '', v4: '3.1.2-8 3.1.2-9', v5: '3.1.2-7 3.1.2-8 3.1.2-9' },
  'a will is published when its connection breaks, closes without DISCONNECT, or breaks a rule',
  async (scene) => {
    const watcher = await watch(scene);
    const ends: readonly [how: string, end: (client: RawClient) => void][] = [
      ['broken', (client) => client.destroy()],
      ['closed', (client) => client.end()],
      ['faulty', (client) => client.send('3600')],
    ];
    for (const [how, end] of ends) {
      const client = await scene.connect({ will: will(`${scene.id}/${how}`) });
      end(client);
      await watcher.expectPublish(`${scene.id}/${how}`, 'gone', { qos: 0, retain: false });
    }
  },
);

statement(
  { v3: '', v4: '3.1.2-8 3.1.2-24', v5: '3.1.2-8 3.1.2-22' },
  'a will is published when the keep alive is over',
  async (scene) => {
    const watcher = await watch(scene);
    await scene.connect({ keepAlive: 1, will: will(`${scene.id}/w`) });
    await watcher.expectPublish(`${scene.id}/w`, 'gone');
  },
);

statement(
  { v3: '', v4: '3.1.2-10 3.14.4-3 3.1.2-12', v5: '3.1.2-10 3.14.4-3' },
  'DISCONNECT discards the will; without a will none is published',
  async (scene) => {
    const watcher = await watch(scene);
    const client = await scene.connect({ will: will(`${scene.id}/w`) });
    await client.disconnect();
    const without = await scene.connect({ clientId: `${scene.id}x` });
    without.destroy();
    // The same client again, without a will: the old one is not published either.
    const again = await scene.connect({ clientId: `${scene.id}x` });
    again.destroy();
    await scene.broker.waitForLog(new RegExp(`Client ${scene.id}x .*disconnected`));
    await expectNothingFor(scene, watcher);
  },
);

statement({ v3: '', v4: '3.1.2-10', v5: '3.1.2-10' }, 'a will is published once', async (scene) => {
  const watcher = await watch(scene);
  const client = await scene.connectLasting(scene.id, { will: will(`${scene.id}/w`) });
  client.destroy();
  await watcher.expectPublish(`${scene.id}/w`, 'gone');
  const again = await scene.connectLasting(scene.id);
  again.destroy();
  await scene.connectLasting(scene.id);
  await expectNothingFor(scene, watcher);
});

statement(
  { v3: '', v4: '3.1.2-16 3.1.2-17 3.1.2-9', v5: '3.1.2-14 3.1.2-15 3.1.2-9' },
  'QoS and retain of a will are as CONNECT says',
  async (scene) => {
    const watcher = await watch(scene);
    for (const qos of [0, 1, 2] as const) {
      for (const retain of [false, true]) {
        const topic = `${scene.id}/${qos}/${retain}`;
        const client = await scene.connect({ will: will(topic, { qos, retain }) });
        client.destroy();
        await watcher.expectPublish(topic, 'gone', { qos, retain: false });
        const later = await scene.connect();
        await later.subscribe(topic, 2);
        if (retain) await later.expectPublish(topic, 'gone', { qos, retain: true });
        else await later.expectSilence();
        later.destroy();
      }
    }
  },
);

statement(
  { v3: '', v4: '3.1.2-8 3.1.4-2', v5: '3.1.2-8 3.1.4-3' },
  'the will of a connection whose session is not wanted any more',
  async (scene) => {
    const watcher = await watch(scene);
    await scene.connect({ clientId: scene.id, will: will(`${scene.id}/w`) });
    await scene.connect({ clientId: scene.id });
    await watcher.expectPublish(`${scene.id}/w`, 'gone');
  },
);

statement({ v3: '', v4: '3.1.2-9', v5: '3.1.2-9' }, 'a will may be empty', async (scene) => {
  const watcher = await watch(scene);
  const client = await scene.connect({ will: will(`${scene.id}/w`, { payload: Buffer.of() }) });
  client.destroy();
  await watcher.expectPublish(`${scene.id}/w`, '');
});

// ---- MQTT 5.0

statement(
  { v5: '3.1.2-8 3.1.2-10 3.14.4-3' },
  'DISCONNECT with another reason than 0x00 leaves the will in force',
  async (scene) => {
    const watcher = await watch(scene);
    const codes = [
      ReasonCode.disconnectWithWillMessage,
      ReasonCode.unspecifiedError,
      ReasonCode.receiveMaximumExceeded,
    ];
    for (const reasonCode of codes) {
      const topic = `${scene.id}/${reasonCode}`;
      const client = await scene.connect({ will: will(topic) });
      client.send({ type: 'disconnect', reasonCode, properties: {} } satisfies DisconnectPacket);
      await watcher.expectPublish(topic, 'gone');
    }
  },
);

statement({ v5: '3.1.2-8' }, 'a will waits for its delay, or the end of the session', async (scene) => {
  const watcher = await watch(scene);
  const connect = async (
    topic: string,
    willDelayInterval: number,
    sessionExpiryInterval: number,
  ): Promise<void> => {
    const client = await scene.connect({
      properties: { sessionExpiryInterval },
      will: will(`${scene.id}/${topic}`, { properties: { willDelayInterval } }),
    });
    client.destroy();
  };
  await connect('delayed', 1, 600);
  await connect('session ends first', 600, 2);
  // A session that ends with its connection leaves no time for a delay.
  await connect('at once', 600, 0);
  await watcher.expectPublish(`${scene.id}/at once`, 'gone');
  await watcher.expectPublish(`${scene.id}/delayed`, 'gone');
  await watcher.expectPublish(`${scene.id}/session ends first`, 'gone');
});

statement({ v5: '3.1.3-9' }, 'a client that is back within the delay: no will', async (scene) => {
  const watcher = await watch(scene);
  const options = scene.lasting(scene.id);
  const delayed = will(`${scene.id}/w`, { properties: { willDelayInterval: 1 } });
  const client = await scene.connect({ ...options, will: delayed });
  client.destroy();
  const back = await scene.connect(options);
  // Another will whose delay ends later shows that the first one's time has passed.
  const other = await scene.connect(
    scene.lasting(`${scene.id}o`, { will: { ...delayed, topic: `${scene.id}/o` } }),
  );
  other.destroy();
  await watcher.expectPublish(`${scene.id}/o`, 'gone');
  await expectNothingFor(scene, watcher);
  await back.expectSilence();
});

statement(
  { v3: '', v4: '3.1.2-8 3.1.4-2', v5: '3.1.2-8 3.1.4-3' },
  'another connection ends the first one, whose will is due though the session goes on',
  async (scene) => {
    const watcher = await watch(scene);
    const options = scene.lasting(scene.id);
    const old = await scene.connect({ ...options, will: will(`${scene.id}/w`) });
    const taking = await scene.connect(options);
    await scene.expectFault(old, ReasonCode.sessionTakenOver);
    await watcher.expectPublish(`${scene.id}/w`, 'gone');
    assert.equal(taking.connack!.sessionPresent, scene.version !== 3);
    await taking.disconnect();
    await expectNothingFor(scene, watcher);
  },
);

statement(
  { v5: '3.1.3-9' },
  'a takeover that goes on with the session keeps the delayed will back',
  async (scene) => {
    const watcher = await watch(scene);
    const options = scene.lasting(scene.id);
    const old = await scene.connect({
      ...options,
      will: will(`${scene.id}/w`, { properties: { willDelayInterval: 600 } }),
    });
    await scene.connect(options);
    await scene.expectFault(old, ReasonCode.sessionTakenOver);
    await expectNothingFor(scene, watcher);
  },
);

statement({ v5: '3.1.2-8' }, 'a clean start ends the session, and with it the delay', async (scene) => {
  const watcher = await watch(scene);
  const client = await scene.connect(
    scene.lasting(scene.id, { will: will(`${scene.id}/w`, { properties: { willDelayInterval: 600 } }) }),
  );
  client.destroy();
  await scene.broker.waitForLog(new RegExp(`Client ${scene.id} .*disconnected`));
  await scene.connect({ clientId: scene.id });
  await watcher.expectPublish(`${scene.id}/w`, 'gone');
});

statement({ v5: '3.1.3-10 3.3.2-17' }, 'the properties of a will keep their order', async (scene) => {
  const watcher = await watch(scene);
  for (const names of [
    ['responseTopic', 'contentType', 'userProperties', 'payloadFormatIndicator', 'correlationData'],
    ['userProperties', 'correlationData', 'payloadFormatIndicator', 'contentType', 'responseTopic'],
  ] as const) {
    const all = {
      payloadFormatIndicator: 1,
      contentType: 'text/plain',
      responseTopic: 'answer/here',
      correlationData: Buffer.from('c'),
      userProperties: [['n', 'v']] as [string, string][],
    };
    const properties = Object.fromEntries(names.map((name) => [name, all[name]]));
    const client = await scene.connect({ will: will(`${scene.id}/ordered`, { properties }) });
    client.destroy();
    const got = await watcher.expectPublish(`${scene.id}/ordered`, 'gone');
    assert.deepEqual(Object.keys(got.properties), names);
  }
});

statement(
  { v5: '3.1.3-10 3.3.2-4 3.3.2-15 3.3.2-16 3.3.2-20' },
  'the properties of a will are passed on as they came',
  async (scene) => {
    const watcher = await watch(scene);
    const properties: Properties = {
      payloadFormatIndicator: 1,
      contentType: 'text/plain',
      responseTopic: 'answer/here',
      correlationData: new Uint8Array([0, 255, 1]),
      userProperties: [
        ['b', '1'],
        ['a', '2'],
        ['b', '3'],
        ['', ''],
      ],
    };
    const client = await scene.connect({
      will: will(`${scene.id}/w`, {
        properties: { ...properties, messageExpiryInterval: 100, willDelayInterval: 0 },
      }),
    });
    client.destroy();
    await watcher.expectPublish(`${scene.id}/w`, 'gone', {
      properties: { ...properties, messageExpiryInterval: 100 },
    });
  },
);

runStatements(import.meta.url);
