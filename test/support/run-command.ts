/** Runs a command to its end and collects every byte that it writes. */
import { spawn } from 'node:child_process';
import { patienceMs } from './within.js';

export interface CommandOptions {
  /** Written to standard input, which is then closed. */
  input?: string | Uint8Array | undefined;
  env?: Record<string, string | undefined> | undefined;
  cwd?: string | undefined;
  /** The command is killed after this time. */
  timeoutMs?: number | undefined;
  /** Called with the process when it has started. */
  started?: (process: { pid: number; kill: (signal: NodeJS.Signals) => void }) => void;
}

export interface CommandEnd {
  /** Null when it was ended by a signal. */
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: Buffer;
  stderr: Buffer;
}

export function runCommand(command: readonly string[], options: CommandOptions = {}): Promise<CommandEnd> {
  const [file, ...args] = command;
  return new Promise((resolve, reject) => {
    const child = spawn(file!, args, {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      stdio: 'pipe',
    });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout.on('data', (chunk) => stdout.push(chunk));
    child.stderr.on('data', (chunk) => stderr.push(chunk));
    child.stdin.on('error', () => {}); // A command may end without reading its input.
    child.stdin.end(options.input ?? '');
    const timer = setTimeout(() => child.kill('SIGKILL'), options.timeoutMs ?? patienceMs);
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      resolve({ code, signal, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr) });
    });
    options.started?.({ pid: child.pid!, kill: (signal) => child.kill(signal) });
  });
}
