import assert from 'node:assert/strict';
import { existsSync, statSync, symlinkSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { test } from 'node:test';
import {
  findLiveFolder as findFolder,
  type LiveFolderRequest,
  memoryFolders,
} from '../../../../src/store/file/live-folder.js';
import { temporaryFolder } from '../../../support/store/stores.js';

/** @returns its path; it is released at once */
async function findLiveFolder(request: LiveFolderRequest): Promise<string | undefined> {
  const folder = await findFolder(request);
  folder?.release();
  return folder?.path;
}

const noMemory = existsSync('/dev/shm') ? false : 'no /dev/shm';

test("systemd's folder comes first, then /dev/shm", () => {
  assert.deepEqual(
    memoryFolders({ RUNTIME_DIRECTORY: '/run/midge:/run/other', XDG_RUNTIME_DIR: '/run/user/1' }),
    ['/run/midge', '/run/other', '/dev/shm', '/run/user/1'],
  );
  assert.deepEqual(memoryFolders({}), ['/dev/shm']);
});

test('the folder is ours alone, and another one for another store', { skip: noMemory }, async (t) => {
  const memory = temporaryFolder(t, '/dev/shm');
  const request = { candidates: ['/nowhere', '/proc', memory], savedPath: '/a/mosquitto.db', bytes: 1000 };
  const folder = await findLiveFolder(request);
  assert.equal(dirname(folder!), memory);
  assert.equal(statSync(folder!).mode & 0o777, 0o700);
  assert.equal(await findLiveFolder(request), folder);
  assert.notEqual(await findLiveFolder({ ...request, savedPath: '/b/mosquitto.db' }), folder);
});

test('a store that is too large for the memory gets none', { skip: noMemory }, async (t) => {
  const memory = temporaryFolder(t, '/dev/shm');
  assert.equal(await findLiveFolder({ candidates: [memory], savedPath: '/a', bytes: 2 ** 50 }), undefined);
});

test('a link that somebody put in its place is not followed', { skip: noMemory }, async (t) => {
  const memory = temporaryFolder(t, '/dev/shm');
  const request = { candidates: [memory], savedPath: '/a', bytes: 0 };
  const name = basename((await findLiveFolder(request))!);
  const trap = temporaryFolder(t, '/dev/shm');
  symlinkSync('/etc', join(trap, name));
  assert.equal(await findLiveFolder({ ...request, candidates: [trap] }), undefined);
});

test('what is not kept may lie on a disk', async (t) => {
  const disk = temporaryFolder(t);
  const request = { candidates: ['/nowhere', disk], savedPath: '/a', bytes: 0, anyFileSystem: true };
  assert.equal(dirname((await findLiveFolder(request))!), disk);
});

test('a folder that another process has is left alone', { skip: noMemory }, async (t) => {
  const memory = temporaryFolder(t, '/dev/shm');
  const request = { candidates: [memory], savedPath: '/a', bytes: 0 };
  const first = await findFolder(request);
  const second = await findFolder(request);
  assert.equal(second!.path, `${first!.path}-2`);
  first!.release();
  assert.equal(await findLiveFolder(request), first!.path);
  second!.release();
});
