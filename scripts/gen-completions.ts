/** Writes the shell completions to deploy/completions. A test fails when they are stale. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { completionFiles } from './completions.js';

const folder = fileURLToPath(new URL('../../deploy/completions/', import.meta.url));

for (const [path, text] of completionFiles()) {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), text);
}
