#!/usr/bin/env node
/**
 * The program: a broker from its arguments and configuration, or one of the subcommands `midge db` and `midge acl`.
 */
import { hostname } from 'node:os';
import { configIsGood, parseCommandLine, type RunCommand } from './config/cli-args.js';
import { configExitCode, loadConfig } from './config/load-config.js';
import type { Settings } from './config/settings.js';
import { bootstrapLogOptions, Logger } from './log/logger.js';
import * as lines from './log/mosquitto-lines.js';
import { BrokerProcess } from './runtime/main/broker-process.js';
import { daemonise } from './runtime/process/daemon.js';
import { VERSION } from './runtime/process/version.js';
import { nodeConfigSource } from './runtime/shared/node-config-source.js';

void main(process.argv.slice(2)).then((exitCode) => {
  if (exitCode !== undefined) process.exitCode = exitCode;
});

/** @returns the exit code, or `undefined` while the broker runs */
async function main(args: readonly string[]): Promise<number | undefined> {
  const [word, ...rest] = args;
  if (word === 'db') return (await import('./cli/midge/db.js')).runDbCommand(rest);
  if (word === 'acl') return explainAccess(rest);
  const command = parseCommandLine(args, VERSION);
  switch (command.kind) {
    case 'print':
      for (const { stream, text } of command.output) process[stream].write(text);
      return command.exitCode;
    case 'test-config':
      return testConfig(command.configFile);
    case 'run':
      return run(command);
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

/** Reads and checks; opens, binds and writes nothing. */
async function testConfig(configFile: string): Promise<number> {
  const logger = new Logger(bootstrapLogOptions);
  const settings = read({ configFile, ports: [], verbose: false, quiet: false }, logger);
  await logger.close();
  if (settings === undefined) return configExitCode;
  process.stdout.write(`${configIsGood}\n`);
  return 0;
}

async function run(command: RunCommand): Promise<number | undefined> {
  const logger = new Logger(bootstrapLogOptions);
  const settings = read(command, logger);
  if (settings === undefined) return fail(logger, configExitCode);
  if (command.daemon && daemonise()) {
    await logger.close();
    return 0;
  }
  const code = await BrokerProcess.start({
    settings,
    logger,
    logging: command,
    tlsKeylogFile: command.tlsKeylogFile,
    reread: () => read(command, logger),
  });
  return code === 0 ? undefined : fail(logger, code);
}

/** Reads the configuration and logs what there is to say about it. @returns `undefined` where it has errors */
function read(
  { configFile, ports, verbose, quiet }: Pick<RunCommand, 'configFile' | 'ports' | 'verbose' | 'quiet'>,
  logger: Logger,
): Settings | undefined {
  const result = loadConfig({
    source: nodeConfigSource,
    configFile,
    ports,
    verbose,
    quiet,
    environment: process.env,
    hostname: hostname(),
  });
  for (const { type, text } of result.messages) logger.write(type, text);
  return result.ok ? result.settings : undefined;
}

async function fail(logger: Logger, code: number): Promise<number> {
  logger.write('information', lines.terminating(VERSION));
  await logger.close();
  return code;
}
