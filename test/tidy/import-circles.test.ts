/**
 * No file of `src` imports, by whatever way round, a file that imports it; imports of types count too. State that
 * operations work on so lies apart from them, and a reader can begin at a file that needs none of the others.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { test } from 'node:test';
import { projectFolder } from '../support/project.js';

const source = join(projectFolder, 'src');
const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((name) =>
  name.endsWith('.ts'),
);

const imported = new Map(
  files.map((file) => {
    const text = readFileSync(join(source, file), 'utf8');
    const specifiers = [...text.matchAll(/(?:from|import\()\s*'(\.[^']+)'/g)].map((match) => match[1]!);
    return [file, specifiers.map((name) => normalize(join(dirname(file), name)).replace(/\.js$/, '.ts'))];
  }),
);

/** All files that a file imports, be it through others. */
function reachedFrom(file: string): Set<string> {
  const reached = new Set<string>();
  const open = [file];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    for (const target of imported.get(next) ?? []) {
      if (reached.has(target)) continue;
      reached.add(target);
      open.push(target);
    }
  }
  return reached;
}

test('no files import each other in a circle', () => {
  const reached = new Map(files.map((file) => [file, reachedFrom(file)]));
  const circles = new Set(
    files
      .filter((file) => reached.get(file)!.has(file))
      .map((file) =>
        [...reached.get(file)!]
          .filter((other) => reached.get(other)?.has(file))
          .sort()
          .join(', '),
      ),
  );
  assert.deepEqual([...circles], []);
});
