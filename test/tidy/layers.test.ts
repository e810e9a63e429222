/**
 * Imports only go down: the code is held against the table of levels in `src/ARCHITECTURE.md`, which this test reads.
 * The other claims of that page about folders are checked here too.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { test } from 'node:test';
import { projectFolder } from '../support/project.js';

/** Folders of one level that may import each other, and why. */
const siblings: Readonly<Record<string, string>> = {
  'mqtt -> topic': 'a packet with an invalid topic does not decode',
  'mqtt -> model': 'a publication turns into a stored message and back',
  'model -> mqtt': 'stored records hold the types of packets',
  'log -> config': 'the log is opened as the settings say',
};

/** `L0` to this level know no clock, timer, random number, socket, process, thread or disk. */
const PURE_LEVEL_MAX = 4;

/** What a pure file may import from Node.js all the same. */
const pureImports: Readonly<Record<string, string>> = {
  'node:buffer': 'bytes in memory',
};

/** Pure files that may know one thing of the world, and why. `*` stands for a whole folder. */
const impureParts: Readonly<Record<string, string>> = {
  'log/*': 'holds the destinations of the log, which only `runtime` opens',
  'system/*': 'says what the operating system says, and is asked by folders that are not pure',
  'auth/password-hash.ts node:crypto': 'hashes passwords and makes their salts',
  'auth/password-hash.ts @node-rs/argon2': 'hashes passwords',
};

/** What reads the world without an import. */
const WORLD =
  /\b(?:set(?:Timeout|Interval|Immediate)\(|queueMicrotask\(|Date\.now\(|new Date\(\)|Math\.random\(|performance\.|process\.)/;

const levels = readLevels();
const folders = Object.keys(levels);
const sources = readdirSync(join(projectFolder, 'src'), { recursive: true, encoding: 'utf8' }).filter(
  (name) => name.endsWith('.ts'),
);
const texts = new Map(sources.map((file) => [file, readFileSync(join(projectFolder, 'src', file), 'utf8')]));

/** From the rows `| L3 | `routing` | … |`: folder below `src` to level. */
function readLevels(): Record<string, number> {
  const page = readFileSync(join(projectFolder, 'src', 'ARCHITECTURE.md'), 'utf8');
  const rows = [...page.matchAll(/^\| L(\d+) \| ([^|]+) \|/gm)];
  return Object.fromEntries(
    rows.flatMap(([, level, cell]) =>
      [...cell!.matchAll(/`([^`]+)`/g)].map(([, folder]) => [folder!, Number(level)]),
    ),
  );
}

/** The innermost folder of the table that holds a file; a file that the table names stands for itself. */
function folderOf(file: string): string {
  const holding = folders.filter((folder) => file === folder || file.startsWith(`${folder}/`));
  return holding.sort((a, b) => b.length - a.length)[0] ?? '';
}

function specifiersOf(file: string): string[] {
  return [...texts.get(file)!.matchAll(/(?:from|import\()\s*'([^']+)'/g)].map((match) => match[1]!);
}

/** As `specifiersOf`, without what is imported as types only. */
function loadedSpecifiersOf(file: string): string[] {
  const loading = /(?:^|\n)(?:import(?! type)|export(?! type))[^;]*?from\s*'([^']+)'|import\(\s*'([^']+)'/g;
  return [...texts.get(file)!.matchAll(loading)].map((match) => (match[1] ?? match[2])!);
}

const imports = sources.flatMap((file) =>
  specifiersOf(file)
    .filter((specifier) => specifier.startsWith('.'))
    .map((specifier) => {
      const target = normalize(join(dirname(file), specifier)).replace(/\.js$/, '.ts');
      return { file, from: folderOf(file), target, to: folderOf(target) };
    }),
);

test('every source lies in a folder of the table, and every folder of the table has sources', () => {
  assert.deepEqual(
    sources.filter((file) => folderOf(file) === ''),
    [],
  );
  assert.deepEqual(
    folders.filter((folder) => !sources.some((file) => folderOf(file) === folder)),
    ['../workers'],
  );
});

test('imports only go down', () => {
  const wrong = imports.filter(({ from, to }) => {
    if (from === to || siblings[`${from} -> ${to}`] !== undefined) return false;
    return to === '' || levels[to]! >= levels[from]!;
  });
  assert.deepEqual(
    wrong.map(({ file, target }) => `${file} imports ${target}`),
    [],
  );
});

test('main and workers share only what lies below both', () => {
  const across = imports.filter(
    ({ from, to }) =>
      /^runtime\/(main|worker)$/.test(from) && /^runtime\/(main|worker)$/.test(to) && from !== to,
  );
  assert.deepEqual(
    across.map(({ file, target }) => `${file} imports ${target}`),
    [],
  );
});

test('the lower levels know nothing of the world', () => {
  const wrong = sources
    .filter((file) => levels[folderOf(file)]! <= PURE_LEVEL_MAX)
    .filter((file) => impureParts[`${folderOf(file)}/*`] === undefined)
    .flatMap((file) => {
      const imported = loadedSpecifiersOf(file)
        .filter((name) => !name.startsWith('.') && pureImports[name] === undefined)
        .filter((name) => impureParts[`${file} ${name}`] === undefined);
      const code = texts.get(file)!.replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*|'[^'\n]*'/g, '');
      const used = WORLD.exec(code)?.[0];
      return [...imported, ...(used === undefined ? [] : [used])].map((what) => `${file} uses ${what}`);
    });
  assert.deepEqual(wrong, []);
});

test('each exception is needed', () => {
  const needless = Object.keys(impureParts).filter((part) => {
    const [file, name] = part.split(' ');
    return name === undefined
      ? !folders.includes(file!.replace('/*', ''))
      : !specifiersOf(file!).includes(name);
  });
  assert.deepEqual(needless, []);
  const used = new Set(imports.map(({ from, to }) => `${from} -> ${to}`));
  assert.deepEqual(
    Object.keys(siblings).filter((pair) => !used.has(pair)),
    [],
  );
});
