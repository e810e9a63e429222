/**
 * Folders as a power cut may leave them, made of what a program did (`traced-writes.ts`). What was synced is there. Of
 * what came later anything may be: each write whole, in part or not at all, in pieces of a disk's sector; each change
 * of a name made or not. A file's sync says nothing of its name: that is the folder's.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Random } from '../random.js';
import type { DataChange, NameChange, Span, Sync, TracedCall } from './traced-writes.js';

const SECTOR_BYTES = 512;

/** What becomes of that which was not synced. */
const FATES = ['lost', 'there', 'some', 'some', 'torn', 'torn', 'torn'] as const;
const NAME_FATES = ['lost', 'there', 'the first', 'some'] as const;
type Fate = (typeof FATES)[number];
type NameFate = (typeof NAME_FATES)[number];

export interface Cut {
  /** Microseconds since the epoch: of the calls that began until then, something may be on the disk. */
  at: number;
  data: Fate;
  names: NameFate;
}

export interface DiskState {
  /** By path. Folders are there if a file is in them. */
  files: ReadonlyMap<string, { file: number; bytes: Buffer }>;
}

/** @param calls in one of which, or right after which, the cut comes */
export function randomCut(calls: readonly TracedCall[], random: Random): Cut {
  const { start, end } = random.pick(calls);
  // Within the call, or when it has just returned.
  const at = end === Number.POSITIVE_INFINITY ? start : random.below(2) === 0 ? end : start;
  return { at, data: random.pick(FATES), names: random.pick(NAME_FATES) };
}

/** Nothing is lost: what the folder looks like at that moment. */
export function wholeState(calls: readonly TracedCall[]): DiskState {
  return stateAt(calls, { at: Number.POSITIVE_INFINITY, data: 'there', names: 'there' });
}

/** @param random decides what `cut` leaves open */
export function stateAt(calls: readonly TracedCall[], cut: Cut, random?: Random): DiskState {
  const begun = calls.filter(({ start }) => start <= cut.at);
  const syncs = begun.filter((call): call is Sync => call.kind === 'sync' && call.end <= cut.at);
  const isCovered = (of: number | string, { end }: Span) =>
    syncs.some((sync) => sync.of === of && sync.start >= end);

  const names = new Map<string, number>();
  const changes = begun.filter((call): call is NameChange => call.kind === 'names');
  const open = changes.filter((change) => !isCovered(change.folder, change));
  const firstLost = random === undefined ? 0 : random.below(open.length + 1);
  for (const change of changes) {
    const at = open.indexOf(change);
    if (at >= 0 && !isMade(cut.names, at < firstLost, random)) continue;
    for (const [path, file] of change.names) {
      if (file === null) names.delete(path);
      else if (file >= 0) names.set(path, file);
    }
  }

  const wanted = new Set(names.values());
  const contents = new Map<number, Buffer>();
  for (const call of begun) {
    if (call.kind !== 'data' || !wanted.has(call.file)) continue;
    const isSafe = (call.isSynced && call.end <= cut.at) || isCovered(call.file, call);
    const before = contents.get(call.file) ?? Buffer.alloc(0);
    contents.set(call.file, applied(before, call, isSafe ? 'there' : cut.data, random));
  }
  const files = [...names].map(
    ([path, file]) => [path, { file, bytes: contents.get(file) ?? Buffer.alloc(0) }] as const,
  );
  return { files: new Map(files) };
}

function isMade(fate: NameFate, isOfFirst: boolean, random: Random | undefined): boolean {
  if (fate === 'some') return random!.below(2) === 0;
  return fate === 'there' || (fate === 'the first' && isOfFirst);
}

function applied(before: Buffer, call: DataChange, fate: Fate, random: Random | undefined): Buffer {
  const { offset, bytes } = call;
  if (fate === 'lost' || (fate === 'some' && random!.below(2) === 0)) return before;
  const isTorn = fate === 'torn';
  if (bytes === undefined) {
    if (isTorn && random!.below(2) === 0) return before;
    return offset <= before.length ? before.subarray(0, offset) : grown(before, offset);
  }
  if (!isTorn) {
    const after = grown(before, offset + bytes.length);
    bytes.copy(after, offset);
    return after;
  }
  const ofFour = random!.below(5);
  let after = before;
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(bytes.length, at + SECTOR_BYTES - ((offset + at) % SECTOR_BYTES));
    if (random!.below(4) < ofFour) {
      after = grown(after, offset + end);
      bytes.copy(after, offset + at, at, end);
    }
    at = end;
  }
  return after;
}

/** A buffer of its own, with zeros at its end. */
function grown(before: Buffer, length: number): Buffer {
  if (length <= before.length) return before;
  // Room for more: a file grows by many writes.
  if (before.byteOffset === 0 && before.buffer.byteLength >= length) {
    const after = Buffer.from(before.buffer, 0, length);
    after.fill(0, before.length);
    return after;
  }
  const room = Buffer.from(new ArrayBuffer(Math.max(length * 2, 64 * 1024)), 0, length);
  before.copy(room);
  return room;
}

/** Makes the folder hold exactly this. */
export function writeState(folder: string, { files }: DiskState): void {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  for (const [path, { bytes }] of files) {
    mkdirSync(dirname(join(folder, path)), { recursive: true, mode: 0o700 });
    writeFileSync(join(folder, path), bytes, { mode: 0o600 });
  }
}
