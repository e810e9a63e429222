/**
 * The differential run lets pass only what stands on the page for those who come from Mosquitto, and what the page says
 * of the protocol is checked by a test, or has a reason why it is not.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { LISTED_DIFFERENCES } from '../support/differential/listed-differences.js';
import { SEEN_DIFFERENCES } from '../support/differential/seen-differences.js';
import { projectFolder } from '../support/project.js';

const page = readFileSync(join(projectFolder, 'docs', 'from-mosquitto.md'), 'utf8');

/** Rows of the protocol that neither table has: the test of Midge's side, or why there is none. */
const OTHERWISE: Readonly<Record<string, string>> = {
  'a will delay with a session that ends': 'test/conformance/will.test.ts',
  'overlapping subscriptions of an MQTT 5.0 client': 'test/integration/limits.test.ts',
  'more unacknowledged QoS 2 messages than': 'test/conformance/flow-control.test.ts',
  '`max_packet_size`': 'test/integration/limits.test.ts',
  '`$CONTROL/broker/v1`: JSON': 'test/integration/control-api.test.ts',
  'small packets to clients': 'a time, which depends on the machine',
  'QoS 0 messages for a worker': 'test/unit/broker/workers.test.ts',
  'much memory is occupied': 'test/unit/broker/memory-budget.test.ts',
};

test('the page has each difference that a table of the tests recognises', () => {
  const names = [...LISTED_DIFFERENCES.map(({ name }) => name), ...SEEN_DIFFERENCES.map(({ row }) => row)];
  assert.deepEqual(
    names.filter((name) => !page.includes(`| ${name}`)),
    [],
  );
});

test('each row of the page about the protocol is in a table of the tests, or is tested otherwise', () => {
  const [, section] = /^### Protocol$([\s\S]*?)^### /m.exec(page)!;
  const rows = [...section!.matchAll(/^\| ([^|]+) \|/gm)].map(([, name]) => name!);
  assert.ok(rows.length > 30, rows.join('\n'));
  const known = [
    ...LISTED_DIFFERENCES.map(({ name }) => name),
    ...SEEN_DIFFERENCES.map(({ row }) => row),
    ...Object.keys(OTHERWISE),
  ];
  assert.deepEqual(
    rows.filter((row) => !known.some((name) => row.startsWith(name))),
    [],
  );
  const files = Object.values(OTHERWISE).filter((where) => where.startsWith('test/'));
  assert.deepEqual(
    files.filter((file) => !existsSync(join(projectFolder, file))),
    [],
  );
});
