/** A worker that stood still, because its process was stopped or had no time, judges nobody before it has read. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BrokerFixture } from '../../support/brokers/broker-fixture.js';

const STOOD_STILL_MS = 20_000;

test('after a standstill the bytes that wait are read first; who has sent nothing goes a second later', async () => {
  const fixture = new BrokerFixture();
  const lively = await fixture.connect(4, { keepAlive: 2 });
  const silent = await fixture.connect(4, { keepAlive: 2 });
  fixture.advance(1);
  fixture.now += STOOD_STILL_MS;
  fixture.advance(1); // the timer comes first, then the sockets
  assert.equal(lively.isClosed, false);
  assert.equal(silent.isClosed, false);
  lively.send({ type: 'pingreq' });
  fixture.advance(1);
  lively.expectPacket('pingresp');
  assert.equal(lively.isClosed, false);
  silent.expectClosed();
});
