/** Generated files are what their sources make of them. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { generatedFiles } from '../../scripts/generated-files.js';
import { projectFolder } from '../support/project.js';

for (const [path, text] of await generatedFiles()) {
  test(path, () => {
    const file = join(projectFolder, path);
    const found = existsSync(file) ? readFileSync(file, 'utf8') : '';
    assert.ok(found === text, `${path} is stale: run "npm run generate" and commit what it writes.`);
  });
}
