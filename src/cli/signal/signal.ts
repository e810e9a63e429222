#!/usr/bin/env node
/** `mosquitto_signal`: sends signals to brokers, Midge and Mosquitto. */
import { cLibraryErrorText } from '../../system/system-error.js';
import { brokerProcesses, isMosquitto } from './brokers.js';
import { parseSignalArguments, SIGNAL_USAGE, type SignalName, signalOf } from './signal-arguments.js';

const FAILURE = 1;

process.exitCode = run(process.argv.slice(2));

function run(args: readonly string[]): number {
  const command = parseSignalArguments(args);
  if (command === 'usage') {
    process.stdout.write(SIGNAL_USAGE);
    return FAILURE;
  }
  if ('error' in command) {
    process.stderr.write(`${command.error}\n`);
    return FAILURE;
  }
  const { target, signal } = command;
  for (const pid of target === 'all' ? brokerProcesses() : [target]) send(pid, signal);
  return 0; // as Mosquitto, even if a process is gone
}

function send(pid: number, signal: SignalName): void {
  try {
    // Midge does not know this one: Node leaves it to the system, which would end the process.
    if (signal === 'xtreport' && exists(pid) && !isMosquitto(pid)) throw new Error('It is not a Mosquitto');
    process.kill(pid, signalOf(signal));
  } catch (error) {
    process.stderr.write(`Error sending signal to process ${pid}: ${cLibraryErrorText(error)}\n`);
  }
}

/** @throws if it does not, or is somebody else's */
function exists(pid: number): boolean {
  return process.kill(pid, 0);
}
