/** The option table as pages: one to read, one to start a configuration from. */
import { optionGroups } from '../src/config/option-schema.js';
import type { OptionRow } from '../src/config/option-types.js';
import { valueSyntax } from '../src/config/value-syntax.js';

const repetition = { error: 'once', last: 'last counts', add: 'adds up' } as const;

/** `src/config/OPTIONS.md`. */
export function optionsPage(): string {
  const lines = [
    '# Options of `mosquitto.conf`',
    '',
    'Generated from the option table; change that, then run `npm run generate`.',
    '',
    'A line is `name value`; the name ends at the first space, and `#` in the first column begins a comment. An',
    'option of a listener applies to the `listener` line before it, an option of a bridge to the `connection` line',
    'before it. The security options apply to the whole broker, or to the listener before them under',
    '`per_listener_settings true`.',
    '',
    '*Since* is the first version of Mosquitto that has the option, `midge` marks our own. *Repeated* says what',
    'becomes of a second line. *Reload* says whether SIGHUP applies a change. *Works* says whether the option does',
    'what it says already: one that does not is accepted, and named in a warning at the start.',
  ];
  for (const { title, options } of optionGroups) {
    lines.push('', `## ${title}`, '');
    lines.push('| Option | Value | Default | Since | Repeated | Reload | Works | What it does |');
    lines.push('|---|---|---|---|---|---|---|---|');
    for (const [name, row] of Object.entries(options)) lines.push(tableRow(name, row));
  }
  return `${lines.join('\n')}\n`;
}

function tableRow(name: string, row: OptionRow): string {
  const cells = [
    [name, ...(row.aliases ?? [])].map((known) => `\`${known}\``).join('<br>'),
    valueSyntax(row.type),
    defaultValue(row),
    row.since === '1.4' ? '≤ 1.4' : row.since,
    repetition[row.repeat],
    row.reloadable ? 'yes' : 'no',
    worksText(row),
    [row.doc, ...remarks(row)].join(' '),
  ];
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}

function worksText(row: OptionRow): string {
  if (row.effective === 'never') return 'no effect';
  return row.effective ? 'yes' : 'not yet';
}

function remarks(row: OptionRow): string[] {
  const remarks: string[] = [];
  if (row.requires !== undefined) remarks.push('Needs a `listener` line before it.');
  if (row.reason !== undefined) remarks.push(`No effect: ${row.reason}.`);
  if (row.deprecated !== undefined) remarks.push(`Deprecated. ${row.deprecated}`.trim());
  return remarks;
}

function defaultValue(row: OptionRow): string {
  if (row.type.kind === 'directive' || row.type.kind === 'removed') return row.defaultText ?? '–';
  return row.defaultText ?? (row.default === undefined ? 'none' : String(row.default));
}

const width = 78;

/** `deploy/mosquitto.conf.example`: every option that does something or will, commented out. */
export function exampleFile(): string {
  const lines = [
    '# Configuration of Midge: all options with their defaults.',
    '#',
    '# Generated from the option table. Remove the # before an option to change it.',
    '# Without a listener, only clients on this machine can connect. To let others',
    '# in, define one and say who may connect, for example:',
    '#',
    '#listener 1883',
    '#password_file /etc/mosquitto/passwd',
  ];
  for (const { title, options } of optionGroups) {
    const shown = (Object.entries(options) as [string, OptionRow][]).filter(
      ([, row]) => row.type.kind !== 'removed',
    );
    if (shown.length === 0) continue;
    lines.push('', '', `# ${'='.repeat(width - 2)}`, `# ${title}`, `# ${'='.repeat(width - 2)}`);
    for (const [name, row] of shown) lines.push('', ...exampleOption(name, row));
  }
  return `${lines.join('\n')}\n`;
}

function exampleOption(name: string, row: OptionRow): string[] {
  const pending = row.effective === false ? ' Not yet effective.' : '';
  const text = `${[row.doc, ...remarks(row)].join(' ')} Value: ${valueSyntax(row.type)}. Default: ${defaultValue(row)}.${pending}`;
  const comment = wrapped(text, width - 2).map((line) => `# ${line}`);
  return [...comment, `#${name.replace('*', 'KEY')} ${exampleValue(row)}`];
}

/** The default where it can be written down, else what stands for a value. */
function exampleValue(row: OptionRow): string {
  const value = row.default;
  const isPlain = typeof value === 'boolean' || typeof value === 'number' || typeof value === 'string';
  return isPlain && value !== '' ? String(value) : 'VALUE';
}

function wrapped(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    const longer = line === '' ? word : `${line} ${word}`;
    if (longer.length <= columns) {
      line = longer;
      continue;
    }
    lines.push(line);
    line = word;
  }
  return [...lines, line];
}
