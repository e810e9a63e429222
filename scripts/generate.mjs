/**
 * `npm run generate`: writes the files that are made from sources, such as src/config/OPTIONS.md from the table of
 * options. The list is scripts/generated-files.ts.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { prepareOrExit, root } from './prepare.mjs';

prepareOrExit({ develop: true });

const { generatedFiles } = await import('../dist/scripts/generated-files.js');
let changed = 0;
for (const [path, text] of await generatedFiles()) {
  const file = join(root, path);
  if (existsSync(file) && readFileSync(file, 'utf8') === text) continue;
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  console.log(`${path} is written.`);
  changed += 1;
}
if (changed === 0) console.log('All generated files are up to date.');
