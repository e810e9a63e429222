/**
 * A process whose LMDB cannot write: everything that writes to a store is tried, and it is printed what failed and
 * which rejections nobody handled. Started with a limit for the size of files, which only LMDB itself notices.
 */
import { execFileSync } from 'node:child_process';
import { Publication } from '../../../src/mqtt/publication.js';
import { migrate } from '../../../src/store/file/migrations.js';
import { checkStore } from '../../../src/store/file/store-check.js';
import { RetainedTails } from '../../../src/store/retained/retained-tails.js';
import { Store } from '../../../src/store/store.js';
import { importContent } from '../../../src/store/transfer.js';
import { delivery, message, session } from './stores.js';

const [path, mode] = process.argv.slice(2) as [string, 'autosave' | 'durable'];
const KEY = Buffer.from('key');
const failed: string[] = [];
let unhandled = 0;
process.on('unhandledRejection', () => {
  unhandled += 1;
});

const store = new Store({ path, mode, now: () => now });
const { environment } = store;
let now = 1000;
await migrate(environment);
const stored = store.sessions.create(session('before'));
stored.outgoing.append(store.sharedMessage(message('queued')), delivery());
store.retained.set(Publication.fromStored(message('expires', 'x', { expiresAt: 2000 })));
await store.flush();
now = 3000;

execFileSync('prlimit', ['--pid', String(process.pid), '--fsize=1:']);
const attempts: Record<string, () => Promise<unknown>> = {
  'a transaction': () =>
    environment.inTransaction(() => environment.put(environment.tables.meta, KEY, KEY), 1, 1),
  'the tails': async () => {
    const tails = new RetainedTails(environment);
    tails.tick();
    tails.tick();
    await tails.stop();
  },
  'what has expired': async () => store.retained.get('expires'),
  'a retained message': async () => store.retained.set(Publication.fromStored(message('new'))),
  'a session': async () => store.sessions.create(session('new')),
  'the end of a session': async () => stored.end(),
  'a delivery note': async () => store.deliveryNotes.add('00'.repeat(15), 'receiver'),
  'a flush': async () => {
    if (!(await store.flush())) throw new Error('not committed');
  },
  'a check': () => checkStore(environment),
  'an import': () => importContent(store, { retained: [message('imported')], sessions: [] }),
  'the end': async () => {
    if (!(await store.close())) throw new Error('not committed');
  },
};
for (const [name, attempt] of Object.entries(attempts)) {
  // Twice: what fails first with LMDB fails without it from then on.
  for (let i = 0; i < (name === 'the end' ? 1 : 2); i += 1) {
    await attempt().catch(() => failed.push(name));
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
process.stdout.write(JSON.stringify({ failed: [...new Set(failed)], unhandled }));
process.exit();
