/** A process that stores one session after the other and saves after each, and tells the number that was saved. */
import { ChangeCounter } from '../../../src/store/file/autosave.js';
import { prepareStore } from '../../../src/store/file/startup.js';
import { StoreLifecycle } from '../../../src/store/file/store-lifecycle.js';
import { session } from './stores.js';

const [path, memory, first] = process.argv.slice(2) as [string, string, string];
const prepared = await prepareStore({
  persistence: true,
  path,
  durable: false,
  memoryFolders: [memory],
  now: Date.now,
  log: () => {},
});
const lifecycle = new StoreLifecycle(prepared, {
  interval: 0,
  onChanges: false,
  changes: new ChangeCounter(),
  now: Date.now,
  flushWorkers: async () => {},
});
for (let number = Number(first); ; number += 1) {
  lifecycle.store.sessions.create(session(String(number).padStart(6, '0')));
  if (await lifecycle.autosave.save()) process.send!(number);
}
