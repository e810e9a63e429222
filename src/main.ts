#!/usr/bin/env node
/** The broker program: arguments and configuration in, a running broker or an exit code out. */
import { hostname } from 'node:os';
import { configIsGood, parseCommandLine, type RunCommand } from './config/cli-args.js';
import { configExitCode, loadConfig } from './config/load-config.js';
import { nodeConfigSource } from './config/node-config-source.js';
import type { Settings } from './config/settings.js';
import { bootstrapLogOptions, Logger } from './log/logger.js';
import * as lines from './log/mosquitto-lines.js';
import { BrokerProcess, daemonise } from './runtime/broker-process.js';
import { VERSION } from './runtime/version.js';

const exitCode = await main(process.argv.slice(2));
if (exitCode !== undefined) process.exitCode = exitCode;

/** @returns the exit code, or `undefined` while the broker runs */
async function main(args: readonly string[]): Promise<number | undefined> {
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
