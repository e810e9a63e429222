/** Warnings about files with secrets that lie open. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { permissionWarnings } from '../../../src/auth/file-permissions.js';

const broker = { uid: 100, gid: 200, gids: [200, 201], userName: 'mosquitto', groupName: 'mqtt' };

const OUTLOOK = 'Future versions will refuse to load this file. To fix this, use';
const OWNER = `Warning: File /pw owner is not mosquitto. ${OUTLOOK} \`chown mosquitto /pw\`.`;
const GROUP = `Warning: File /pw group is not mqtt. ${OUTLOOK} \`chgrp mqtt /pw\`.`;
const open = (remedy: string) =>
  `Warning: File /pw has world readable permissions. ${OUTLOOK} \`${remedy}\`.`;

const table: [what: string, mode: number, uid: number, gid: number, warnings: string[]][] = [
  ['the broker alone', 0o100600, 100, 200, []],
  ['the broker and its group', 0o100640, 100, 200, []],
  ['others may write or run, but not read', 0o100603, 100, 200, []],
  ['everybody', 0o100644, 100, 200, [open('chmod 0600 /pw')]],
  ['everybody, of another owner in a group of the broker', 0o100644, 0, 200, [open('chmod 0640 /pw'), OWNER]],
  ['the same, by another of its groups', 0o100644, 0, 201, [open('chmod 0640 /pw'), OWNER, GROUP]],
  ['root as Debian leaves it', 0o100644, 0, 0, [open('chown mosquitto /pw && chmod 0600 /pw'), OWNER, GROUP]],
  ['root, closed', 0o100600, 0, 0, [OWNER, GROUP]],
];

for (const [what, mode, uid, gid, warnings] of table) {
  test(what, () => assert.deepEqual(permissionWarnings('/pw', { mode, uid, gid }, broker), warnings));
}
