/** Configuration files on a real file system. */
import assert from 'node:assert/strict';
import { dirname } from 'node:path';
import { test } from 'node:test';
import { nodeConfigSource } from '../../../../src/runtime/shared/node-config-source.js';
import { fixture } from '../../config/config-support.js';

const { path, text } = fixture('mosquitto-1.4.8.conf');
const directory = dirname(path);

test('reads a file, and says what it cannot read', () => {
  const file = nodeConfigSource.readFile(path);
  assert.ok(file.kind === 'read');
  assert.equal(Buffer.from(file.bytes).toString(), text);
  assert.deepEqual(nodeConfigSource.readFile(directory), { kind: 'directory' });
  assert.deepEqual(nodeConfigSource.readFile(`${directory}/none.conf`), {
    kind: 'unreadable',
    reason: 'no such file or directory',
  });
});

test('lists a directory, and only a directory', () => {
  assert.ok(nodeConfigSource.listDirectory(directory)?.includes('mosquitto-1.4.8.conf'));
  assert.equal(nodeConfigSource.listDirectory(path), undefined);
  assert.equal(nodeConfigSource.listDirectory(`${directory}/none`), undefined);
});
