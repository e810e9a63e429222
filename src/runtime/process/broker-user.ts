/** Users and groups of this machine by name and number, and as whom the broker runs. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { BrokerUser } from '../../auth/file-permissions.js';

/** A user of this machine. */
export interface SystemUser {
  name: string;
  uid: number;
  /** Its first group. */
  gid: number;
}

/** @param wanted a name or a number */
export function findUser(wanted: string | number): SystemUser | null {
  const fields = findRow('passwd', wanted);
  return fields === null ? null : { name: fields[0]!, uid: Number(fields[2]), gid: Number(fields[3]) };
}

function groupName(gid: number): string {
  return findRow('group', gid)?.[0] ?? String(gid);
}

/** Looks into the file first, then asks the directory services (`getent`), which may know more users. */
function findRow(database: 'passwd' | 'group', wanted: string | number): string[] | null {
  const column = typeof wanted === 'number' ? 2 : 0;
  const matches = (fields: string[]) => fields[column] === String(wanted);
  return rowsOfFile(database).find(matches) ?? rowsOfService(database, wanted).find(matches) ?? null;
}

function rowsOfFile(database: string): string[][] {
  try {
    return split(readFileSync(`/etc/${database}`, 'utf8'));
  } catch {
    return [];
  }
}

function rowsOfService(database: string, wanted: string | number): string[][] {
  try {
    return split(
      execFileSync('getent', [database, '--', String(wanted)], {
        stdio: ['ignore', 'pipe', 'ignore'],
      }).toString(),
    );
  } catch {
    return [];
  }
}

function split(text: string): string[][] {
  return text.split('\n').map((line) => line.split(':'));
}

/** The user and groups that the broker runs as now. */
export function currentUser(): BrokerUser {
  const uid = process.geteuid?.() ?? 0;
  const gid = process.getegid?.() ?? 0;
  return {
    uid,
    gid,
    gids: process.getgroups?.() ?? [gid],
    userName: findUser(uid)?.name ?? String(uid),
    groupName: groupName(gid),
  };
}
