import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ServiceManager, type Timers } from '../../../../src/runtime/process/service-manager.js';
import { python, skipWithout } from '../../../support/brokers/debian.js';
import { ServiceManager as Receiver } from '../../../support/brokers/service-manager.js';
import { until } from '../../../support/within.js';

const more = { pid: process.pid, state: ['EXTEND_TIMEOUT_USEC=30000000'] };
const log = { mask: 0, write: () => {} };

/** What is due when time passes. */
class VirtualTimers {
  #now = 0;
  #timers: { at: number; call: () => void }[] = [];

  setTimeout(call: () => void, ms: number): { unref: () => unknown } {
    const timer = { at: this.#now + ms, call, unref: () => timer };
    this.#timers.push(timer);
    return timer;
  }

  clearTimeout(timer: unknown): void {
    this.#timers = this.#timers.filter((one) => one !== timer);
  }

  pass(ms: number): void {
    const until = this.#now + ms;
    for (let next = this.#nextBy(until); next !== undefined; next = this.#nextBy(until)) {
      this.#now = next.at;
      this.clearTimeout(next);
      next.call();
    }
    this.#now = until;
  }

  #nextBy(time: number): { at: number; call: () => void } | undefined {
    return this.#timers.filter(({ at }) => at <= time).sort((a, b) => a.at - b.at)[0];
  }
}

test('a start and an end that take long ask for more time, but not for ever', {
  skip: skipWithout(python),
}, async (t) => {
  const receiver = await Receiver.start(t);
  const timers = new VirtualTimers();
  const environment = { NOTIFY_SOCKET: receiver.socket, WATCHDOG_USEC: '60000000', OTHER: 'stays' };
  const manager = new ServiceManager(environment, log, timers as unknown as Timers);
  assert.deepEqual(environment, { OTHER: 'stays' });
  timers.pass(25_000);
  manager.ready('up');
  manager.watch(() => true);
  timers.pass(30_000); // half of what the watchdog waits: one sign of life after 20 s
  manager.reloading();
  manager.stopping();
  manager.ready('a reload that was under way');
  timers.pass(3600 * 1000);
  await until(() => receiver.told.length >= 24, 'three minutes of asking');
  const { told } = receiver;
  assert.deepEqual(told.slice(0, 2), [more, more]);
  assert.deepEqual(
    told.slice(2, 4).map(({ state }) => state),
    [['READY=1', 'STATUS=up'], ['WATCHDOG=1']],
  );
  assert.equal(told[4]!.state[0], 'RELOADING=1');
  assert.deepEqual(told[5]!.state, ['STOPPING=1', 'STATUS=Stopping']);
  assert.deepEqual(told.slice(6), Array(18).fill(more));
});
