/**
 * `acl_file`: reading its lines into rules [mosq: acl_file]. What the rules mean is decided in `acl-check.ts`.
 *
 *   topic read public/#          for clients without a username: before the first "user" line
 *   user alice
 *   topic readwrite home/#
 *   topic deny home/secret
 *   pattern write sensor/%u/data for everybody, wherever it stands
 */
import { isValidTopicFilter } from '../topic/topic-filter.js';
import { encodingWarning, type FileProblem, meaningfulLines, type NumberedLine } from './access-file.js';

export type AclAccess = 'read' | 'write' | 'readwrite' | 'deny';

export interface AclRule {
  /** `user`: for one username. `anonymous`: for clients without one. `pattern`: for all. */
  scope: { kind: 'user'; username: string } | { kind: 'anonymous' } | { kind: 'pattern' };
  access: AclAccess;
  /** In a pattern, `%c` stands for the client id and `%u` for the username. */
  filter: string;
  file: string;
  line: number;
  /** The line of the file, without the white space around it. */
  text: string;
}

export type AclFileResult =
  | { ok: true; rules: AclRule[]; warnings: FileProblem[] }
  | { ok: false; errors: FileProblem[] };

/** Mosquitto's last line after any fault in the file. */
export function aclFileRefused(file: string): string {
  return `Error opening acl file "${file}".`;
}

/** Mosquitto's line if the file cannot be opened; the broker then ends with exit code 13. */
export function aclFileUnopened(file: string): string {
  return `Error: Unable to open acl_file "${file}".`;
}

export function parseAclFile(file: string, text: string): AclFileResult {
  const rules: AclRule[] = [];
  const errors: FileProblem[] = [];
  const warnings: FileProblem[] = [];
  let scope: AclRule['scope'] = { kind: 'anonymous' };
  for (const numbered of meaningfulLines(text)) {
    const parsed = parseLine(file, numbered, scope);
    if (parsed.kind === 'fault') {
      errors.push({ file, line: numbered.line, message: `Error: ${parsed.message}` });
      continue;
    }
    if (parsed.kind === 'user') {
      scope = parsed;
    } else {
      rules.push(parsed.rule);
      if (isPlainPattern(parsed.rule)) {
        const message = `Warning: ACL pattern '${parsed.rule.filter}' does not contain '%c' or '%u'.`;
        warnings.push({ file, line: numbered.line, message });
      }
    }
    const warning = encodingWarning(file, numbered);
    if (warning !== null) warnings.push(warning);
  }
  return errors.length > 0 ? { ok: false, errors } : { ok: true, rules, warnings };
}

function isPlainPattern({ scope, filter }: AclRule): boolean {
  return scope.kind === 'pattern' && !filter.includes('%c') && !filter.includes('%u');
}

type ParsedLine =
  | { kind: 'user'; username: string }
  | { kind: 'rule'; rule: AclRule }
  | { kind: 'fault'; message: string };

function parseLine(file: string, numbered: NumberedLine, scope: AclRule['scope']): ParsedLine {
  // Words are separated by spaces; a tab is part of a word, and so an error [mosq: acl_file].
  const text = numbered.text.replace(/^ +/, '');
  const [keyword, rest] = splitWord(text);
  switch (keyword) {
    case 'user':
      if (rest === '') return { kind: 'fault', message: `Missing username in acl_file "${file}".` };
      return { kind: 'user', username: rest };
    case 'topic':
      return parseRule(rest, { scope, file, line: numbered.line, text });
    case 'pattern':
      return parseRule(rest, { scope: { kind: 'pattern' }, file, line: numbered.line, text });
    default:
      return { kind: 'fault', message: `Invalid line in acl_file "${file}": ${keyword}.` };
  }
}

/** `[ACCESS] FILTER`: a single word is a filter; of several the first must name the access. */
function parseRule(rest: string, origin: Omit<AclRule, 'access' | 'filter'>): ParsedLine {
  const { file } = origin;
  if (rest === '') return { kind: 'fault', message: `Empty topic in acl_file "${file}".` };
  const [first, remainder] = splitWord(rest);
  const access = remainder === '' ? 'readwrite' : first;
  const filter = remainder === '' ? first : remainder;
  if (!isAccess(access)) {
    return { kind: 'fault', message: `Invalid topic access type "${access}" in acl_file "${file}".` };
  }
  if (!isValidTopicFilter(filter)) {
    return { kind: 'fault', message: `Invalid ACL topic "${filter}" in acl_file "${file}".` };
  }
  return { kind: 'rule', rule: { ...origin, access, filter } };
}

/** The first word and what follows the spaces after it. */
function splitWord(text: string): [word: string, rest: string] {
  const space = text.indexOf(' ');
  if (space < 0) return [text, ''];
  return [text.slice(0, space), text.slice(space).replace(/^ +/, '')];
}

function isAccess(word: string): word is AclAccess {
  return word === 'read' || word === 'write' || word === 'readwrite' || word === 'deny';
}
