/** The texts of `--help` and `--version`, made from the option table. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { ProgramName } from './client-settings.js';
import { optionsOf } from './option-parser.js';
import type { OptionRow } from './option-table.js';

/** The Mosquitto release whose commands these replace. */
const MOSQUITTO_VERSION = '2.1.2';

const PURPOSE: Readonly<Record<ProgramName, string>> = {
  mosquitto_pub: 'publishes MQTT messages: one, a file, or a line at a time.',
  mosquitto_sub: 'subscribes to MQTT topics and prints the messages that arrive.',
  mosquitto_rr: 'publishes an MQTT request and prints the response.',
};

const SYNOPSIS: Readonly<Record<ProgramName, string>> = {
  mosquitto_pub: '[OPTIONS] {-t TOPIC | -L URL} {-m TEXT | -f FILE | -l | -n | -s}',
  mosquitto_sub: '[OPTIONS] {-t FILTER ... | -U FILTER ... | -L URL}',
  mosquitto_rr: '[OPTIONS] -t REQUEST-TOPIC -e RESPONSE-TOPIC {-m TEXT | -f FILE | -n | -s}',
};

/** Columns. */
const HELP_INDENT = 8;
const LINE_WIDTH = 80;

export function versionText(program: ProgramName): string {
  return `${program} version ${MOSQUITTO_VERSION} running on midge ${packageVersion()}.\n`;
}

/** The version in the nearest package.json above this file: built files lie at different depths. */
function packageVersion(): string {
  let folder = import.meta.dirname;
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder);
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')).version;
}

export function usageText(program: ProgramName): string {
  const head = `${program} ${PURPOSE[program]}\n${versionText(program)}`;
  const options = optionsOf(program).map(optionText).join('\n');
  return `${head}\nUsage: ${program} ${SYNOPSIS[program]}\n       ${program} --help\n\n${options}\n`;
}

function optionText(option: OptionRow): string {
  return ` ${optionSynopsis(option)}\n${wrap(option.help)}`;
}

function optionSynopsis({ short, long, argument }: OptionRow): string {
  const names = [short, long].filter((name) => name !== undefined).join(', ');
  if (argument === undefined) return names;
  return `${names} ${argument === 'properties' ? 'COMMAND NAME VALUE' : argument.name}`;
}

function wrap(text: string): string {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && HELP_INDENT + line.length + 1 + word.length > LINE_WIDTH) {
      lines.push(line);
      line = '';
    }
    line = line === '' ? word : `${line} ${word}`;
  }
  lines.push(line);
  return lines.map((part) => ' '.repeat(HELP_INDENT) + part).join('\n');
}
