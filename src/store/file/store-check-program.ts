/**
 * A process of its own for what may crash: `check FILE MODE` and `rescue FILE MODE TARGET [backwards]`. Prints the
 * report of a check as JSON and ends with code 0; every other end means that the file cannot be used.
 */
import type { StoreMode } from '../../model/store-mode.js';
import { Environment } from '../environment.js';
import { checkStore, rescueStore } from './store-check.js';

type Arguments = [command: string, path: string, mode: StoreMode, target?: string, direction?: string];

void run(process.argv.slice(2) as Arguments);

async function run([command, path, mode, target, direction]: Arguments): Promise<void> {
  const environment = new Environment({ path, mode, isWhole: command === 'check' });
  if (command === 'check') {
    process.stdout.write(JSON.stringify(await checkStore(environment)));
  } else {
    const rescued = new Environment({ path: target!, mode: 'transient' });
    await rescueStore(environment, rescued, direction === 'backwards');
    await rescued.close();
  }
  await environment.close();
}
