/**
 * `npm start`: makes the clone ready, then is the broker. It runs in this very process, so that the process id and
 * the signals are the broker's own, and it takes the arguments as they come.
 */
import { prepareOrExit } from './prepare.mjs';

prepareOrExit({ develop: false });
await import('../dist/src/midge.cjs');
