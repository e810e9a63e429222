/** Where the project under test lies. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The compiler's output folder, which the tests themselves run from. */
export const builtFolder = fileURLToPath(new URL('../..', import.meta.url));

export const projectFolder = fileURLToPath(new URL('../../..', import.meta.url));

/** What Node is given to run the broker as `npm start` and the command `midge` do. */
export const midgeArguments: readonly string[] = ['--v8-pool-size=1', join(builtFolder, 'src', 'midge.cjs')];

export const midgeCommand: readonly string[] = [process.execPath, ...midgeArguments];
