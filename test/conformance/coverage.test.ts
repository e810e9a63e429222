/** No statement is forgotten, and the page about them is up to date. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { conformancePage, listConformanceTests, missingStatements } from '../../scripts/conformance-docs.js';
import { projectFolder } from '../support/project.js';
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

test('the list of statements and tests is up to date', () => {
  const page = readFileSync(join(projectFolder, 'test', 'conformance', 'README.md'), 'utf8');
  assert.equal(page, conformancePage(tests), 'run node dist/scripts/gen-conformance.js after a build');
});
