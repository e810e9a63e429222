import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, openSync, readFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { LineWriter } from '../../../src/log/line-writer.js';
import { afterTest, makeFolder } from '../../support/cleanup.js';
import { patienceMs, within } from '../../support/within.js';

const droppedLine = (count: number) => `${count} dropped\n`;

const numbered = (count: number, width = 0) =>
  Array.from({ length: count }, (_, index) => `${String(index).padStart(width, '0')}\n`);

function openFile(path: string): number {
  return openSync(path, constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT, 0o600);
}

function fileWriter(path: string, waitingLengthMax?: number): LineWriter {
  const limit = waitingLengthMax === undefined ? {} : { waitingLengthMax };
  return new LineWriter({ fd: openFile(path), nonBlocking: false, droppedLine, ...limit });
}

/** A named pipe of which nothing is read until asked for. */
function makePipe(t: TestContext) {
  const path = join(makeFolder(t), 'pipe');
  execFileSync('mkfifo', [path]);
  const readFd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const writeFd = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  const startReading = () => {
    const socket = new Socket({ fd: readFd, readable: true, writable: false });
    afterTest(t, () => socket.destroy());
    socket.setEncoding('utf8');
    let text = '';
    socket.on('data', (more: string) => (text += more));
    return { textUntil: (end: RegExp) => textUntil(socket, () => text, end) };
  };
  return { writeFd, startReading, hangUp: () => closeSync(readFd) };
}

async function textUntil(socket: Socket, textSoFar: () => string, end: RegExp): Promise<string> {
  while (!end.test(textSoFar())) {
    await within(patienceMs, once(socket, 'data'), () => `there was only: ${textSoFar().slice(-200)}`);
  }
  return textSoFar();
}

describe('a file', () => {
  test('gets every line, in order', async (t) => {
    const path = join(makeFolder(t), 'log');
    const writer = fileWriter(path);
    const lines = numbered(5000);
    for (const [index, line] of lines.entries()) {
      writer.write(line);
      if (index % 500 === 0) await new Promise(setImmediate);
    }
    await writer.close();
    assert.equal(readFileSync(path, 'utf8'), lines.join(''));
  });

  test('has the lines when flushSync returns', (t) => {
    const path = join(makeFolder(t), 'log');
    const writer = fileWriter(path);
    writer.write('first\n');
    writer.write('second\n');
    writer.flushSync();
    assert.equal(readFileSync(path, 'utf8'), 'first\nsecond\n');
    writer.flushSync();
    assert.equal(readFileSync(path, 'utf8'), 'first\nsecond\n');
    return writer.close();
  });

  test('has the lines when flushSync returns, also while a write is under way', async (t) => {
    const path = join(makeFolder(t), 'log');
    const writer = fileWriter(path);
    writer.write('first\n');
    await new Promise(setImmediate); // the write has begun
    writer.write('second\n');
    writer.flushSync();
    await writer.close();
    assert.equal(readFileSync(path, 'utf8'), 'first\nsecond\n');
  });

  test('takes the place of another without losing a line', async (t) => {
    const folder = makeFolder(t);
    const [old, fresh] = [join(folder, 'old'), join(folder, 'fresh')];
    const writer = fileWriter(old);
    writer.write('1\n');
    await new Promise(setImmediate); // the write has begun
    writer.write('2\n');
    writer.replaceDescriptor(openFile(fresh));
    writer.write('3\n');
    await writer.close();
    assert.equal(readFileSync(old, 'utf8') + readFileSync(fresh, 'utf8'), '1\n2\n3\n');
    assert.match(readFileSync(fresh, 'utf8'), /3\n$/);
  });

  test('that is replaced twice at once keeps the last', async (t) => {
    const folder = makeFolder(t);
    const writer = fileWriter(join(folder, 'a'));
    writer.write('1\n');
    await new Promise(setImmediate);
    writer.replaceDescriptor(openFile(join(folder, 'b')));
    writer.replaceDescriptor(openFile(join(folder, 'c')));
    writer.write('2\n');
    await writer.close();
    assert.equal(readFileSync(join(folder, 'a'), 'utf8'), '1\n');
    assert.equal(readFileSync(join(folder, 'b'), 'utf8'), '');
    assert.equal(readFileSync(join(folder, 'c'), 'utf8'), '2\n');
  });

  test('on a full disk: lines wait, those beyond the limit are counted, and it goes on by itself', async (t) => {
    const path = join(makeFolder(t), 'log');
    const fullFd = openSync('/dev/full', 'w');
    const writer = new LineWriter({ fd: fullFd, nonBlocking: false, droppedLine, waitingLengthMax: 10 });
    for (const line of numbered(3)) writer.write(line);
    await new Promise((resolve) => setTimeout(resolve, 20)); // so that the first chunk is refused
    for (const line of ['a\n', 'b\n', 'c\n', 'd\n', 'e\n', 'f\n', 'g\n']) writer.write(line);
    writer.replaceDescriptor(openFile(path));
    await writer.close();
    assert.equal(readFileSync(path, 'utf8'), '0\n1\n2\na\nb\nc\nd\ne\n2 dropped\n');
  });

  test('on a full disk does not hold up flushSync', () => {
    const writer = new LineWriter({ fd: openSync('/dev/full', 'w'), nonBlocking: false, droppedLine });
    writer.write('x\n');
    const start = Date.now();
    writer.flushSync();
    assert.ok(Date.now() - start < 3000);
  });
});

describe('a pipe', () => {
  test('that nobody reads: writing goes on at once, lines are dropped and counted, and later it recovers', async (t) => {
    const { writeFd, startReading } = makePipe(t);
    const writer = new LineWriter({ fd: writeFd, nonBlocking: true, droppedLine, waitingLengthMax: 100_000 });
    const lines = numbered(40_000, 9); // 400 kB: more than a pipe and the limit hold
    for (const [index, line] of lines.entries()) {
      writer.write(line);
      if (index % 1000 === 0) await new Promise(setImmediate);
    }
    const reader = startReading();
    const text = await reader.textUntil(/ dropped\n/);
    const kept = text.slice(0, text.search(/\d+ dropped/));
    const dropped = Number(/(\d+) dropped/.exec(text)![1]);
    assert.equal(kept, lines.slice(0, kept.length / 10).join(''), 'what came first is there, in order');
    assert.equal(kept.length / 10 + dropped, lines.length);
    writer.write('afterwards\n');
    const later = await reader.textUntil(/afterwards\n$/);
    assert.equal(later, `${text}afterwards\n`);
    await writer.close();
  });

  test('that nobody reads holds up flushSync for a moment only', async (t) => {
    const { writeFd, startReading } = makePipe(t);
    const writer = new LineWriter({ fd: writeFd, nonBlocking: true, droppedLine });
    const lines = numbered(20_000, 9);
    for (const line of lines) writer.write(line);
    const start = Date.now();
    writer.flushSync();
    assert.ok(Date.now() - start < 10_000);
    // And nothing is lost or doubled by it.
    writer.write('end\n');
    assert.equal(await startReading().textUntil(/end\n$/), `${lines.join('')}end\n`);
    await writer.close();
  });

  test('whose reader is gone is given up, quietly', async (t) => {
    const { writeFd, hangUp } = makePipe(t);
    const writer = new LineWriter({ fd: writeFd, nonBlocking: true, droppedLine });
    hangUp();
    writer.write('to nobody\n');
    await new Promise(setImmediate);
    writer.write('to nobody\n');
    writer.flushSync();
    await within(patienceMs, writer.close(), () => 'still closing');
  });
});
