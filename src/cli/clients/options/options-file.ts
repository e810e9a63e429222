/** Options files, which are read first; the command line overrides them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { encodingFault } from '../../../base/foreign-encoding.js';
import { decodeText } from './argument-text.js';
import type { ProgramName } from './client-settings.js';
import { UsageError } from './usage-error.js';

/** Bytes of a line; the rest of a longer line is ignored. */
const LINE_BYTES_MAX = 1023;

/**
 * The words of the file that `-o` names, or of the default one. A missing file has no words.
 * @throws UsageError
 */
export function optionsFileWords(program: ProgramName, commandLine: readonly string[]): string[] {
  const path = chosenFile(commandLine) ?? usualFile(program);
  const text = path === undefined ? undefined : readIfThere(path);
  if (path === undefined || text === undefined) return [];
  const fault = encodingFault('Options file', path, text);
  if (fault !== null) throw new UsageError(`${fault.error}\n${fault.help}`, 'none');
  return optionsFileToWords(text);
}

function chosenFile(commandLine: readonly string[]): string | undefined {
  const at = commandLine.indexOf('-o');
  if (at < 0) return undefined;
  const path = commandLine[at + 1];
  if (path === undefined) throw new UsageError('Error: -o argument given but no options file specified.');
  if (commandLine.includes('-o', at + 2)) throw new UsageError('Error: Duplicate -o argument given.');
  return path;
}

function usualFile(program: ProgramName): string | undefined {
  const { XDG_CONFIG_HOME: configHome, HOME: home, USERPROFILE: profile } = process.env;
  if (process.platform === 'win32') {
    return profile === undefined ? undefined : join(profile, `${program}.conf`);
  }
  if (configHome !== undefined) return join(configHome, program);
  return home === undefined ? undefined : join(home, '.config', program);
}

function readIfThere(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch {
    return undefined;
  }
}

/** Each line is an option; its value is everything after the first space; `#` begins a comment. */
export function optionsFileToWords(text: Buffer): string[] {
  const words: string[] = [];
  for (const line of text.toString('latin1').split('\n')) {
    const bytes = Buffer.from(line.slice(0, LINE_BYTES_MAX).replace(/\r+$/, ''), 'latin1');
    const option = decodeText(bytes);
    if (option === '' || option.startsWith('#')) continue;
    const space = option.indexOf(' ');
    if (space < 0) words.push(option);
    else words.push(option.slice(0, space), option.slice(space + 1));
  }
  return words;
}
