/** What a worker answers to a batch: that it is stored, here and where it was passed on to. */
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { test } from 'node:test';
import type { MessagePort } from 'node:worker_threads';
import { MemoryStore } from '../../../../src/broker/memory-store.js';
import { Publication } from '../../../../src/mqtt/publication.js';
import type { LinkMessage } from '../../../../src/routing/messages.js';
import { RecordFlag } from '../../../../src/routing/wire.js';
import { WorkerLinks } from '../../../../src/runtime/worker/worker-links.js';
import { BrokerFixture } from '../../../support/brokers/broker-fixture.js';
import { testLink } from '../../../support/brokers/links.js';

/** What this worker posts, and what the test has arrive. */
class Port extends EventEmitter {
  readonly posted: LinkMessage[] = [];
  postMessage(message: LinkMessage): void {
    this.posted.push(message);
  }
}

/** A mark counts for its turn only, as with a store on disk. */
class TurnStore extends MemoryStore {
  turn = 0;
  settle: () => void = () => {};
  override mark(): number {
    return this.turn;
  }
  override whenSettled(mark: number, callback: () => void): void {
    assert.equal(mark, this.turn, 'a mark is used in the turn in which it was made');
    this.settle = callback;
  }
}

for (const order of ['elsewhere last', 'here last'] as const) {
  test(`a group's message that goes on to a third worker is stored once both have it: ${order}`, () => {
    const store = new TurnStore();
    const fixture = new BrokerFixture({ store });
    const { broker } = fixture;
    const links = new WorkerLinks(1, broker, { relieve: () => {}, ready: () => {} });
    const ports = { 0: new Port(), 2: new Port() };
    const peers = ([0, 2] as const).map((worker) => ({
      worker,
      port: ports[worker] as unknown as MessagePort,
    }));
    links.open(peers);
    broker.routes.setRemote(2, ['$share/g/#', 1, true]);
    // From worker 0, which believes that there is a member here: it has just left.
    const sender = testLink(1);
    const message = Publication.create({ topic: 't', payload: Buffer.of(), qos: 1, retain: false });
    sender.link.publish(message, RecordFlag.group, '$share/g/#');
    sender.link.whenStored(
      () => {},
      () => {},
    );
    sender.flush();
    const [batch] = sender.port.take();
    assert.ok(batch?.kind === 'batch' && batch.awaited > 0);
    ports[0].emit('message', batch);
    broker.flushList.flushAll();
    const stored = () => ports[0].posted.filter(({ kind }) => kind === 'stored' || kind === 'lost');
    const passedOn = ports[2].posted.find((posted) => posted.kind === 'batch');
    assert.ok(passedOn?.kind === 'batch' && passedOn.awaited > 0);
    store.turn += 1;
    const here = () => store.settle();
    const elsewhere = () => ports[2].emit('message', { kind: 'stored', batch: passedOn.awaited });
    const steps = order === 'here last' ? [elsewhere, here] : [here, elsewhere];
    steps[0]!();
    assert.deepEqual(stored(), []);
    store.turn += 1;
    steps[1]!();
    assert.deepEqual(stored(), [{ kind: 'stored', batch: batch.awaited }]);
  });
}
