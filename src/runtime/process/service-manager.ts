/**
 * Reports the broker's state to a service manager by sd_notify(3). Debian's unit of Mosquitto has `Type=notify`:
 * systemd regards the broker as started when the broker says so, and ends it if it does not say so in time.
 *
 * A start with a large store on a slow card may take longer than that, and so may the end: as long as main is
 * running, it asks for more time. With `WatchdogSec=` main says regularly that the broker is alive; if it stops saying
 * so, systemd restarts the broker.
 */
import type { Log } from '../../log/log.js';
import { UnixDatagrams } from '../../net/unix-datagrams.js';
import { EXTEND_BY_MS, EXTEND_EVERY_MS, START_MS_MAX, STOP_MS_MAX } from './time-limits.js';

/** Milliseconds between two looks at whether everything is alive, at the most. */
const LOOK_MS_MAX = 1000;

/** Node's, or those of a test. */
export type Timers = Pick<typeof globalThis, 'setTimeout' | 'clearTimeout'>;

export class ServiceManager {
  readonly #log: Log;
  readonly #timers: Timers;
  readonly #datagrams: UnixDatagrams | undefined;
  /** Milliseconds between two signs of life at the least, 0 if none are wanted. */
  readonly #watchdogMs: number;
  /** Why the service manager cannot be reached. */
  #fault = '';
  #extension: NodeJS.Timeout | undefined;
  #watchdog: NodeJS.Timeout | undefined;
  /** Milliseconds since the last sign of life. */
  #silentMs = 0;
  #isStopping = false;

  /**
   * The broker is starting.
   * @param environment has the service manager's variables, which are removed, so that programs that the broker starts do
   * not use them
   */
  constructor(environment: Record<string, string | undefined>, log: Log, timers: Timers = globalThis) {
    this.#log = log;
    this.#timers = timers;
    const { NOTIFY_SOCKET: socket, WATCHDOG_USEC: period, WATCHDOG_PID: pid } = environment;
    for (const name of ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID']) delete environment[name];
    const isForUs = pid === undefined || Number(pid) === process.pid;
    this.#watchdogMs = isForUs ? Math.floor(Number(period ?? 0) / 1000 / 3) || 0 : 0;
    if (socket === undefined || socket === '') return;
    try {
      this.#datagrams = new UnixDatagrams(socket);
      this.#extend(START_MS_MAX);
    } catch (error) {
      this.#fault = (error as Error).message;
    }
  }

  /** It serves, for the first time or after `reloading`. @param status a line for `systemctl status` */
  ready(status: string): void {
    if (this.#isStopping) return; // a reload was under way
    this.#timers.clearTimeout(this.#extension);
    this.#tell('READY=1', `STATUS=${status}`);
    if (this.#fault === '') return;
    const what = `The service manager cannot be told anything: ${this.#fault}.`;
    this.#log.write('warning', `Warning: ${what} With Type=notify or WatchdogSec= it will end the broker.`);
    this.#fault = '';
  }

  /** From now on it shows that it is alive, if that is asked for, whenever `isAlive` says so. */
  watch(isAlive: () => boolean): void {
    if (this.#watchdogMs === 0 || this.#datagrams === undefined) return;
    const lookMs = Math.min(this.#watchdogMs, LOOK_MS_MAX);
    this.#watchdog = this.#timers
      .setTimeout(() => {
        this.#silentMs += lookMs;
        if (this.#silentMs >= this.#watchdogMs && isAlive()) {
          this.#tell('WATCHDOG=1');
          this.#silentMs = 0;
        }
        this.watch(isAlive);
      }, lookMs)
      .unref();
  }

  reloading(): void {
    // Type=notify-reload wants to know when that was, on the clock that Node has for times of high resolution.
    this.#tell('RELOADING=1', `MONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`);
  }

  stopping(): void {
    this.#isStopping = true;
    this.#tell('STOPPING=1', 'STATUS=Stopping');
    this.#timers.clearTimeout(this.#watchdog);
    this.#timers.clearTimeout(this.#extension);
    if (this.#datagrams !== undefined) this.#extend(STOP_MS_MAX);
  }

  /** Asks for more time again and again. A sign of life would set the watchdog going, which waits meanwhile. */
  #extend(leftMs: number): void {
    if (leftMs <= 0) return;
    this.#extension = this.#timers
      .setTimeout(() => {
        this.#tell(`EXTEND_TIMEOUT_USEC=${EXTEND_BY_MS * 1000}`);
        this.#extend(leftMs - EXTEND_EVERY_MS);
      }, EXTEND_EVERY_MS)
      .unref();
  }

  #tell(...state: string[]): void {
    try {
      this.#datagrams?.send(state.join('\n'));
    } catch (error) {
      this.#fault ||= (error as Error).message;
    }
  }
}
