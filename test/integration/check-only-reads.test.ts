/** `midge check` as a process: it opens nothing for writing, changes no name or mode, and reaches nobody. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeFolder } from '../support/cleanup.js';
import { midgeCommand } from '../support/project.js';

const hasStrace = spawnSync('strace', ['-V']).status === 0;

/** System calls that would change something outside of the process. */
const CHANGES =
  'creat,unlink,unlinkat,rename,renameat,renameat2,mkdir,mkdirat,rmdir,chmod,fchmod,fchmodat,chown,fchown,fchownat,lchown,' +
  'link,linkat,symlink,symlinkat,truncate,ftruncate,utimensat,bind,connect,listen,mknod,mknodat';

test('midge check writes nothing', { skip: !hasStrace && 'strace is not installed' }, (t) => {
  const folder = makeFolder(t);
  const config = join(folder, 'mosquitto.conf');
  writeFileSync(join(folder, 'passwd'), '');
  writeFileSync(
    config,
    `listener 0 ${folder}/socket\npassword_file ${folder}/passwd\npersistence true\npersistence_location ${folder}/\nlog_dest file ${folder}/log\npid_file ${folder}/pid\n`,
  );
  const trace = join(folder, 'trace');
  const strace = ['-f', '-qq', '-e', `trace=open,openat,${CHANGES}`, '-o', trace];
  const { status, stdout } = spawnSync('strace', [
    ...strace,
    ...midgeCommand,
    'check',
    '--config',
    config,
    '--from',
    '1.4',
  ]);
  assert.match(stdout.toString(), new RegExp(`Store: ${folder}/mosquitto.db`));
  assert.equal(status, 1, stdout.toString());
  const changing = readFileSync(trace, 'utf8')
    .split('\n')
    .filter((call) => /^\d+ +\w+\(/.test(call) && !/ENOENT/.test(call))
    .filter((call) => !/ open(at)?\(/.test(call) || /O_WRONLY|O_RDWR|O_CREAT/.test(call));
  assert.deepEqual(changing, []);
});
