/**
 * The load generator: C, because one in JavaScript would be the bound of what is measured. It is compiled when it is
 * first used, and again if one of its sources has changed.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { builtFolder, projectFolder } from '../../support/project.js';

const sourceFolder = join(projectFolder, 'test', 'bench', 'load', 'generator');
const programFolder = join(builtFolder, 'test', 'bench', 'load', 'generator');
const program = join(programFolder, 'load');

/** What one run of the generator measured, by the names in its report. */
export type Report = Readonly<Record<string, number>>;

export interface GeneratorEnd {
  report: Report | undefined;
  /** 0: all arrived once and in order; 1: not so, see the report; else nothing was measured. */
  code: number;
  /** Why nothing was measured. */
  reason: string;
}

export function hasCompiler(): boolean {
  return spawnSync('cc', ['--version'], { stdio: 'ignore' }).status === 0;
}

/**
 * @returns the path of the program.
 * @throws with what to do if it cannot be compiled
 */
export function compileGenerator(): string {
  const sources = readdirSync(sourceFolder).map((name) => join(sourceFolder, name));
  if (isNewerThan(program, sources)) return program;
  if (!hasCompiler()) {
    throw new Error(
      'The load generator is written in C, and there is no C compiler `cc`: install gcc (Debian: gcc and libc6-dev).',
    );
  }
  mkdirSync(programFolder, { recursive: true });
  const compiled = `${program}.${process.pid}`;
  const modules = sources.filter((path) => path.endsWith('.c'));
  const options = ['-O2', '-std=gnu11', '-Wall', '-Wextra', '-o', compiled];
  const { status, stderr } = spawnSync('cc', [...options, ...modules], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`The load generator does not compile:\n${stderr}`);
  renameSync(compiled, program);
  return program;
}

function isNewerThan(path: string, sources: readonly string[]): boolean {
  const built = statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  return sources.every((source) => statSync(source).mtimeMs < built);
}

/**
 * Runs the generator to its end.
 *
 * @param args scenario and options, without port and process id
 * @param pid the broker's process, whose processor time and memory are measured
 */
export function runGenerator(args: readonly string[], port: number, pid: number): Promise<GeneratorEnd> {
  const path = compileGenerator();
  return new Promise((resolve, reject) => {
    const child = spawn(path, [...args, '--port', String(port), '--pid', String(pid)], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (text) => {
      stdout += text;
    });
    child.stderr.on('data', (text) => {
      stderr += text;
    });
    child.on('error', reject);
    child.on('close', (code, signal) => {
      const report = stdout === '' ? undefined : (JSON.parse(stdout) as Report);
      resolve({
        report,
        code: code ?? 2,
        reason: stderr.trim() || (signal === null ? '' : `ended by ${signal}`),
      });
    });
  });
}
