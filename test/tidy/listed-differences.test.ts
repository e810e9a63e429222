/** What the differential run lets pass stands on the page for those who come from Mosquitto. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { LISTED_DIFFERENCES } from '../support/differential/listed-differences.js';
import { projectFolder } from '../support/project.js';

test('docs/from-mosquitto.md has each difference that the differential run recognises', () => {
  const page = readFileSync(join(projectFolder, 'docs', 'from-mosquitto.md'), 'utf8');
  const missing = LISTED_DIFFERENCES.filter(({ name }) => !page.includes(`| ${name}`));
  assert.deepEqual(
    missing.map(({ name }) => name),
    [],
  );
});
