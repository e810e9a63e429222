import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type LogLine, LogMask, WorkerLog } from '../../../src/log/log.js';
import { logMaskAll } from '../../../src/log/log-types.js';

function createLog({ mask = logMaskAll, pendingLinesMax = 100 } = {}) {
  const posts: LogLine[][] = [];
  const log = new WorkerLog({ mask, pendingLinesMax, post: (lines) => posts.push(lines) });
  return { log, posts, textsOf: (post: number) => posts[post]!.map(([type, text]) => `${type}: ${text}`) };
}

test('the lines of one turn of the event loop are posted as one message, in order', async () => {
  const { log, posts, textsOf } = createLog();
  const before = Date.now();
  log.write('notice', 'first');
  log.write('debug', 'second');
  assert.equal(posts.length, 0);
  await nextTurn();
  log.write('error', 'third');
  await nextTurn();
  assert.deepEqual(textsOf(0), ['notice: first', 'debug: second']);
  assert.deepEqual(textsOf(1), ['error: third']);
  assert.equal(posts.length, 2);
  const time = posts[0]![0]![2];
  assert.ok(time >= before && time <= Date.now(), 'a line carries the time at which it was written');
});

test('a type that is not wanted is not posted, and the mask can change', async () => {
  const { log, posts, textsOf } = createLog({ mask: LogMask.error });
  log.write('debug', 'not wanted yet');
  await nextTurn();
  assert.equal(posts.length, 0);
  log.mask = LogMask.debug;
  log.write('debug', 'wanted');
  log.write('error', 'not wanted any more');
  await nextTurn();
  assert.deepEqual(textsOf(0), ['debug: wanted']);
});

test('lines beyond the limit are dropped, and one line says how many', async () => {
  const { log, posts, textsOf } = createLog({ pendingLinesMax: 2 });
  for (const text of ['a', 'b', 'c', 'd', 'e']) log.write('debug', text);
  await nextTurn();
  assert.deepEqual(textsOf(0), [
    'debug: a',
    'debug: b',
    'warning: 3 log lines were dropped: too many at once.',
  ]);
  log.write('debug', 'f');
  await nextTurn();
  assert.deepEqual(textsOf(1), ['debug: f']);
  assert.equal(posts.length, 2);
});

test('flush posts at once, and nothing twice', async () => {
  const { log, posts, textsOf } = createLog();
  log.flush();
  assert.equal(posts.length, 0);
  log.write('notice', 'last words');
  log.flush();
  assert.deepEqual(textsOf(0), ['notice: last words']);
  await nextTurn();
  assert.equal(posts.length, 1);
});

test('a line of enormous length crosses threads no longer than it can be written', async () => {
  const { log, posts } = createLog();
  log.write('debug', `Received PUBLISH from ${'x'.repeat(65_535)}`);
  await nextTurn();
  const text = posts[0]![0]![1];
  assert.ok(text.startsWith('Received PUBLISH from xxx'));
  assert.ok(text.length <= 1000, `${text.length} characters`);
});
