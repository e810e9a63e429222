/** The table of promises in the store's README: each cell names a test, and there is such a test. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { projectFolder } from '../support/project.js';

const NOT_THIS_MODE = '–';

test('each promise of src/store/README.md names a test that exists', () => {
  const readme = readFileSync(join(projectFolder, 'src', 'store', 'README.md'), 'utf8');
  const section = readme.split('\n## ').find((text) => text.startsWith('What is promised'))!;
  const [, , ...rows] = section.split('\n').filter((line) => line.startsWith('|'));
  assert.ok(rows.length > 5);
  const faults = rows.flatMap((row) => {
    const [fault, ...cells] = row.split('|').slice(1, -1);
    return cells.flatMap((cell, i) =>
      faultsOf(cell).map((text) => `${fault!.trim()}, mode ${i + 1}: ${text}`),
    );
  });
  assert.deepEqual(faults, []);
});

function faultsOf(cell: string): string[] {
  if (cell.trim() === NOT_THIS_MODE) return [];
  const names = [...cell.matchAll(/`([^`:]+): ([^`]+)`/g)];
  if (names.length === 0) return ['no test is named'];
  return names.flatMap(([, file, name]) => {
    const path = join(projectFolder, 'test', `${file}.test.ts`);
    if (!existsSync(path)) return [`there is no test/${file}.test.ts`];
    return readFileSync(path, 'utf8').includes(name!) ? [] : [`${file} has no test "${name}"`];
  });
}
