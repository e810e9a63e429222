/**
 * What a program did to the files of a folder, call by call, as strace(1) saw it: writes, syncs, and changes of names,
 * each with the moments at which it began and ended. `power-cut.ts` makes of it what a power cut could have left.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/** Microseconds since the epoch. */
export interface Span {
  start: number;
  /** Infinity: the program was killed meanwhile. */
  end: number;
}

export interface DataChange extends Span {
  kind: 'data';
  file: number;
  offset: number;
  /** `undefined`: the file was cut to `offset` bytes, or made so long. */
  bytes: Buffer | undefined;
  /** It is on the disk when the call returns (O_DSYNC). */
  isSynced: boolean;
}

export interface NameChange extends Span {
  kind: 'names';
  /** In whose sync it is. */
  folder: string;
  /** The file of each name from here on; `null`: none. */
  names: readonly (readonly [path: string, file: number | null])[];
}

export interface Sync extends Span {
  kind: 'sync';
  /** A file's number, or the path of a folder. */
  of: number | string;
}

export type TracedCall = DataChange | NameChange | Sync;

/** Calls that change files; `lseek`, `openat` and `clone` tell where the others write. */
const CALLS =
  'openat,open,creat,close,lseek,write,writev,pwrite64,pwritev,pwritev2,fsync,fdatasync,sync_file_range,' +
  'ftruncate,truncate,fallocate,rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat,rmdir,' +
  'copy_file_range,sendfile,clone,clone3,fork,vfork';

/** To be put before a command. @param prefix of the files that `TracedFolder.read` reads */
export function tracer(prefix: string): string[] {
  // -D: the command's process is the one that is started, and signals go to it.
  const options = ['-D', '--seccomp-bpf', '-f', '-ff', '-y', '-ttt', '-T', '-xx', '-s', '20000000'];
  return ['strace', ...options, '-e', `trace=${CALLS}`, '-e', 'signal=none', '-o', prefix, '--'];
}

interface Line extends Span {
  call: string;
  args: string;
  result: string;
  thread: number;
}

/** Its path. */
export const FOLDER_ITSELF = '.';
const FOLDER = -1;

/** Paths are relative to the folder. */
export class TracedFolder {
  readonly calls: TracedCall[] = [];
  readonly #folder: string;
  readonly #onWrite: (path: string, bytes: Buffer) => void;
  /** A file's number, or that of a folder. */
  readonly #names = new Map<string, number>([[FOLDER_ITSELF, FOLDER]]);
  #files = 0;
  /** By process and descriptor. */
  readonly #positions = new Map<string, number>();
  readonly #synced = new Set<string>();
  /** The process of each thread. */
  readonly #processes = new Map<number, number>();
  #unfinished: DataChange[] = [];

  /** @param onWrite called when a write is read that `names` is the state of */
  constructor(folder: string, onWrite: (path: string, bytes: Buffer) => void = () => {}) {
    this.#folder = folder;
    this.#onWrite = onWrite;
  }

  /**
   * Adds what a program did, after it has ended.
   */
  read(prefix: string): void {
    this.#positions.clear();
    this.#synced.clear();
    this.#processes.clear();
    for (const line of linesOf(prefix)) this.#add(line);
    const end = Math.max(
      0,
      ...this.calls.map((call) => (call.end === Number.POSITIVE_INFINITY ? 0 : call.end)),
    );
    for (const change of this.#unfinished) this.#settle(change, end + 1);
    this.#unfinished = [];
  }

  /** The files by their names, now. */
  get names(): ReadonlyMap<string, number> {
    return this.#names;
  }

  /** The program was killed within a write: the folder says what came of it. */
  #settle(change: DataChange, end: number): void {
    const path = [...this.#names].find(([, file]) => file === change.file)?.[0];
    const found = path === undefined ? undefined : readFileSync(join(this.#folder, path));
    const isDone = found?.subarray(change.offset, change.offset + change.bytes!.length).equals(change.bytes!);
    if (isDone) change.end = end;
    else this.calls.splice(this.calls.indexOf(change), 1);
  }

  #add(line: Line): void {
    const { call, args, result } = line;
    const process = this.#processes.get(line.thread) ?? line.thread;
    if (call === 'clone' || call === 'clone3' || call === 'fork' || call === 'vfork') {
      const child = Number.parseInt(result, 10);
      if (child > 0) this.#processes.set(child, args.includes('CLONE_THREAD') ? process : child);
      return;
    }
    if (/^-1 |^-1$/.test(result)) return;
    const span = { start: line.start, end: line.end };
    const paths = textsIn(args).map((text) => this.#relative(text.toString()));
    const descriptor = /^(\d+)</.exec(args)?.[1];
    const key = `${process} ${descriptor}`;
    switch (call) {
      case 'openat':
      case 'open':
      case 'creat':
        this.#open(span, process, paths[0], args, result);
        return;
      case 'lseek':
        this.#positions.set(key, Number.parseInt(result, 10));
        return;
      case 'mkdir':
      case 'mkdirat':
        if (paths[0] !== undefined) this.#change(span, paths[0], [[paths[0], FOLDER]]);
        return;
      case 'unlink':
      case 'unlinkat':
      case 'rmdir':
        if (paths[0] !== undefined) this.#change(span, paths[0], [[paths[0], null]]);
        return;
      case 'rename':
      case 'renameat':
      case 'renameat2':
      case 'link':
      case 'linkat':
        this.#rename(span, paths[0], paths[1], call.startsWith('rename'));
        return;
    }
    const file = this.#fileOf(args);
    if (file === undefined) return;
    const position = this.#positions.get(key) ?? 0;
    switch (call) {
      case 'fsync':
      case 'fdatasync': {
        const of = file === FOLDER ? this.#pathOf(args)! : file;
        this.calls.push({ ...span, kind: 'sync', of });
        return;
      }
      case 'ftruncate':
        this.calls.push({
          ...span,
          kind: 'data',
          file,
          offset: numbersIn(args)[0]!,
          bytes: undefined,
          isSynced: false,
        });
        return;
      case 'write':
      case 'writev':
      case 'pwrite64':
      case 'pwritev':
      case 'pwritev2': {
        const isFinished = line.end !== Number.POSITIVE_INFINITY;
        const all = Buffer.concat(textsIn(args.slice(args.indexOf('>') + 1)));
        const bytes = isFinished ? all.subarray(0, Number.parseInt(result, 10)) : all;
        const isPositioned = call.startsWith('p');
        const offset = isPositioned ? numbersIn(args)[1]! : position;
        if (!isPositioned) this.#positions.set(key, offset + bytes.length);
        const isSynced = this.#synced.has(key);
        const change: DataChange = { ...span, kind: 'data', file, offset, bytes, isSynced };
        this.calls.push(change);
        this.#onWrite(this.#pathOf(args)!, bytes);
        if (!isFinished) this.#unfinished.push(change);
        return;
      }
      case 'close':
        this.#synced.delete(key);
        return;
      case 'sync_file_range':
        return; // promises nothing
      default:
        assert.fail(`${call} is not understood: ${args.slice(0, 200)}`);
    }
  }

  #open(span: Span, process: number, path: string | undefined, args: string, result: string): void {
    const key = `${process} ${Number.parseInt(result, 10)}`;
    this.#positions.set(key, 0);
    if (/O_D?SYNC/.test(args)) this.#synced.add(key);
    else this.#synced.delete(key);
    if (path === undefined) return;
    const known = this.#names.get(path);
    if (known === undefined && args.includes('O_CREAT')) {
      this.#files += 1;
      this.#change(span, path, [[path, this.#files]]);
    } else if (known !== undefined && args.includes('O_TRUNC')) {
      this.calls.push({ ...span, kind: 'data', file: known, offset: 0, bytes: undefined, isSynced: false });
    }
  }

  #rename(span: Span, from: string | undefined, to: string | undefined, isMove: boolean): void {
    if (from === undefined && to === undefined) return;
    assert.ok(from !== undefined && to !== undefined, 'a file leaves the folder, or comes from outside');
    const file = this.#names.get(from)!;
    assert.notEqual(file, FOLDER, 'a folder is renamed');
    this.#change(
      span,
      to,
      isMove
        ? [
            [from, null],
            [to, file],
          ]
        : [[to, file]],
    );
  }

  #change(span: Span, path: string, names: NameChange['names']): void {
    for (const [name, file] of names) {
      if (file === null) this.#names.delete(name);
      else this.#names.set(name, file);
    }
    this.calls.push({ ...span, kind: 'names', folder: dirname(path), names });
  }

  /** The descriptor's file, by the name that it has now. */
  #fileOf(args: string): number | undefined {
    const path = this.#pathOf(args);
    return path === undefined ? undefined : this.#names.get(path);
  }

  #pathOf(args: string): string | undefined {
    const shown = /^\d+<((?:\\x[0-9a-f]{2})+)>/.exec(args)?.[1];
    return shown === undefined ? undefined : this.#relative(bytesOf(shown).toString());
  }

  #relative(path: string): string | undefined {
    if (path === this.#folder || path === `${this.#folder}/`) return FOLDER_ITSELF;
    return path.startsWith(`${this.#folder}/`) ? path.slice(this.#folder.length + 1) : undefined;
  }
}

/** All threads' lines, in the order in which the calls began. */
function linesOf(prefix: string): Line[] {
  const folder = dirname(prefix);
  const lines = readdirSync(folder)
    .filter((name) => name.startsWith(`${basename(prefix)}.`))
    .flatMap((name) => {
      const thread = Number(name.slice(name.lastIndexOf('.') + 1));
      return readFileSync(join(folder, name), 'latin1')
        .split('\n')
        .map((text) => parse(text, thread));
    });
  return lines.filter((line) => line !== undefined).sort((a, b) => a.start - b.start);
}

function parse(text: string, thread: number): Line | undefined {
  const head = /^(\d+)\.(\d{6}) (\w+)\(/.exec(text);
  if (head === null) return undefined;
  const start = Number(head[1]) * 1e6 + Number(head[2]);
  const call = head[3]!;
  const from = head[0].length;
  const unfinished = text.lastIndexOf(' <unfinished ...>');
  const close = text.lastIndexOf(') = ');
  if (unfinished > 0 || close < 0) {
    const args = text.slice(from, unfinished > 0 ? unfinished : undefined);
    return { start, end: Number.POSITIVE_INFINITY, call, args, result: '?', thread };
  }
  const tail = /<(\d+\.\d+)>$/.exec(text);
  const result = text.slice(close + 4, tail === null ? undefined : tail.index);
  const end = tail === null ? Number.POSITIVE_INFINITY : start + Math.round(Number(tail[1]) * 1e6);
  return { start, end, call, args: text.slice(from, close), result, thread };
}

/** What stands in quotation marks. */
function textsIn(args: string): Buffer[] {
  const found: Buffer[] = [];
  for (let at = args.indexOf('"'); at >= 0; at = args.indexOf('"', at + 1)) {
    const end = args.indexOf('"', at + 1);
    if (end < 0) break;
    found.push(bytesOf(args.slice(at + 1, end)));
    at = end;
  }
  return found;
}

function bytesOf(shown: string): Buffer {
  return Buffer.from(shown.replaceAll('\\x', ''), 'hex');
}

/** The numbers at the end of the arguments, behind descriptors and texts. */
function numbersIn(args: string): number[] {
  const rest = args.slice(Math.max(args.lastIndexOf('"'), args.lastIndexOf(']'), args.indexOf('>')) + 1);
  return [...rest.matchAll(/, (-?\d+)/g)].map((match) => Number(match[1]));
}
