/** What kind of file system a path lies in. */
import { statfsSync } from 'node:fs';

/** File systems that live in memory, by their `statfs` number. */
const TMPFS = 0x01021994;
export const RAMFS = 0x858458f6;

/** @param type of a file system, from `statfs` */
export function liesInMemory(type: number): boolean {
  return type === TMPFS || type === RAMFS;
}

export function isInMemory(path: string): boolean {
  try {
    return liesInMemory(statfsSync(path).type);
  } catch {
    return false; // not there, or not for us
  }
}
