import assert from 'node:assert/strict';
import { existsSync, statSync, symlinkSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { test } from 'node:test';
import { findLiveFolder, memoryFolders } from '../../../../src/store/file/live-folder.js';
import { temporaryFolder } from '../../../support/store/stores.js';

const noMemory = existsSync('/dev/shm') ? false : 'no /dev/shm';

test("systemd's folder comes first, then /dev/shm", () => {
  assert.deepEqual(
    memoryFolders({ RUNTIME_DIRECTORY: '/run/midge:/run/other', XDG_RUNTIME_DIR: '/run/user/1' }),
    ['/run/midge', '/run/other', '/dev/shm', '/run/user/1'],
  );
  assert.deepEqual(memoryFolders({}), ['/dev/shm']);
});

test('the folder is ours alone, and another one for another store', { skip: noMemory }, (t) => {
  const memory = temporaryFolder(t, '/dev/shm');
  const request = { candidates: ['/nowhere', '/proc', memory], savedPath: '/a/mosquitto.db', bytes: 1000 };
  const folder = findLiveFolder(request);
  assert.equal(dirname(folder!), memory);
  assert.equal(statSync(folder!).mode & 0o777, 0o700);
  assert.equal(findLiveFolder(request), folder);
  assert.notEqual(findLiveFolder({ ...request, savedPath: '/b/mosquitto.db' }), folder);
});

test('a store that is too large for the memory gets none', { skip: noMemory }, (t) => {
  const memory = temporaryFolder(t, '/dev/shm');
  assert.equal(findLiveFolder({ candidates: [memory], savedPath: '/a', bytes: 2 ** 50 }), undefined);
});

test('a link that somebody put in its place is not followed', { skip: noMemory }, (t) => {
  const memory = temporaryFolder(t, '/dev/shm');
  const request = { candidates: [memory], savedPath: '/a', bytes: 0 };
  const name = basename(findLiveFolder(request)!);
  const trap = temporaryFolder(t, '/dev/shm');
  symlinkSync('/etc', join(trap, name));
  assert.equal(findLiveFolder({ ...request, candidates: [trap] }), undefined);
});

test('what is not kept may lie on a disk', (t) => {
  const disk = temporaryFolder(t);
  const request = { candidates: ['/nowhere', disk], savedPath: '/a', bytes: 0, anyFileSystem: true };
  assert.equal(dirname(findLiveFolder(request)!), disk);
});
