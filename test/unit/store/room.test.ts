/** Whether there is room for a transaction: reckoned before LMDB is asked. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { NoRoomError, Room, type RoomProbe } from '../../../src/store/room.js';
import { temporaryFolder } from '../../support/store/stores.js';

const MB = 1024 * 1024;

class Disk implements RoomProbe {
  free = 100 * MB;
  within = 0;
  file = 10 * MB;
  asked = 0;
  readonly path: string;

  constructor(t: TestContext) {
    this.path = join(temporaryFolder(t), 'live.mdb');
  }

  available(): number {
    this.asked += 1;
    return this.free - (existsSync(`${this.path}.ballast`) ? MB : 0);
  }

  freeWithin(): number {
    return this.within;
  }

  fileBytes(): number {
    return this.file;
  }
}

function roomOn(disk: Disk): Room {
  return new Room(disk.path, {
    available: () => disk.available(),
    freeWithin: () => disk.freeWithin(),
    fileBytes: () => disk.fileBytes(),
  });
}

test('where there is plenty, it is not asked for each time', (t) => {
  const disk = new Disk(t);
  const room = roomOn(disk);
  for (let i = 0; i < 10; i += 1) room.ensure(1, 100);
  assert.equal(disk.asked, 1);
  room.ensure(1, 7 * MB);
  assert.equal(disk.asked, 2, 'a large transaction is asked for');
});

test('near the end each transaction is reckoned', (t) => {
  const disk = new Disk(t);
  const room = roomOn(disk);
  disk.free = 4 * MB;
  room.ensure(10, 100_000);
  disk.free = MB / 5;
  assert.throws(() => room.ensure(10, 100_000), NoRoomError);
  disk.within = 2 * MB;
  assert.throws(() => room.ensure(10, 100_000), /no space left on .+ bytes are free, up to \d+ are needed/);
  disk.free = MB / 2;
  room.ensure(10, 100_000);
});

test('many changes cannot touch more pages than the file has', (t) => {
  const disk = new Disk(t);
  disk.free = 8 * MB;
  disk.file = MB;
  roomOn(disk).ensure(10_000, 100_000);
});

test('the ballast is given up for what only removes, and comes back', (t) => {
  const disk = new Disk(t);
  const room = roomOn(disk);
  room.keepBallast();
  disk.free = MB;
  assert.throws(() => room.ensure(64, 20_000), NoRoomError);
  assert.ok(existsSync(`${disk.path}.ballast`));
  room.ensure(64, 20_000, false);
  assert.ok(!existsSync(`${disk.path}.ballast`));
  room.keepBallast();
  assert.ok(!existsSync(`${disk.path}.ballast`), 'there is no room for it');
  disk.free = 10 * MB;
  room.keepBallast();
  assert.ok(existsSync(`${disk.path}.ballast`));
});

test('after another error of LMDB nothing is tried before some bytes can be written', (t) => {
  const disk = new Disk(t);
  const room = roomOn(disk);
  room.ensure(1, 1);
  room.failed();
  mkdirSync(`${disk.path}.room/in the way`, { recursive: true });
  assert.throws(() => room.ensure(1, 1), /EISDIR|ERR_FS_EISDIR/);
  assert.throws(() => room.ensure(1, 1));
  rmSync(`${disk.path}.room`, { recursive: true });
  room.ensure(1, 1);
});
