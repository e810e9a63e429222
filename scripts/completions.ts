/** Completions of the commands' options for bash, zsh and fish, made from the option table. */
import type { ProgramName } from '../src/cli/clients/options/client-settings.js';
import { optionsOf } from '../src/cli/clients/options/option-parser.js';
import type { OptionArgument, OptionRow } from '../src/cli/clients/options/option-table.js';
import { PROPERTY_COMMANDS, propertyNames } from '../src/cli/clients/options/property-option.js';
import { SIGNAL_NAMES } from '../src/cli/signal/signal-arguments.js';

export const PROGRAMS: readonly ProgramName[] = ['mosquitto_pub', 'mosquitto_sub', 'mosquitto_rr'];

/** Commands whose first word is an option or a name, and whose others are files or process ids. */
interface PlainCommand {
  name: string;
  /** What may come first, with what it does. */
  first: readonly (readonly [word: string, help: string])[];
  /** What may come behind. */
  others: readonly string[] | 'file';
}

const PLAIN_COMMANDS: readonly PlainCommand[] = [
  {
    name: 'mosquitto_signal',
    first: [
      ['-a', 'Signal all brokers on this machine'],
      ['-p', 'Signal the process with this id'],
      ['--help', 'Print the usage'],
    ],
    others: SIGNAL_NAMES,
  },
  {
    name: 'mosquitto_db_dump',
    first: [
      ['--stats', 'Count the records'],
      ['--client-stats', 'Count subscriptions and messages of each client'],
      ['--json', 'Print everything as JSON'],
      ['--help', 'Print the usage'],
    ],
    others: 'file',
  },
];

/** Path below `deploy/completions` → text. Each shell finds a command's file by its name. */
export function completionFiles(): Map<string, string> {
  const files = new Map<string, string>();
  for (const program of PROGRAMS) {
    files.set(`bash/${program}`, bashCompletion(program));
    files.set(`zsh/_${program}`, zshCompletion(program));
    files.set(`fish/${program}.fish`, fishCompletion(program));
  }
  for (const command of PLAIN_COMMANDS) {
    files.set(`bash/${command.name}`, plainBashCompletion(command));
    files.set(`zsh/_${command.name}`, plainZshCompletion(command));
    files.set(`fish/${command.name}.fish`, plainFishCompletion(command));
  }
  return files;
}

const PLAIN_GENERATED = 'Made from scripts/completions.ts by `npm run generate`.';

function plainBashCompletion({ name, first, others: behind }: PlainCommand): string {
  const others =
    behind === 'file'
      ? 'compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur")'
      : bashWords(behind);
  return `# Completion of ${name} for bash. ${PLAIN_GENERATED}

_${name}() {
  local cur=\${COMP_WORDS[COMP_CWORD]}
  COMPREPLY=()
  if ((COMP_CWORD == 1)) && [[ $cur == -* || -z $cur ]]; then
    ${bashWords(first.map(([word]) => word))}
    return
  fi
  ${others}
}
complete -F _${name} ${name}
`;
}

function plainZshCompletion({ name, first, others: behind }: PlainCommand): string {
  const options = first.map(([word, help]) => `'(-)${word}[${help}]'`);
  const others = behind === 'file' ? "'*:file:_files'" : `'*:signal:(${behind.join(' ')})'`;
  return `#compdef ${name}
# Completion of ${name} for zsh. ${PLAIN_GENERATED}

_arguments ${[...options, others].join(' \\\n  ')}
`;
}

function plainFishCompletion({ name, first, others: behind }: PlainCommand): string {
  const options = first.map(([word, help]) => {
    const flag = word.startsWith('--') ? `-l ${word.slice(2)}` : `-s ${word.slice(1)}`;
    return `complete -c ${name} -n __fish_is_first_arg ${flag} -d '${help}'`;
  });
  const others = behind === 'file' ? [] : [`complete -c ${name} -f -a '${behind.join(' ')}'`];
  return [`# Completion of ${name} for fish. ${PLAIN_GENERATED}`, ...others, ...options, ''].join('\n');
}

const GENERATED = 'Made from the option table by `npm run generate`.';

/** Options that make sense more than once. */
const REPEATABLE = new Set(['-D', '-T', '-U', '-t']);

function namesOf({ short, long }: OptionRow): string[] {
  return [short, long].filter((name) => name !== undefined);
}

function isRepeatable(program: ProgramName, { short }: OptionRow): boolean {
  const once = short === '-t' && program !== 'mosquitto_sub';
  return !once && REPEATABLE.has(short ?? '');
}

// ---------------------------------------------------------------------------------------------------- bash

function bashCompletion(program: ProgramName): string {
  const options = optionsOf(program);
  const values = options.filter(({ argument }) => typeof argument === 'object').map(bashValue);
  return `# Completion of ${program} for bash. ${GENERATED}

_${program}() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD - 1]}
  COMPREPLY=()
  if ((COMP_CWORD >= 3)) && [[ \${COMP_WORDS[COMP_CWORD - 2]} == @(-D|--property) ]]; then
    case $prev in
${PROPERTY_COMMANDS.map((command) => `      ${command}) ${bashWords(propertyNames(command))} ;;`).join('\n')}
    esac
    return
  fi
  case $prev in
    -D|--property) ${bashWords(PROPERTY_COMMANDS)}; return ;;
${values.join('\n')}
  esac
  ${bashWords(options.flatMap(namesOf))}
}
complete -F _${program} ${program}
`;
}

function bashWords(words: readonly string[]): string {
  return `mapfile -t COMPREPLY < <(compgen -W '${words.join(' ')}' -- "$cur")`;
}

/** A line of the `case` over the word before. */
function bashValue(option: OptionRow): string {
  const { complete } = option.argument as OptionArgument;
  return `    ${namesOf(option).join('|')}) ${bashAction(complete)}return ;;`;
}

function bashAction(complete: OptionArgument['complete']): string {
  if (complete === undefined) return '';
  if (complete === 'file' || complete === 'directory') {
    const kind = complete === 'file' ? '-f' : '-d';
    return `compopt -o filenames; mapfile -t COMPREPLY < <(compgen ${kind} -- "$cur"); `;
  }
  return `${bashWords(complete)}; `;
}

// ----------------------------------------------------------------------------------------------------- zsh

function zshCompletion(program: ProgramName): string {
  const lines = optionsOf(program).map((option) => `  ${zshOption(program, option)} \\`);
  return `#compdef ${program}
# Completion for zsh. ${GENERATED}

_arguments \\
${lines.join('\n')}
  && return 0
`;
}

/** `'(-q --qos)'{-q,--qos}'[help]:QOS:(0 1 2)'` */
function zshOption(program: ProgramName, option: OptionRow): string {
  const names = namesOf(option);
  const repeated = isRepeatable(program, option);
  const exclusion = repeated ? '*' : `(${names.join(' ')})`;
  const spec = `[${zshEscape(option.help)}]${zshArgument(option.argument)}`;
  return names.length === 1
    ? `'${exclusion}${names[0]}${spec}'`
    : `'${exclusion}'{${names.join(',')}}'${spec}'`;
}

function zshArgument(argument: OptionRow['argument']): string {
  if (argument === undefined) return '';
  if (argument === 'properties') {
    const names = [...new Set(PROPERTY_COMMANDS.flatMap(propertyNames))];
    return `:COMMAND:(${PROPERTY_COMMANDS.join(' ')}):NAME:(${names.join(' ')}):VALUE:`;
  }
  return `:${argument.name}:${zshAction(argument.complete)}`;
}

function zshAction(complete: OptionArgument['complete']): string {
  if (complete === undefined) return '';
  if (complete === 'file') return '_files';
  if (complete === 'directory') return '_files -/';
  return `(${complete.join(' ')})`;
}

function zshEscape(text: string): string {
  return text.replace(/[[\]:\\]/g, '\\$&').replaceAll("'", "'\\''");
}

// ---------------------------------------------------------------------------------------------------- fish

function fishCompletion(program: ProgramName): string {
  const lines = optionsOf(program).map((option) => fishOption(program, option));
  return `# Completion of ${program} for fish. ${GENERATED}

complete -c ${program} -f
${lines.join('\n')}
`;
}

function fishOption(program: ProgramName, { short, long, argument, help }: OptionRow): string {
  const names = [
    ...(short === undefined ? [] : [`-s ${short.slice(1)}`]),
    ...(long === undefined ? [] : [`-l ${long.slice(2)}`]),
  ];
  const description = `-d '${help.replace(/[\\']/g, '\\$&')}'`;
  return ['complete', `-c ${program}`, ...names, ...fishArgument(argument), description].join(' ');
}

function fishArgument(argument: OptionRow['argument']): string[] {
  if (argument === undefined) return [];
  if (argument === 'properties') return [`-x -a '${PROPERTY_COMMANDS.join(' ')}'`];
  const { complete } = argument;
  if (complete === undefined) return ['-x'];
  if (complete === 'file') return ['-r -F'];
  if (complete === 'directory') return ["-x -a '(__fish_complete_directories)'"];
  return [`-x -a '${complete.join(' ')}'`];
}
