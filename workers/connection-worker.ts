/** A worker thread that serves connections, from its start until it is told to stop. */
import { runWorker } from '../src/runtime/worker/worker-host.js';

export default runWorker;
