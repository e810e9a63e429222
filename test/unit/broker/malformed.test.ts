/** Every packet of the table of malformed ones, sent to a broker: what it answers, and what it logs. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BrokerFixture } from '../../support/brokers/broker-fixture.js';
import {
  type MalformedPacket,
  malformedConnects,
  malformedPackets,
} from '../../support/packets/malformed-packets.js';

function expectLogged({ log }: BrokerFixture, { message }: MalformedPacket): void {
  const lines = log.map((line) => line.replace(/^information (Protocol error from [^ ]+: )?/, ''));
  assert.ok(
    lines.some((line) => message.test(line)),
    `${message} is not in the log:\n${log.join('\n')}`,
  );
  for (const line of log) assert.doesNotMatch(line, /[{}]/, 'a name was not filled in');
}

describe('a malformed CONNECT', () => {
  for (const row of malformedConnects) {
    test(row.name, async () => {
      const fixture = new BrokerFixture();
      const client = fixture.open(row.version ?? 4);
      client.send(row.bytes);
      await fixture.settle();
      if (row.connackCode !== undefined) {
        client.expectPacket('connack', { sessionPresent: false, reasonCode: row.connackCode });
      }
      client.expectClosed();
      expectLogged(fixture, row);
      assert.equal(fixture.directory.claims.length, 0);
    });
  }
});

describe('a malformed packet of a connected client', () => {
  for (const row of malformedPackets.filter(({ origin }) => origin === 'client')) {
    test(row.name, async () => {
      const fixture = new BrokerFixture();
      const watcher = await fixture.connect();
      watcher.subscribe('#');
      const client = await fixture.connect(row.version ?? 4);
      fixture.log.length = 0;
      client.send(row.bytes);
      client.expectClosed(row.silent ? undefined : row.reasonCode);
      expectLogged(fixture, row);
      watcher.expectNothing();
    });
  }
});
