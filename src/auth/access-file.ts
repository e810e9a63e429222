/**
 * What `password_file`, `acl_file` and `psk_file` have in common: how they are cut into lines, and how their
 * faults are told.
 *
 * The parsers take text and report every fault they find, so that an operator mends a file in one go.
 */

/** A fault or a doubt about one line of a file. */
export interface FileProblem {
  file: string;
  /** Counted from 1. */
  line: number;
  /** In Mosquitto's words where it has some, with its leading `Error: ` or `Warning: `. */
  message: string;
  /** What to do about it. */
  advice?: string;
}

/** The problem as log lines: what is wrong, where, and what to do. */
export function problemLines(problem: FileProblem): string[] {
  const lines = [problem.message, `${noun(problem)} found at ${problem.file}:${problem.line}.`];
  return problem.advice === undefined ? lines : [...lines, problem.advice];
}

function noun(problem: FileProblem): string {
  return problem.message.includes('Error: ') ? 'Error' : 'Warning';
}

export interface NumberedLine {
  /** Counted from 1. */
  line: number;
  /** Without its line end and the white space before it. */
  text: string;
}

/** The lines that say something: comments (`#` as the very first character) and blank lines are left out. */
export function* meaningfulLines(text: string): Generator<NumberedLine> {
  let line = 0;
  for (const raw of text.split('\n')) {
    line += 1;
    const trimmed = raw.trimEnd();
    if (trimmed !== '' && !trimmed.startsWith('#')) yield { line, text: trimmed };
  }
}

/** Where the text was not UTF-8, decoding has left this. MQTT strings are UTF-8, so such a name never matches. */
const REPLACEMENT = '\uFFFD';

/** Warns of a name that can never match, for instance one written in Latin-1. */
export function encodingWarning(file: string, { line, text }: NumberedLine): FileProblem | null {
  if (!text.includes(REPLACEMENT)) return null;
  const message = `Warning: Line ${line} of "${file}" is not valid UTF-8, so that no client can match it.`;
  return { file, line, message };
}
