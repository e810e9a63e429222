/** Users and groups of this machine by name and number, and as whom the broker runs. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { BrokerUser } from '../../auth/file-permissions.js';

export interface UserEntry {
  name: string;
  uid: number;
  /** Its first group. */
  gid: number;
}

/** @param wanted a name or a number */
export function findUser(wanted: string | number): UserEntry | null {
  const fields = findEntry('passwd', wanted);
  return fields === null ? null : { name: fields[0]!, uid: Number(fields[2]), gid: Number(fields[3]) };
}

function groupName(gid: number): string {
  return findEntry('group', gid)?.[0] ?? String(gid);
}

/** In the file first; what it does not have may still be known to a directory service. */
function findEntry(database: 'passwd' | 'group', wanted: string | number): string[] | null {
  const column = typeof wanted === 'number' ? 2 : 0;
  const matches = (fields: string[]) => fields[column] === String(wanted);
  return entriesOfFile(database).find(matches) ?? entriesOfService(database, wanted).find(matches) ?? null;
}

function entriesOfFile(database: string): string[][] {
  try {
    return split(readFileSync(`/etc/${database}`, 'utf8'));
  } catch {
    return [];
  }
}

function entriesOfService(database: string, wanted: string | number): string[][] {
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

/** As whom the broker runs now. */
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
