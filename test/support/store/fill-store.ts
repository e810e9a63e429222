/** Fills a store until there is no room, empties it, and fills it again. Prints what happens. */

import type { QueueEntry } from '../../../src/store/sessions/queue-entry.js';
import { Store } from '../../../src/store/store.js';
import { delivery, message, session } from './stores.js';

const [path, mode] = process.argv.slice(2) as [string, 'autosave' | 'durable'];
const say = (text: string) => process.stdout.write(`${text}\n`);
const store = new Store({
  path,
  mode,
  now: Date.now,
  onFailure: ({ message }) => say(`refused: ${message}`),
});
const stored = store.sessions.create(session('away'));
store.environment.room.keepBallast();
const entries: QueueEntry[] = [];
const append = () =>
  entries.push(stored.outgoing.append(store.sharedMessage(message('topic', 'x'.repeat(900))), delivery()));

do append();
while (await store.flush());
for (const entry of entries.splice(0)) {
  store.mark();
  entry.remove();
}
if (!(await store.flush())) throw new Error('the queue cannot be emptied');
say('emptied');
for (let i = 0; i < 300; i += 1) {
  append();
  if (!(await store.flush())) throw new Error(`no room for message ${i}`);
}
say('written again');
await store.close();
