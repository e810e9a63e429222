/** What documents and examples show can be copied: configuration has options that exist, commands parse. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  checkSettings,
  defaultSettings,
  type ProgramName,
} from '../../src/cli/clients/options/client-settings.js';
import { parseOptions } from '../../src/cli/clients/options/option-parser.js';
import { aclExplain } from '../../src/cli/midge/acl-explain.js';
import { parseCheckArguments } from '../../src/cli/midge/check/check.js';
import { parseDbArguments } from '../../src/cli/midge/db-arguments.js';
import { parseStatusArguments } from '../../src/cli/midge/status.js';
import { parseCommandLine } from '../../src/config/cli-args.js';
import { findOption } from '../../src/config/option-schema.js';
import { projectFolder } from '../support/project.js';

/** Words that begin a line of an ACL file, which are not options (`topic` is one of a bridge, too). */
const ACL_WORDS = new Set(['user', 'topic', 'pattern']);

const documents = ['README.md', 'CONTRIBUTING.md', ...filesIn('docs', '.md'), ...filesIn('src', '.md')];
const texts = documents.map((path) => ({ path, text: read(path) }));
/** In the examples, commands are indented in comments. */
const examples = filesIn('deploy/examples', '.conf').map((path) => ({
  path,
  text: `\`\`\`\n${[...read(path).matchAll(/^# {3}(.*)$/gm)].map(([, line]) => line).join('\n')}\n\`\`\`\n`,
}));

test('configuration in documents has options that exist', () => {
  const blocks = texts.flatMap(({ path, text }) => configurationIn(text).map((lines) => ({ path, lines })));
  assert.ok(blocks.length > 2, 'the documents show configuration');
  assert.deepEqual(
    blocks.flatMap(({ path, lines }) => unknownOptions(lines).map((name) => `${path}: ${name}`)),
    [],
  );
});

test('commands in documents and examples are understood', () => {
  const commands = [...texts, ...examples].flatMap(({ path, text }) =>
    commandsIn(text).map((command) => ({ path, command })),
  );
  assert.ok(commands.length > 40, 'the documents show commands');
  assert.deepEqual(
    commands
      .filter(({ command }) => !isUnderstood(command))
      .map(({ path, command }) => `${path}: ${command}`),
    [],
  );
});

test('what cannot be copied is found', () => {
  const blocks = configurationIn('a\n```\nlistener 1\nprotocoll mqtt\n```\n```\nnpm start\n```\n');
  assert.deepEqual(blocks.map(unknownOptions), [['protocoll']]);
  const text =
    '```\n$ midge -c a.conf --test\n    ls | mosquitto_pub -l -t "a b" < c\n```\n`midge db stat FILE`, `midge db`';
  assert.deepEqual(commandsIn(text), [
    'midge -c a.conf --test',
    'mosquitto_pub -l -t "a b"',
    'midge db stat FILE',
  ]);
  assert.deepEqual(commandsIn(text).map(isUnderstood), [false, true, false]);
});

/** @returns the lines of each fenced block that begins with an option */
function configurationIn(text: string): string[][] {
  return fencedBlocks(text)
    .map((lines) => lines.map((line) => line.trim()).filter((line) => line !== '' && !line.startsWith('#')))
    .filter(([first = '']) => isOption(nameIn(first)) && !ACL_WORDS.has(nameIn(first)));
}

function unknownOptions(lines: readonly string[]): string[] {
  return lines.map(nameIn).filter((name) => !isOption(name));
}

function nameIn(line: string): string {
  return line.split(' ')[0]!;
}

function isOption(name: string): boolean {
  return findOption(name) !== undefined;
}

/** Our commands in fenced blocks, without what the shell does around them; in sentences, those with a placeholder. */
function commandsIn(text: string): string[] {
  const shown = /(?:^\s*|[$|] )((?:midge|mosquitto_(?:pub|sub|rr)) -?[a-z-].*)$/;
  const inBlocks = fencedBlocks(text)
    .flat()
    .flatMap((line) => line.match(shown)?.[1] ?? [])
    .map((line) => line.replace(/\s+(#|<|>|&&|\(then) ?.*$/, ''))
    .filter((line) => !/^(midge|mosquitto_\w+) (version|starting|running)/.test(line));
  const inSentences = [...text.matchAll(/`(midge [^`\n]*[A-Z]{2,}[^`\n]*)`/g)].map(([, command]) => command!);
  return [...inBlocks, ...inSentences];
}

function isUnderstood(command: string): boolean {
  const [program, ...args] = shellWords(command);
  if (program !== 'midge') {
    try {
      const settings = defaultSettings(program as ProgramName);
      const request = parseOptions(settings, args);
      if (request === undefined) checkSettings(settings);
      return true;
    } catch {
      return false;
    }
  }
  const [verb, ...rest] = args;
  if (verb === 'db') return parseDbArguments(rest) !== undefined;
  if (verb === 'status') return parseStatusArguments(rest) !== null;
  if (verb === 'check') return parseCheckArguments(rest) !== null;
  if (verb === 'acl') {
    const noFiles = { listenersOf: () => [], readFile: () => Buffer.alloc(0) };
    return rest[0] === 'explain' && !aclExplain(rest.slice(1), noFiles).stderr.startsWith('Usage');
  }
  const parsed = parseCommandLine(args, '0.0.0');
  return parsed.kind !== 'print' || parsed.exitCode === 0;
}

function shellWords(command: string): string[] {
  return [...command.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map(
    ([, single, double, plain]) => single ?? double ?? plain!,
  );
}

function fencedBlocks(text: string): string[][] {
  return [...text.matchAll(/^ *```\n([\s\S]*?)^ *```$/gm)].map(([, block]) => block!.split('\n'));
}

function filesIn(folder: string, ending: string): string[] {
  return readdirSync(join(projectFolder, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(ending))
    .map((name) => join(folder, name));
}

function read(path: string): string {
  return readFileSync(join(projectFolder, path), 'utf8');
}
