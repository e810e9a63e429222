/** Waits between attempts and the choice of addresses, with dice that fall as they are told. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { AddressList, Backoff } from '../../../src/bridge/reconnect.js';

const jitter = (baseSeconds: number, capSeconds: number, stableSeconds = 0) =>
  ({ kind: 'jitter', baseSeconds, capSeconds, stableSeconds }) as const;
const lowest = () => 0;
const highest = () => 1 - Number.EPSILON;
const never = () => assert.fail('no dice are needed');

describe('restart_timeout', () => {
  test('one number: always the same wait, whatever happened', () => {
    const backoff = new Backoff({ kind: 'constant', seconds: 7 }, never);
    for (const connectedMs of [0, 0, 100_000, 0]) {
      assert.deepEqual(backoff.next(connectedMs), { delayMs: 7000, wasStable: false });
    }
  });

  test('the first wait lies between the base and twice the base', () => {
    assert.equal(new Backoff(jitter(5, 30), lowest).next(0).delayMs, 5000);
    assert.equal(new Backoff(jitter(5, 30), highest).next(0).delayMs, 10_000);
  });

  test('further ones between the base and three times the one before, up to the cap', () => {
    const backoff = new Backoff(jitter(5, 60), highest);
    const waits = Array.from({ length: 5 }, () => backoff.next(0).delayMs);
    assert.deepEqual(waits, [10_000, 30_000, 60_000, 60_000, 60_000]);
  });

  test('a stable connection: the base again', () => {
    const backoff = new Backoff(jitter(5, 60, 10), highest);
    backoff.next(0);
    backoff.next(0);
    assert.deepEqual(backoff.next(10_000), { delayMs: 5000, wasStable: true });
    assert.equal(backoff.next(0).delayMs, 15_000);
  });

  test('one that was lost too soon counts as a failure', () => {
    const backoff = new Backoff(jitter(5, 60, 10), highest);
    backoff.next(0);
    assert.deepEqual(backoff.next(9999), { delayMs: 30_000, wasStable: false });
  });

  test('without a period every connection was stable', () => {
    const backoff = new Backoff(jitter(5, 60), highest);
    backoff.next(0);
    assert.deepEqual(backoff.next(1), { delayMs: 5000, wasStable: true });
  });

  test('no wait is shorter than the base or longer than the cap', () => {
    const dice = fc.array(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), { minLength: 1 });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 100 }),
        fc.integer({ min: 0, max: 1000 }),
        dice,
        (base, more, thrown) => {
          const throws = [...thrown];
          const backoff = new Backoff(jitter(base, base + more), () => throws.shift()!);
          for (const _ of thrown) {
            const { delayMs } = backoff.next(0);
            assert.ok(delayMs >= base * 1000 && delayMs <= (base + more) * 1000, `${delayMs}`);
          }
        },
      ),
    );
  });
});

describe('addresses', () => {
  const addresses = [1, 2, 3].map((port) => ({ host: 'broker.example', port }));

  test('each failure moves on to the next one, and from the last to the first', () => {
    const list = new AddressList(addresses, true);
    const ports = Array.from({ length: 5 }, () => {
      const { port } = list.current;
      list.moveOn();
      return port;
    });
    assert.deepEqual(ports, [1, 2, 3, 1, 2]);
  });

  test('the first is asked for again only while another one serves', () => {
    const list = new AddressList(addresses, false);
    assert.equal(list.wantsProbe, false);
    list.moveOn();
    assert.equal(list.wantsProbe, true);
    list.backToPrimary();
    assert.equal(list.wantsProbe, false);
    assert.equal(list.current.port, 1);
  });

  test('with round_robin all are alike', () => {
    const list = new AddressList(addresses, true);
    list.moveOn();
    assert.equal(list.wantsProbe, false);
  });
});
