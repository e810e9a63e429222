import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Publication } from '../../../../src/mqtt/publication.js';
import { unpackRecords } from '../../../../src/routing/wire.js';
import type { Supervisor } from '../../../../src/runtime/main/supervisor.js';
import { SysPublisher } from '../../../../src/runtime/main/sys-publisher.js';

test('the tree is published at once, and then on seconds that sys_interval divides', (t) => {
  const start = Date.UTC(2024, 0, 1, 0, 0, 3, 250);
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'], now: start });
  /** Uptimes, with the time in seconds of the minute at which they were published. */
  const published: [second: number, uptime: string][] = [];
  const supervisor: Pick<Supervisor, 'clients' | 'retainedMessages' | 'count' | 'publish'> = {
    clients: 0,
    retainedMessages: 0,
    count: () => 0,
    publish: (records) =>
      unpackRecords(records, new Publication(), (publication) => {
        assert.deepEqual([publication.qos, publication.retain], [2, true]);
        const topic = publication.buffer.subarray(publication.topicStart, publication.topicEnd);
        if (Buffer.from(topic).toString() !== '$SYS/broker/uptime') return;
        published.push([(Date.now() % 60_000) / 1000, Buffer.from(publication.payload()).toString()]);
      }),
  };
  const source = {
    supervisor: supervisor as Supervisor,
    sockets: () => 0,
    faults: () => 0,
    store: () => ({}),
  };
  const publisher = new SysPublisher(source, 'midge version 1');
  const pass = (seconds: number): void => {
    for (let quarters = seconds * 4; quarters > 0; quarters -= 1) t.mock.timers.tick(250);
  };
  publisher.start(5);
  pass(12);
  publisher.start(10); // as at a reload
  pass(20);
  publisher.start(0);
  pass(60);
  assert.deepEqual(published, [
    [3.25, '0 seconds'],
    [5, '1 seconds'],
    [10, '6 seconds'],
    [15, '11 seconds'],
    [20, '16 seconds'],
    [30, '26 seconds'],
  ]);
});
