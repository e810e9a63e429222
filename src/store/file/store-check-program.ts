/**
 * A process of its own for what may crash: `check FILE MODE` and `rescue FILE MODE TARGET [backwards]`. It prints a word
 * when it is loaded, and then its answer as JSON. Whatever else becomes of it, whoever started it has to make sense of.
 */
import type { StoreMode } from '../../model/store-mode.js';
import { Environment } from '../environment.js';
import { NoRoomError } from '../room.js';
import { checkStore, rescueStore } from './store-check.js';
import { BEGUN, type ChildAnswer } from './store-child.js';

type Arguments = [command: string, path: string, mode: StoreMode, target?: string, direction?: string];

/** What the system cannot give at present, by name and as LMDB has it. */
const SHORTAGES: readonly unknown[] = ['ENOMEM', 'ENOSPC', 'EACCES', 'EPERM', 'EMFILE', 'ENFILE', 'EAGAIN'];
const SHORTAGE_NUMBERS: readonly unknown[] = [1, 11, 12, 13, 23, 24, 28];

process.stdout.write(`${BEGUN}\n`);
void run(process.argv.slice(2) as Arguments)
  .catch(answerFor)
  .then(print);

async function run([command, path, mode, target, direction]: Arguments): Promise<ChildAnswer> {
  const environment = new Environment({ path, mode, isWhole: command === 'check' });
  if (command === 'check') {
    const report = await checkStore(environment);
    await environment.close();
    return { report };
  }
  const rescued = new Environment({ path: target!, mode: 'transient' });
  await rescueStore(environment, rescued, direction === 'backwards');
  await rescued.close();
  await environment.close();
  return 'rescued';
}

function answerFor(error: unknown): ChildAnswer {
  const { code, name, message } = error as Error & { code?: unknown };
  const isShort = error instanceof NoRoomError || SHORTAGES.includes(code) || SHORTAGE_NUMBERS.includes(code);
  return isShort ? { unknown: `${name}: ${message}` } : { unreadable: `${name}: ${message}` };
}

function print(answer: ChildAnswer): void {
  process.stdout.write(`${JSON.stringify(answer)}\n`, () => process.exit());
}
