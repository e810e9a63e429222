/** The start of each command: options file, command line, help, and errors in the options. */

import { ClientRun } from './client-run.js';
import { programArguments } from './options/argument-text.js';
import {
  type ClientSettings,
  checkSettings,
  defaultSettings,
  type ProgramName,
} from './options/client-settings.js';
import { connectPacket, dialTarget } from './options/connect-options.js';
import { parseOptions } from './options/option-parser.js';
import { optionsFileWords } from './options/options-file.js';
import { toProperties } from './options/property-option.js';
import { SetupError, UsageError, usageErrorText } from './options/usage-error.js';
import { flushOutput, print, printError } from './output/stdio.js';

/** The exit code for errors before the connection. */
const FAILURE = 1;

/** @param run runs the command with complete and checked settings */
export async function startProgram(
  program: ProgramName,
  run: (settings: ClientSettings) => Promise<void>,
): Promise<void> {
  const settings = defaultSettings(program);
  try {
    const words = programArguments();
    const request = parseOptions(settings, optionsFileWords(program, words)) ?? parseOptions(settings, words);
    if (request !== undefined) {
      await checkFormat(settings);
      await showText(program, request);
      return;
    }
    checkSettings(settings);
    await run(settings);
  } catch (error) {
    const first = await checkFormat(settings).then(
      () => error,
      (formatError) => formatError,
    );
    await showError(program, first);
  }
}

/**
 * A format is compiled where messages are printed; that it is wrong is said before all that comes behind it on the
 * command line.
 * @throws UsageError
 */
async function checkFormat({ format }: ClientSettings): Promise<void> {
  if (format === undefined) return;
  const { compileFormat } = await import('./output/message-format.js');
  compileFormat(format);
}

/** @throws UsageError, SetupError */
export async function prepareRun(settings: ClientSettings): Promise<ClientRun> {
  return new ClientRun(settings, {
    connect: connectPacket(settings),
    target: await dialTarget(settings),
    disconnectProperties: toProperties('disconnect', settings.properties.disconnect),
  });
}

async function showText(program: ProgramName, request: 'help' | 'version'): Promise<void> {
  const { usageText, versionText } = await import('./options/usage-text.js');
  print(request === 'help' ? usageText(program) : versionText(program));
  flushOutput();
  process.exit(FAILURE);
}

async function showError(program: ProgramName, error: unknown): Promise<void> {
  if (error instanceof UsageError) {
    printError(usageErrorText(program, error));
    if (error.hint === 'usage') await showText(program, 'help');
  } else if (error instanceof SetupError) {
    printError(error.message);
  } else {
    throw error;
  }
  process.exit(FAILURE);
}
