#!/usr/bin/env node
/**
 * The program: a broker from its arguments and configuration, or one of the subcommands `midge acl`, `midge
 * check`, `midge db` and `midge status`.
 *
 * What a broker is made of is loaded when its signals are handled: that takes most of the time of a start.
 */
import { parseCommandLine } from './config/cli-args.js';
import { EarlySignals } from './runtime/process/early-signals.js';
import { ExitCode } from './runtime/process/exit-code.js';
import { VERSION } from './runtime/process/version.js';
import { NativePartError } from './system/native-part.js';

void main(process.argv.slice(2)).then(
  (exitCode) => {
    if (exitCode !== undefined) process.exitCode = exitCode;
  },
  (error) => {
    if (!(error instanceof NativePartError)) throw error;
    process.stderr.write(`Error: ${error.message}\n`);
    process.exitCode = ExitCode.nativePart;
  },
);

/** @returns the exit code, or `undefined` while the broker runs */
async function main(args: readonly string[]): Promise<number | undefined> {
  const [word, ...rest] = args;
  if (word === 'db') return (await import('./cli/midge/db.js')).runDbCommand(rest);
  if (word === 'acl') return explainAccess(rest);
  if (word === 'check') return (await import('./cli/midge/check/check.js')).runCheckCommand(rest);
  if (word === 'status') return (await import('./cli/midge/status.js')).runStatusCommand(rest);
  const command = parseCommandLine(args, VERSION);
  switch (command.kind) {
    case 'print':
      for (const { stream, text } of command.output) process[stream].write(text);
      return command.exitCode;
    case 'test-config':
      return (await import('./runtime/main/run-command.js')).testConfig(command);
    case 'run': {
      const signals = new EarlySignals();
      return (await import('./runtime/main/run-command.js')).runBroker(command, signals);
    }
  }
}

/** `midge acl explain …` */
async function explainAccess(args: readonly string[]): Promise<number> {
  const [{ aclExplain }, { machineFiles }] = await Promise.all([
    import('./cli/midge/acl-explain.js'),
    import('./cli/midge/acl-explain-files.js'),
  ]);
  const [verb, ...question] = args;
  const { exitCode, stdout, stderr } = aclExplain(verb === 'explain' ? question : args, machineFiles);
  process.stdout.write(stdout);
  process.stderr.write(stderr);
  return exitCode;
}
