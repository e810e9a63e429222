/**
 * A process of its own for what may crash, and for what is not to disturb the threads that serve clients:
 *
 *   check FILE MODE                        prints the report as JSON
 *   rescue FILE MODE TARGET [backwards]    copies what reads
 *   copy FILE MODE TARGET                  prints the SHA-256 of the copy, which is on the disk then
 *
 * Ends with code 0; every other end means that it did not succeed.
 */
import { readdirSync, writeFileSync } from 'node:fs';
import { setPriority } from 'node:os';
import type { StoreMode } from '../model/store-mode.js';
import { copySnapshot, Environment } from './environment.js';
import { hashOf, syncFile } from './saved-file.js';
import { checkStore, rescueStore } from './store-check.js';

type Command = 'check' | 'rescue' | 'copy';

/** Clients go first; but a copy that never ended would keep the live store growing. */
const COPY_NICENESS = 10;

const [command, path, mode, target, direction] = process.argv.slice(2) as [
  Command,
  string,
  StoreMode,
  string?,
  string?,
];

endWithParent();
switch (command) {
  case 'check': {
    const environment = new Environment({ path, mode, isWhole: true });
    process.stdout.write(JSON.stringify(await checkStore(environment)));
    await environment.close();
    break;
  }
  case 'rescue': {
    const environment = new Environment({ path, mode });
    const rescued = new Environment({ path: target!, mode: 'transient' });
    await rescueStore(environment, rescued, direction === 'backwards');
    await rescued.close();
    await environment.close();
    break;
  }
  case 'copy':
    stepBack();
    await copySnapshot(path, mode, target!);
    await syncFile(target!);
    process.stdout.write(await hashOf(target!));
    break;
}
process.stdin.destroy();

/** When the broker is gone, whatever way, nobody wants the result. */
function endWithParent(): void {
  process.stdin.on('end', () => process.kill(process.pid, 'SIGKILL')).resume();
}

/** The broker goes first with the processor, and last when memory is short. It saves when it is told to end, too. */
function stepBack(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});
  try {
    setPriority(COPY_NICENESS);
    // On Linux each thread has its own. The one that copies is there already: this program was read by it.
    for (const thread of readdirSync('/proc/self/task')) setPriority(Number(thread), COPY_NICENESS);
    writeFileSync('/proc/self/oom_score_adj', '1000');
  } catch {
    // It is only courtesy.
  }
}
