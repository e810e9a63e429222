/** Makes the broker a daemon: a process in the background, and a file with its process id. */
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import type { Log } from '../../log/log.js';
import { cLibraryErrorText } from '../../system/system-error.js';

/** Set in the environment of the process that `-d` starts. */
const DAEMON_MARK = 'MIDGE_DAEMON';

/** `-d`: goes on in a process of its own, without a terminal. @returns whether this process is the one to end */
export function daemonise(): boolean {
  if (process.env[DAEMON_MARK] !== undefined) {
    delete process.env[DAEMON_MARK];
    return false;
  }
  const child = spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
    detached: true,
    stdio: 'ignore',
    env: { ...process.env, WATCHDOG_PID: undefined, [DAEMON_MARK]: '1' }, // a watchdog is for the child
  });
  child.unref();
  return true;
}

/** The process id without a line end [mosq: pid_file]. @returns false if it cannot be written, and says so */
export function writePidFile(path: string, log: Log): boolean {
  try {
    writeFileSync(path, String(process.pid));
    return true;
  } catch (error) {
    log.write('error', 'Error: Unable to write pid file.');
    log.write('error', `${path}: ${cLibraryErrorText(error)}.`);
    return false;
  }
}
