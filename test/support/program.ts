/**
 * A program that a test has started: its output line by line, waiting for a line, and its end. Used for brokers,
 * Debian's clients and Python scripts alike. A program never outlives its test.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { afterTest, endWithTests, type Lifetime } from './cleanup.js';
import { patienceMs, within } from './within.js';

/** How a program ended: one of the two is null. */
export interface End {
  code: number | null;
  signal: NodeJS.Signals | null;
}

export interface ProgramOptions {
  /** Added to the test's own environment; undefined takes a variable away. */
  env?: Record<string, string | undefined>;
  cwd?: string;
  /** Written to the program's standard input, which is then closed. Default: nothing. */
  input?: string | Uint8Array;
}

interface Waiter {
  /** Called after each line. */
  look: () => void;
  /** Called when the program has ended. */
  giveUp: () => void;
}

export class Program {
  /** Complete lines of stdout and stderr in the order of arrival. */
  readonly lines: string[] = [];
  readonly stdout: string[] = [];
  readonly stderr: string[] = [];
  readonly pid: number;
  /** Fulfilled when the program has ended and all its output is here. */
  readonly ended: Promise<End>;
  end: End | undefined;
  #child: ChildProcess;
  #name: string;
  #waiters = new Set<Waiter>();

  /** @param name for messages. */
  constructor(t: Lifetime, name: string, command: readonly string[], options: ProgramOptions = {}) {
    const [file, ...args] = command;
    this.#name = name;
    this.#child = spawn(file!, args, {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    });
    this.pid = this.#child.pid ?? 0;
    this.#collect(this.#child.stdout!, this.stdout);
    this.#collect(this.#child.stderr!, this.stderr);
    this.ended = new Promise((resolve, reject) => {
      this.#child.on('error', reject);
      this.#child.on('close', (code, signal) => resolve(this.#finish({ code, signal })));
    });
    this.ended.catch(() => {});
    if (this.pid !== 0) endWithTests(this.pid, this.ended);
    if (options.input !== undefined) this.write(options.input).#child.stdin!.end();
    afterTest(t, () => this.kill());
  }

  /** Everything it wrote to stdout, as one text. */
  get output(): string {
    return this.stdout.map((line) => `${line}\n`).join('');
  }

  write(text: string | Uint8Array): this {
    this.#child.stdin!.on('error', () => {}); // A program may end without reading all of it.
    this.#child.stdin!.write(text);
    return this;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Ends it the hard way, and waits until it is gone. */
  async kill(): Promise<void> {
    if (this.end === undefined && this.pid !== 0) {
      this.#child.kill('SIGKILL');
      await this.ended;
    }
  }

  /** @returns how it ended. @throws after `timeoutMs`, with what it had written. */
  waitForEnd(timeoutMs = patienceMs): Promise<End> {
    return within(timeoutMs, this.ended, () => `waiting for the end. ${this.tail()}`);
  }

  /**
   * The first line that matches, of those already written or still to come.
   *
   * @param from index into `lines` to start from: `program.lines.length` looks at new lines only.
   */
  waitForLine(pattern: RegExp, { from = 0, timeoutMs = patienceMs } = {}): Promise<string> {
    let at = from;
    const look = () => {
      while (at < this.lines.length) {
        const line = this.lines[at++]!;
        if (pattern.test(line)) return line;
      }
      return undefined;
    };
    return this.waitUntil(look, `a line like ${pattern}`, timeoutMs);
  }

  /**
   * @param look asked now and after each line; undefined means not yet.
   * @param what is waited for, for the message of the error.
   */
  waitUntil<T>(look: () => T | undefined, what: string, timeoutMs = patienceMs): Promise<T> {
    const found = look();
    if (found !== undefined) return Promise.resolve(found);
    if (this.end !== undefined) return Promise.reject(this.#endedWithout(what));
    const arrival = new Promise<T>((resolve, reject) => {
      const waiter: Waiter = {
        look: () => {
          const later = look();
          if (later === undefined) return;
          this.#waiters.delete(waiter);
          resolve(later);
        },
        giveUp: () => reject(this.#endedWithout(what)),
      };
      this.#waiters.add(waiter);
    });
    return within(timeoutMs, arrival, () => `still waiting for ${what}. ${this.tail()}`);
  }

  /** The last lines it wrote, for messages. */
  tail(): string {
    const how = this.end === undefined ? 'runs' : `ended with ${this.end.signal ?? `code ${this.end.code}`}`;
    return `${this.#name} ${how}; its last lines:\n${this.lines.slice(-40).join('\n') || '(none)'}`;
  }

  #endedWithout(what: string): Error {
    return new Error(`Waited for ${what}, but ${this.tail()}`);
  }

  #collect(stream: NodeJS.ReadableStream, lines: string[]): void {
    let rest = '';
    stream.setEncoding('utf8');
    stream.on('data', (text: string) => {
      const parts = (rest + text).split('\n');
      rest = parts.pop()!;
      for (const line of parts) this.#addLine(lines, line);
    });
    stream.on('end', () => {
      if (rest !== '') this.#addLine(lines, rest);
    });
  }

  #addLine(lines: string[], line: string): void {
    lines.push(line);
    this.lines.push(line);
    for (const waiter of this.#waiters) waiter.look();
  }

  #finish(end: End): End {
    this.end = end;
    for (const waiter of this.#waiters) waiter.giveUp();
    this.#waiters.clear();
    return end;
  }
}
