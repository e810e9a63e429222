/** Configuration files of this machine: the one source that reads the file system. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import type { ConfigSource, FileRead } from '../../config/config-source.js';

export const nodeConfigSource: ConfigSource = { readFile, listDirectory };

function readFile(path: string): FileRead {
  try {
    if (statSync(path).isDirectory()) return { kind: 'directory' };
    return { kind: 'read', bytes: readFileSync(path) };
  } catch (error) {
    return { kind: 'unreadable', reason: systemReason(error as Error) };
  }
}

function listDirectory(path: string): readonly string[] | undefined {
  try {
    return readdirSync(path);
  } catch {
    return undefined;
  }
}

/** `ENOENT: no such file or directory, stat 'F'` to `no such file or directory`. */
function systemReason({ message }: Error): string {
  return message.replace(/^[A-Z]+: /, '').replace(/, \w+( '.*')?$/, '');
}
