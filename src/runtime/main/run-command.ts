/** The command that runs a broker, and the one that only checks its configuration. */
import { hostname } from 'node:os';
import { configIsGood, type RunCommand, type TestConfigCommand } from '../../config/cli-args.js';
import { isTls } from '../../config/listener-tls.js';
import { configExitCode, loadConfig } from '../../config/load-config.js';
import type { Settings } from '../../config/settings.js';
import { bootstrapLogOptions, Logger } from '../../log/logger.js';
import * as lines from '../../log/mosquitto-lines.js';
import { daemonise } from '../process/daemon.js';
import type { EarlySignals } from '../process/early-signals.js';
import { VERSION } from '../process/version.js';
import { nodeConfigSource } from '../shared/node-config-source.js';
import { BrokerProcess } from './broker-process.js';

/** Reads and checks; opens, binds and writes nothing. */
export async function testConfig(command: TestConfigCommand): Promise<number> {
  const logger = new Logger(bootstrapLogOptions);
  const settings = read({ ...command, ports: [], verbose: false, quiet: false }, logger);
  const faults = settings === undefined ? [] : await cipherFaults(settings);
  for (const fault of faults) logger.write('error', fault);
  await logger.close();
  if (settings === undefined || faults.length > 0) return configExitCode;
  process.stdout.write(`${configIsGood}\n`);
  return 0;
}

/**
 * Lists of ciphers that OpenSSL refuses. A start finds those of listeners with the certificates, a bridge its own if it
 * connects; neither needs a file or a connection.
 */
async function cipherFaults({ listeners, bridges }: Settings): Promise<string[]> {
  const { tlsFaultLines, tlsFaultWithoutFiles } = await import('../../net/tls-context.js');
  const { cipherFaultLines } = await import('../../bridge/bridge-tls.js');
  const faults = listeners.filter(isTls).flatMap((listener) => {
    const fault = tlsFaultWithoutFiles(listener);
    return fault === null ? [] : tlsFaultLines(fault, listener);
  });
  return [...faults, ...bridges.flatMap(cipherFaultLines)];
}

/** @returns the exit code, or `undefined` while the broker runs */
export async function runBroker(command: RunCommand, signals: EarlySignals): Promise<number | undefined> {
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
    signals,
    logging: command,
    tlsKeylogFile: command.tlsKeylogFile,
    reread: () => read(command, logger),
  });
  return code === 0 ? undefined : fail(logger, code);
}

type ConfigChoice = Pick<RunCommand, 'configFile' | 'earlierConfigFiles' | 'ports' | 'verbose' | 'quiet'>;

/** Reads the configuration and logs errors, warnings and notices about it. @returns `undefined` if it has errors */
function read(
  { configFile, earlierConfigFiles, ports, verbose, quiet }: ConfigChoice,
  logger: Logger,
): Settings | undefined {
  const result = loadConfig({
    source: nodeConfigSource,
    configFile,
    earlierConfigFiles,
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
