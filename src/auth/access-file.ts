/**
 * Common parts of `password_file`, `acl_file` and `psk_file`: their lines, and the log lines about their faults.
 *
 * The parsers take text and report every fault, so that an operator can mend a file in one go.
 */

/** An error or a warning about one line of a file. */
export interface FileProblem {
  file: string;
  /** Counted from 1. */
  line: number;
  /** In Mosquitto's words if it has any, with `Error: ` or `Warning: ` in front. */
  message: string;
  /** Advice for the operator. */
  advice?: string;
}

/** The problem as log lines: the fault, its place, the advice. */
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
  /** The line without its line end and the white space before that. */
  text: string;
}

/** The lines without comments (`#` as the very first character) and blank lines. */
export function* meaningfulLines(text: string): Generator<NumberedLine> {
  let line = 0;
  for (const raw of text.split('\n')) {
    line += 1;
    const trimmed = raw.trimEnd();
    if (trimmed !== '' && !trimmed.startsWith('#')) yield { line, text: trimmed };
  }
}

/** Decoding puts this in place of bytes that are not UTF-8. MQTT strings are UTF-8, so such a name never matches. */
const REPLACEMENT = '\uFFFD';

/** A warning about a name that can never match, for instance one in Latin-1. */
export function encodingWarning(file: string, { line, text }: NumberedLine): FileProblem | null {
  if (!text.includes(REPLACEMENT)) return null;
  const message = `Warning: Line ${line} of "${file}" is not valid UTF-8, so that no client can match it.`;
  return { file, line, message };
}
