/** What is wrong with the options: the message, and how it is shown. */

/**
 * How the hint at `--help` follows the message. Mosquitto's texts end with one blank line or two, or with none and
 * without a hint, and once with the whole usage; scripts that compare them are kept happy.
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

/** Options that cannot work together, found when the connection is made; ends with status 1, without usage hint. */
export class SetupError extends Error {
  override readonly name = 'SetupError';
}

/** The lines for standard error, with the hint at `--help`, without the last newline. */
export function usageErrorText(program: string, { message, hint }: UsageError): string {
  if (hint === 'none' || hint === 'usage') return message;
  const blankLines = hint === 'one-blank-line' ? '\n' : '\n\n';
  return `${message}\n${blankLines}Use '${program} --help' to see usage.`;
}
