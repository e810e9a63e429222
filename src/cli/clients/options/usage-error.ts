/** Errors in the options: their messages, and how these are shown. */

/**
 * The way in which the hint at `--help` follows the message. Mosquitto's texts end with one blank line or two, or with
 * none and without a hint, and once with the whole usage. Scripts may compare them, so the texts are the same here.
 */
export type Hint = 'one-blank-line' | 'two-blank-lines' | 'usage' | 'none';

export class UsageError extends Error {
  override readonly name = 'UsageError';
  readonly hint: Hint;

  constructor(message: string, hint: Hint = 'two-blank-lines') {
    super(message);
    this.hint = hint;
  }
}

/** A conflict between options that is found when the connection is made: exit code 1, no hint at `--help`. */
export class SetupError extends Error {
  override readonly name = 'SetupError';
}

/** The lines for standard error, with the hint at `--help`, without the last newline. */
export function usageErrorText(program: string, { message, hint }: UsageError): string {
  if (hint === 'none' || hint === 'usage') return message;
  const blankLines = hint === 'one-blank-line' ? '\n' : '\n\n';
  return `${message}\n${blankLines}Use '${program} --help' to see usage.`;
}
