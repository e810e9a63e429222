/** Where the project under test lies. */
import { fileURLToPath } from 'node:url';

/** The compiler's output folder, which the tests themselves run from. */
export const builtFolder = fileURLToPath(new URL('../..', import.meta.url));

export const projectFolder = fileURLToPath(new URL('../../..', import.meta.url));
