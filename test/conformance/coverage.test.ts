/** No statement is forgotten. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { listConformanceTests, missingStatements } from '../../scripts/conformance-docs.js';
import { type Standard, standards } from './statements.js';

const tests = await listConformanceTests();

test('every statement about servers has a test, or a reason why it has none', () => {
  assert.deepEqual(missingStatements(tests), []);
});

test('no statement is listed twice', () => {
  for (const standard of Object.keys(standards) as Standard[]) {
    const numbers = standards[standard].map(([number]) => number);
    assert.equal(new Set(numbers).size, numbers.length, `MQTT ${standard}`);
  }
});
