/**
 * `midge check`: what a configuration file means, and what in it is wrong, weak, idle, deprecated, or was something else
 * under an earlier version of Mosquitto. Reads only; `midge --test-config` says no more than whether the broker takes it.
 */
import { lstatSync, readFileSync, statSync } from 'node:fs';
import { hostname } from 'node:os';
import type { ConfigSource } from '../../../config/config-source.js';
import { examineConfig } from '../../../config/load-config.js';
import { nodeConfigSource } from '../../../runtime/shared/node-config-source.js';
import { cLibraryErrorText } from '../../../system/system-error.js';
import { type CommandOutput, standardOutput } from '../command-output.js';
import { changedSince } from './changed-since.js';
import {
  type Examined,
  type FileLook,
  type Finding,
  findingKinds,
  type MosquittoVersion,
  mosquittoVersions,
} from './finding.js';
import { type InForce, inForce, inForceLines } from './in-force.js';
import { linesWithoutEffect } from './lines-without-effect.js';
import { namedFiles } from './named-files.js';
import { weakSettings } from './weak-settings.js';

export const CHECK_USAGE = `Usage: midge check --config FILE [--from VERSION] [--json]

 --config  the broker's configuration file. It and the files that it names are read, nothing is written or opened.
 --from    the version of Mosquitto that the file was written for: ${mosquittoVersions.join(', ')}. Lines and defaults that
           meant something else there are named.
 --json    print what was found as JSON.

Exit status: 0 nothing was found, 1 something was, 2 the broker would not start or lets nobody in, 3 wrong use.
`;

const EXIT_NOTHING = 0;
const EXIT_FOUND = 1;
const EXIT_ERROR = 2;
const EXIT_USAGE = 3;

export interface CheckCommand {
  readonly config: string;
  readonly from: MosquittoVersion | undefined;
  readonly isJson: boolean;
}

/** What a check reads beside the configuration. */
export interface CheckWorld {
  /** Of the configuration's own files. */
  readonly source: ConfigSource;
  readonly look: (path: string) => FileLook;
  readonly now: Date;
}

export interface CheckResult {
  /** `undefined` if the configuration is refused. */
  readonly inForce: InForce | undefined;
  /** Errors first; those of a kind in the order of files and lines. */
  readonly findings: readonly Finding[];
}

/** @param args the words after `midge check` @returns the exit code */
export function runCheckCommand(
  args: readonly string[],
  output: CommandOutput = standardOutput,
  world: CheckWorld = { source: nodeConfigSource, look: lookAtFile, now: new Date() },
): number {
  if (args.includes('--help') || args.includes('-h')) {
    output.stdout(CHECK_USAGE);
    return EXIT_NOTHING;
  }
  const command = parseCheckArguments(args);
  if (command === null) {
    output.stderr(CHECK_USAGE);
    return EXIT_USAGE;
  }
  const result = checkConfig(command, world);
  output.stdout(
    command.isJson ? `${JSON.stringify({ file: command.config, ...result }, null, 2)}\n` : report(result),
  );
  if (result.findings.some(({ kind }) => kind === 'error')) return EXIT_ERROR;
  return result.findings.length > 0 ? EXIT_FOUND : EXIT_NOTHING;
}

/** @returns `null` if they are wrong */
export function parseCheckArguments(args: readonly string[]): CheckCommand | null {
  const options = new Map<string, string>();
  let isJson = false;
  for (let i = 0; i < args.length; i += 1) {
    const word = args[i]!;
    const value = args[i + 1];
    if (word === '--json') isJson = true;
    else if (!['--config', '-c', '--from'].includes(word) || value === undefined) return null;
    else {
      options.set(word === '-c' ? '--config' : word, value);
      i += 1;
    }
  }
  const config = options.get('--config');
  const from = options.get('--from');
  if (config === undefined || (from !== undefined && !isVersion(from))) return null;
  return { config, from, isJson };
}

function isVersion(word: string): word is MosquittoVersion {
  return (mosquittoVersions as readonly string[]).includes(word);
}

export function checkConfig({ config, from }: CheckCommand, { source, look, now }: CheckWorld): CheckResult {
  const { settings, draft, messages } = examineConfig({
    source,
    configFile: config,
    hostname: hostname(),
  });
  const faults = messages.faults.map(
    ({ error, help, place }): Finding => ({ kind: 'error', place, text: bare(error), advice: help }),
  );
  if (settings === undefined) return { inForce: undefined, findings: faults };
  const examined: Examined = { settings, draft, look, now };
  const warnings = messages.lines
    .filter(({ type }) => type === 'warning')
    .map(
      ({ text }): Finding => ({ kind: 'doubtful', place: undefined, text: bare(text), advice: undefined }),
    );
  const findings = [
    ...warnings,
    ...weakSettings(examined),
    ...linesWithoutEffect(examined),
    ...namedFiles(examined),
    ...(from === undefined ? [] : changedSince(examined, from)),
  ];
  return { inForce: inForce(examined), findings: withoutRepeats(findings).toSorted(inOrder) };
}

const bare = (text: string) => text.replace(/^(Error|Warning): /, '');

/** What holds for several listeners by one line is said once. */
function withoutRepeats(findings: readonly Finding[]): Finding[] {
  return [...new Map(findings.map((finding) => [JSON.stringify(finding), finding])).values()];
}

function inOrder(one: Finding, other: Finding): number {
  const byKind = findingKinds.indexOf(one.kind) - findingKinds.indexOf(other.kind);
  if (byKind !== 0) return byKind;
  const [here, there] = [one.place, other.place];
  if (here === undefined || there === undefined)
    return Number(here !== undefined) - Number(there !== undefined);
  return here.file === there.file ? here.line - there.line : here.file.localeCompare(there.file);
}

function report({ inForce: meaning, findings }: CheckResult): string {
  const blocks: string[] = [];
  if (meaning !== undefined) blocks.push(inForceLines(meaning).join('\n'));
  for (const kind of findingKinds) {
    const found = findings.filter((finding) => finding.kind === kind);
    if (found.length > 0) blocks.push([`${kind}:`, ...found.flatMap(findingLines)].join('\n'));
  }
  if (findings.length === 0) blocks.push('Nothing was found.');
  return `${blocks.join('\n\n')}\n`;
}

function findingLines({ place, text, advice }: Finding): string[] {
  const where = place === undefined ? '' : `${place.file}:${place.line}: `;
  return [`  ${where}${text}`, ...(advice === undefined ? [] : [`    ${advice}`])];
}

function lookAtFile(path: string): FileLook {
  try {
    const stats = statSync(path);
    if (stats.isDirectory()) return { kind: 'folder' };
    // A pipe or a device would be waited for.
    if (!stats.isFile()) return { kind: 'unreadable', isHidden: false, reason: 'it is not a file' };
    return {
      kind: 'file',
      bytes: readFileSync(path),
      mode: stats.mode,
      isLink: lstatSync(path).isSymbolicLink(),
    };
  } catch (error) {
    const isHidden = (error as NodeJS.ErrnoException).code === 'EACCES';
    return { kind: 'unreadable', isHidden, reason: cLibraryErrorText(error) };
  }
}
