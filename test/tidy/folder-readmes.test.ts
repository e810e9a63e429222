/**
 * A folder with more than a handful of files says in a README what lives there and where to begin. A room may leave that
 * to the folder around it, and `test/unit` has the same folders as `src`.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { test } from 'node:test';
import { projectFolder } from '../support/project.js';

const FILES_MAX = 6;

const folders = ['src', 'test'].flatMap((top) =>
  readdirSync(join(projectFolder, top), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name)),
);

function filesIn(folder: string): string[] {
  const entries = readdirSync(folder, { withFileTypes: true });
  return entries.filter((entry) => entry.isFile() && /\.(ts|c|h)$/.test(entry.name)).map(({ name }) => name);
}

/** Whether the README of the folder around a room says where to begin in it. */
function isCoveredAbove(folder: string): boolean {
  const readme = join(dirname(folder), 'README.md');
  return existsSync(readme) && readFileSync(readme, 'utf8').includes(`\`${basename(folder)}/`);
}

test('each folder with many files has a README', () => {
  const bare = folders.filter(
    (folder) =>
      filesIn(folder).length > FILES_MAX &&
      !folder.startsWith(join(projectFolder, 'test', 'unit', '')) &&
      !existsSync(join(folder, 'README.md')) &&
      !isCoveredAbove(folder),
  );
  assert.deepEqual(bare, []);
});
