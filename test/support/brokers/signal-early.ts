/**
 * Preloaded into a broker (`NODE_OPTIONS=--import`): sends the process the signals named in EARLY_SIGNALS as soon as it
 * handles all of them, and says whether anything of the broker was loaded by then.
 */
import { createRequire } from 'node:module';

const signals = process.env.EARLY_SIGNALS!.split(',') as NodeJS.Signals[];
const { cache } = createRequire(import.meta.url);
const on = process.on.bind(process);

function onWithSignals(event: string | symbol, listener: (...args: unknown[]) => void): NodeJS.Process {
  on(event as 'exit', listener);
  if (!signals.every((signal) => process.listenerCount(signal) > 0)) return process;
  process.on = on;
  const packages = Object.keys(cache).filter((path) => path.includes('node_modules'));
  process.stderr.write(`signals are handled, ${packages.length} packages are loaded\n`);
  for (const signal of signals) process.kill(process.pid, signal);
  return process;
}

process.on = onWithSignals as typeof process.on;
