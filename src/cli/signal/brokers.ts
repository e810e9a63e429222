/** Which processes of this machine are brokers, from what the kernel tells of them. */
import { readdirSync, readFileSync } from 'node:fs';

/** What `mosquitto_signal -a` finds: the ids of Midge's processes, and of those that are named `mosquitto`. */
export function brokerProcesses(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => pid !== process.pid && isBroker(pid));
}

function isBroker(pid: number): boolean {
  return isMosquitto(pid) || isMidge(commandLineOf(pid));
}

export function isMosquitto(pid: number): boolean {
  return read(pid, 'comm').trimEnd() === 'mosquitto';
}

/** What Midge's processes run; with these words behind it, it is no broker. */
const PROGRAM = /(^|\/)(dist\/src\/midge\.cjs|scripts\/start\.mjs)$/;
const SUBCOMMANDS: ReadonlySet<string> = new Set(['db', 'acl']);

/** @param words of the command line */
export function isMidge(words: readonly string[]): boolean {
  const [interpreter = ''] = words;
  const at = words.findIndex((word) => PROGRAM.test(word));
  return /(^|\/)node$/.test(interpreter) && at > 0 && !SUBCOMMANDS.has(words[at + 1] ?? '');
}

function commandLineOf(pid: number): string[] {
  return read(pid, 'cmdline').split('\0');
}

/** Processes come and go, and some are not ours to look at. */
function read(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return '';
  }
}
