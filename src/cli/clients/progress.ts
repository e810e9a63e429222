/** The progress of publishing a large input, on standard error if that is a terminal. */
import { fstatSync } from 'node:fs';
import { isatty } from 'node:tty';
import type { ClientRun } from './client-run.js';
import type { LinePublisher } from './line-publisher.js';
import { printError } from './output/stdio.js';

/** Bytes of an input that shows its progress; smaller ones are published too fast to read it. */
const INPUT_BYTES_MIN = 1024 * 1024;

const INTERVAL_MS = 250;

const STDIN = 0;
const STDERR = 2;

/** Carriage return, then clear to the end of the line. */
const LINE_START = '\r\x1b[K';

/** For `-l`: lines of a file as standard input; of a pipe nobody knows the length. */
export function showInputProgress(publisher: LinePublisher): void {
  const input = fstatSync(STDIN);
  if (input.isFile()) show(input.size, () => publisher.bytesRead);
}

/** For `-f` and `-s`: one large message. */
export function showFileProgress(run: ClientRun, payloadBytes: number): void {
  show(payloadBytes, () => (run.isConnected ? Math.max(0, payloadBytes - run.link.unsentBytes) : 0));
}

function show(totalBytes: number, doneBytes: () => number): void {
  if (totalBytes < INPUT_BYTES_MIN || !isatty(STDERR)) return;
  let shown = false;
  const timer = setInterval(() => {
    shown = true;
    process.stderr.write(LINE_START + progressText(doneBytes(), totalBytes));
  }, INTERVAL_MS);
  timer.unref();
  process.on('exit', () => {
    if (shown) printError(LINE_START + progressText(totalBytes, totalBytes));
  });
}

/** `42 % of 12.3 MB` */
function progressText(doneBytes: number, totalBytes: number): string {
  const percent = Math.floor((100 * Math.min(doneBytes, totalBytes)) / totalBytes);
  return `${percent} % of ${(totalBytes / 1e6).toFixed(1)} MB`;
}
