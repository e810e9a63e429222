/** The parser from words of a command line or an options file to settings, by the option table. */
import type { ClientSettings, ProgramName } from './client-settings.js';
import { OPTION_TABLE, type OptionRow } from './option-table.js';
import { takePropertyOption } from './property-option.js';
import { UsageError } from './usage-error.js';

/** A request for a text instead of a run. */
export type Request = 'help' | 'version' | undefined;

const LETTERS: Readonly<Record<ProgramName, string>> = {
  mosquitto_pub: 'P',
  mosquitto_sub: 'S',
  mosquitto_rr: 'R',
};

/** The options of one program. */
export function optionsOf(program: ProgramName): OptionRow[] {
  return OPTION_TABLE.filter(({ clients }) => clients.includes(LETTERS[program]));
}

/**
 * Each option's value is the next word: options are neither joined with it nor with each other.
 * @throws UsageError at the first word that is wrong
 */
export function parseOptions(settings: ClientSettings, words: readonly string[]): Request {
  const options = optionsOf(settings.program);
  for (let at = 0; at < words.length; ) {
    const word = words[at]!;
    const option = options.find(({ short, long }) => word === short || word === long);
    if (option === undefined) throw new UsageError(`Error: Unknown option '${word}'.`, 'one-blank-line');
    if (option.long === '--help') return 'help';
    if (option.long === '--version') return 'version';
    at += 1;
    at += applyOption(settings, option, words, at);
  }
  return undefined;
}

/**
 * @param at behind the option's name
 * @returns how many words its value took
 */
function applyOption(
  settings: ClientSettings,
  option: OptionRow,
  words: readonly string[],
  at: number,
): number {
  if (option.argument === 'properties') {
    settings.version = 5;
    return takePropertyOption(settings.properties, words.slice(at));
  }
  if (option.argument === undefined) {
    option.set!(settings, '');
    return 0;
  }
  const value = words[at];
  if (value === undefined) throw new UsageError(missingArgument(option, option.argument.what));
  option.set!(settings, value);
  return 1;
}

function missingArgument({ missing, shownAs, short, long }: OptionRow, what: string): string {
  return missing ?? `Error: ${shownAs ?? short ?? long} argument given but no ${what} specified.`;
}
