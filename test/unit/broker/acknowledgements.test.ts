/** What an acknowledgement waits for: that what it stands for is stored, here and on other workers. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MemoryStore } from '../../../src/broker/memory-store.js';
import type { ProtocolVersion } from '../../../src/mqtt/packets.js';
import type { BrokerClient } from '../../support/brokers/broker-client.js';
import { BrokerFixture } from '../../support/brokers/broker-fixture.js';
import { testLink } from '../../support/brokers/links.js';
import { MemoryStorage } from '../../support/store/memory-storage.js';

/** A store that commits when the test says so. */
class TestStore extends MemoryStore {
  #changes = 0;
  #committed = 0;
  #waiting: { mark: number; callback: () => void }[] = [];

  override mark(): number {
    return this.#changes;
  }

  override markWithin(): number {
    return this.#changes;
  }

  override changedSince(mark = 0): boolean {
    return this.#changes > mark;
  }

  override whenSettled(_mark: number, callback: () => void): void {
    if (this.#committed === this.#changes) callback();
    else this.#waiting.push({ mark: this.#changes, callback });
  }

  override createSession(): never {
    return new MemoryStorage(() => {
      this.#changes += 1;
    }) as never;
  }

  /** Everything up to now is stored. */
  commit(): void {
    this.#committed = this.#changes;
    for (const { callback } of this.#waiting.splice(0)) callback();
  }
}

interface Scene {
  fixture: BrokerFixture;
  store: TestStore;
  publisher: BrokerClient;
  commit(): void;
}

/** A publisher, and a session that is kept and subscribes to "kept/#". */
async function scene(version: ProtocolVersion = 5): Promise<Scene> {
  const store = new TestStore();
  const fixture = new BrokerFixture({ store });
  const commit = (): void => {
    store.commit();
    fixture.flush();
  };
  const durable = await fixture.connect(4, { clientId: 'd', cleanStart: false });
  const request = {
    filter: 'kept/#',
    qos: 2,
    noLocal: false,
    retainAsPublished: false,
    retainHandling: 0,
  } as const;
  durable.send({ type: 'subscribe', packetId: 1, subscriptions: [request], properties: {} });
  durable.expectNothing();
  commit();
  durable.expectPacket('suback');
  durable.disconnect();
  commit();
  return { fixture, store, publisher: await fixture.connect(version), commit };
}

describe('an acknowledgement', () => {
  test('of QoS 1 waits until the message is stored for who is away', async () => {
    const { publisher, commit } = await scene();
    publisher.publish('kept/t', 'x', { qos: 1 });
    publisher.expectNothing();
    commit();
    publisher.expectPacket('puback', { packetId: 1, reasonCode: 0 });
  });

  test('does not wait where nothing is stored', async () => {
    const { publisher } = await scene();
    publisher.publish('other', 'x', { qos: 1 });
    publisher.expectPacket('puback', { packetId: 1 });
    publisher.publish('other', 'x', { qos: 2 });
    publisher.expectPacket('pubrec', { packetId: 2 });
  });

  test('leaves in the order of the messages [MQTT-4.6.0-2], though it need not wait itself', async () => {
    const { publisher, commit } = await scene();
    publisher.publish('kept/t', 'x', { qos: 1 });
    publisher.publish('other', 'x', { qos: 1 });
    publisher.publish('other', 'x', { qos: 2 });
    publisher.send({ type: 'pingreq' }); // this is none
    publisher.expectPacket('pingresp');
    publisher.expectNothing();
    commit();
    assert.deepEqual(
      publisher.take().map(({ type }) => type),
      ['puback', 'puback', 'pubrec'],
    );
  });

  test('of QoS 2 waits at each step that stores something', async () => {
    const { publisher, commit } = await scene(4);
    const kept = await publisherWithSession(publisher);
    kept.publish('kept/t', 'x', { qos: 2, packetId: 9 });
    kept.expectNothing();
    commit();
    kept.expectPacket('pubrec', { packetId: 9 });
    kept.ack('pubrel', 9);
    kept.expectNothing();
    commit();
    kept.expectPacket('pubcomp', { packetId: 9 });
  });

  /** The same fixture's client whose own session is kept, too. */
  async function publisherWithSession(client: BrokerClient): Promise<BrokerClient> {
    return client.fixture.connect(4, { clientId: 'p', cleanStart: false });
  }

  test('of UNSUBSCRIBE waits, too', async () => {
    const { fixture, commit } = await scene();
    const durable = await fixture.connect(4, { clientId: 'd', cleanStart: false });
    commit();
    durable.send({ type: 'unsubscribe', packetId: 3, filters: ['kept/#'], properties: {} });
    durable.expectNothing();
    commit();
    durable.expectPacket('unsuback', { packetId: 3 });
  });

  test('for a client that has gone meanwhile is not sent', async () => {
    const { publisher, commit } = await scene();
    publisher.publish('kept/t', 'x', { qos: 1 });
    publisher.breakOff();
    commit();
    publisher.expectNothing();
  });
});

describe('an acknowledgement of what another worker stores', () => {
  async function withWorker(version: ProtocolVersion = 5) {
    const at = await scene(version);
    const end = testLink(1);
    at.fixture.broker.cluster.add(end.link);
    at.fixture.broker.routes.setRemote(1, ['far/#', 1, true]);
    return { ...at, end };
  }

  test('waits until that worker has stored it', async () => {
    const { fixture, publisher, end } = await withWorker();
    publisher.publish('far/t', 'x', { qos: 1 });
    end.flush();
    publisher.expectNothing();
    const [batch] = end.port.take();
    assert.ok(batch?.kind === 'batch' && batch.awaited > 0);
    end.link.stored(batch.awaited);
    fixture.flush();
    publisher.expectPacket('puback', { packetId: 1, reasonCode: 0 });
  });

  test('does not wait for what nobody there keeps', async () => {
    const { fixture, publisher, end } = await withWorker();
    fixture.broker.routes.setRemote(1, ['near/#', 1]);
    publisher.publish('near/t', 'x', { qos: 1 });
    publisher.expectPacket('puback');
    end.flush();
    const [batch] = end.port.take();
    assert.ok(batch?.kind === 'batch' && batch.awaited === 0);
  });

  for (const version of [4, 5] as const) {
    test(`v${version}: never comes if that worker dies: the client has to connect and send again`, async () => {
      const { fixture, publisher, end } = await withWorker(version);
      publisher.publish('far/t', 'x', { qos: 1 });
      end.flush();
      fixture.broker.cluster.hold(1);
      fixture.flush();
      publisher.expectClosed(0x89);
    });
  }
});
