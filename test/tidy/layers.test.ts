/** Imports only go down: the levels of `src/ARCHITECTURE.md`, held against the code. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { test } from 'node:test';
import { projectFolder } from '../support/project.js';

/** A folder may import those of lower levels only. */
const levels: Readonly<Record<string, number>> = {
  base: 0,
  mqtt: 1,
  topic: 1,
  model: 1,
  session: 2,
  retained: 2,
  auth: 2,
  config: 2,
  'mosquitto-db': 2,
  log: 2,
  metrics: 2,
  sys: 2,
  routing: 3,
  broker: 4,
  client: 4,
  net: 5,
  store: 5,
  bridge: 6,
  runtime: 7,
  cli: 8,
};

/** Siblings of one level that may know each other, and why. */
const siblings: Readonly<Record<string, string>> = {
  'mqtt -> topic': 'a packet with an invalid topic does not decode',
  'mqtt -> model': 'a publication turns into a stored message and back',
  'model -> mqtt': 'stored records hold the types of packets',
  'log -> config': 'the log is opened as the settings say',
};

/** Levels in which nothing is read from the world. */
const PURE_BELOW = 2;

interface Import {
  file: string;
  from: string;
  to: string;
}

const sources = readdirSync(join(projectFolder, 'src'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => join('src', name));

/** `main` for files that lie in `src` itself. */
function folderOf(file: string): string {
  const [, folder, inside] = file.split('/');
  return inside === undefined ? 'main' : folder!;
}

function importsOf(file: string): { specifier: string }[] {
  const text = readFileSync(join(projectFolder, file), 'utf8');
  return [...text.matchAll(/(?:from|import\()\s*'([^']+)'/g)].map((match) => ({ specifier: match[1]! }));
}

const imports: Import[] = sources.flatMap((file) =>
  importsOf(file)
    .filter(({ specifier }) => specifier.startsWith('.'))
    .map(({ specifier }) => ({
      file,
      from: folderOf(file),
      to: folderOf(relative('.', normalize(join(dirname(file), specifier)))),
    })),
);

test('every folder has its level', () => {
  const folders = new Set(sources.map(folderOf));
  folders.delete('main');
  assert.deepEqual(
    [...folders].filter((folder) => levels[folder] === undefined),
    [],
  );
});

test('imports only go down', () => {
  const wrong = imports.filter(({ from, to }) => {
    if (from === to || from === 'main' || siblings[`${from} -> ${to}`] !== undefined) return false;
    return to === 'main' || levels[to]! >= levels[from]!;
  });
  assert.deepEqual(
    wrong.map(({ file, to }) => `${file} imports ${to}`),
    [],
  );
});

test('the lowest levels know nothing of the world', () => {
  const wrong = sources.flatMap((file) => {
    const level = levels[folderOf(file)];
    if (level === undefined || level >= PURE_BELOW) return [];
    return importsOf(file)
      .filter(({ specifier }) => specifier.startsWith('node:'))
      .map(({ specifier }) => `${file} imports ${specifier}`);
  });
  assert.deepEqual(wrong, []);
});
