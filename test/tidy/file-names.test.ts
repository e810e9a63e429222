/**
 * What documents and comments name exists: files, folders, links, and the words after `npm run`. A reader who follows
 * a name that was left behind by a move loses more time than the sentence ever saved.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { test } from 'node:test';
import { projectFolder } from '../support/project.js';

/** Folders whose files are not ours. */
const FOREIGN = /^(node_modules|dist|\.git)(\/|$)/;
/** Files that are samples: what they name is not ours. */
const SAMPLE = /^test\/fixtures\/(?!.*README\.md$)/;
const SOURCE = /\.(ts|mjs|cjs)$/;

const paths = listFiles('');
const files = new Set(paths);
const folders = new Set(paths.flatMap((path) => ancestors(path)));
const documents = paths.filter((path) => path.endsWith('.md') && !SAMPLE.test(path));
const scripts: Record<string, string> = JSON.parse(read('package.json')).scripts;

test('files and folders that documents name exist', () => {
  assert.deepEqual(
    documents.flatMap((path) => unknownNames(path, read(path))),
    [],
  );
});

test('files that comments name exist', () => {
  const sources = paths.filter((path) => SOURCE.test(path) && !SAMPLE.test(path));
  assert.deepEqual(
    sources.flatMap((path) => unknownNames(path, commentsOf(read(path)))),
    [],
  );
});

test('links between documents lead to a file and to a heading', () => {
  assert.deepEqual(
    documents.flatMap((path) => brokenLinks(path, read(path))),
    [],
  );
});

test('commands that documents show are in package.json, and benchmarks in test/bench', () => {
  assert.deepEqual(
    documents.flatMap((path) => unknownCommands(path, read(path))),
    [],
  );
});

test('a name that leads nowhere is found', () => {
  assert.deepEqual(unknownNames('src/mqtt/README.md', 'a\n`varint.ts` and `utf8.ts`, `base/utf8.ts`'), [
    'src/mqtt/README.md:2: utf8.ts',
  ]);
  assert.deepEqual(unknownNames('src/mqtt/packets.ts', ' * see `publish-view.ts`, `packets.ts`'), [
    'src/mqtt/packets.ts:1: publish-view.ts',
  ]);
  assert.deepEqual(
    unknownNames('README.md', '`src/nothing/`, `src/net/dial*.ts`, `src/net/x*.ts`, `test/bench`'),
    ['README.md:1: src/nothing/', 'README.md:1: src/net/x*.ts'],
  );
  assert.deepEqual(unknownNames('README.md', 'run `node dist/scripts/gen-nothing.js`'), [
    'README.md:1: dist/scripts/gen-nothing.js',
  ]);
  assert.deepEqual(
    brokenLinks('src/ARCHITECTURE.md', '[a](../README.md) [b](store/none.md) [c](#no-such-part)'),
    ['src/ARCHITECTURE.md: store/none.md', 'src/ARCHITECTURE.md: #no-such-part'],
  );
  assert.deepEqual(
    unknownCommands('README.md', 'npm run bench\nnpm run nothing\nnpm run bench nothing\n`npm test`'),
    ['README.md: npm run nothing', 'README.md: npm run bench nothing'],
  );
  assert.equal(
    commentsOf("const a = 'x.ts'; // see main.ts\n/** main.ts */"),
    ' see main.ts\n/** main.ts */',
  );
});

/** File names with an ending of ours, and paths that begin in a folder of the project. */
function unknownNames(path: string, text: string): string[] {
  const names =
    /(?<![\w./@:-])(?:(?:\.\.?\/)*(?:[\w@.*-]+\/)*[\w.*-]*\w\.(?:ts|mjs|md|py)(?![\w/])|(?:src|test|scripts|deploy|docs|workers|dist)\/[\w@./*-]*[\w/])/g;
  return text
    .split('\n')
    .flatMap((line, index) =>
      [...line.matchAll(names)]
        .filter(([name]) => !exists(name, path))
        .map(([name]) => `${path}:${index + 1}: ${name}`),
    );
}

function exists(name: string, from: string): boolean {
  if (name.startsWith('../') || name.startsWith('./')) return isThere(normalize(join(dirname(from), name)));
  if (name.startsWith('dist/')) return isThere(sourceOf(name));
  if (isThere(name)) return true;
  const room = roomOf(from);
  const near = from.endsWith('.md') && room !== '' && !name.includes('/');
  const pattern = toPattern(name);
  return paths.some((path) => pattern.test(path) && (!near || path.startsWith(`${room}/`)));
}

/** In the README of a folder, a name without a folder is a file of that folder; elsewhere it may lie anywhere. */
function roomOf(path: string): string {
  return path.endsWith('/README.md') ? dirname(path) : '';
}

function isThere(path: string): boolean {
  const bare = path.replace(/\/$/, '');
  if (files.has(bare) || folders.has(bare)) return true;
  if (!path.includes('*')) return false;
  const pattern = toPattern(path);
  return paths.some((candidate) => pattern.test(candidate));
}

/** Matches paths that end with the name. A `*` stands for a part of one file's or folder's name. */
function toPattern(name: string): RegExp {
  const escaped = name.replace(/\/$/, '').replace(/[.+?^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`(^|/)${escaped.replaceAll('*', '[^/]*')}$`);
}

/** What a file in `dist` is built from. */
function sourceOf(path: string): string {
  const bare = path.slice('dist/'.length);
  return bare.endsWith('.js')
    ? `${bare.slice(0, -'.js'.length)}.ts`
    : bare.endsWith('.cjs')
      ? dirname(bare)
      : bare;
}

/** The lines of a source, each with nothing but its comment, so that line numbers stay. */
function commentsOf(text: string): string {
  return text
    .split('\n')
    .map((line) => (/^\s*(\/?\*|\/\/)/.test(line) ? line : (line.match(/(?<=\s\/\/)\s.*$/)?.[0] ?? '')))
    .join('\n');
}

function brokenLinks(path: string, text: string): string[] {
  return [...text.matchAll(/\]\(([^)\s]+)\)/g)]
    .map((match) => match[1]!)
    .filter((target) => !/^[a-z]+:/.test(target))
    .filter((target) => {
      const [file, heading] = target.split('#') as [string, string | undefined];
      const linked = file === '' ? path : normalize(join(dirname(path), file));
      if (!isThere(linked)) return true;
      return heading !== undefined && !headingsOf(file === '' ? text : read(linked)).has(heading);
    })
    .map((target) => `${path}: ${target}`);
}

/** The anchors that GitHub and npm make of headings. */
function headingsOf(text: string): Set<string> {
  const headings = [...text.matchAll(/^#+ (.*)$/gm)].map((match) => match[1]!);
  return new Set(
    headings.map((heading) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s_-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );
}

function unknownCommands(path: string, text: string): string[] {
  const benches = readdirSync(join(projectFolder, 'test', 'bench'), { recursive: true, encoding: 'utf8' });
  return [...text.matchAll(/npm run ([\w:-]+)(?: ([a-z][\w-]*))?/g)]
    .filter(([, script, word]) => {
      if (scripts[script!] === undefined) return true;
      return script === 'bench' && word !== undefined && !benches.some((file) => file.includes(word));
    })
    .map(([command]) => `${path}: ${command}`);
}

function listFiles(folder: string): string[] {
  return readdirSync(join(projectFolder, folder), { withFileTypes: true }).flatMap((item) => {
    const path = folder === '' ? item.name : `${folder}/${item.name}`;
    if (FOREIGN.test(path)) return [];
    return item.isDirectory() ? listFiles(path) : [path];
  });
}

function ancestors(path: string): string[] {
  const parent = dirname(path);
  return parent === '.' ? [] : [parent, ...ancestors(parent)];
}

function read(path: string): string {
  return readFileSync(join(projectFolder, path), 'utf8');
}
