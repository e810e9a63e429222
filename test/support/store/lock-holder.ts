/** Takes a lock, says so, and holds it until it is killed. `node lock-holder.js PATH [socket]` */
import { StoreLock } from '../../../src/store/file/store-lock.js';

const [path, kind] = process.argv.slice(2) as [string, string | undefined];
await StoreLock.take(path, 'the store', kind === 'socket' ? () => 'not available' : undefined);
process.stdout.write('held\n');
setInterval(() => {}, 60_000);
