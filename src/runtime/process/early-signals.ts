/**
 * Signals from the first moment on. Left to Node, SIGHUP and SIGUSR2 would end a broker that has not started yet, and
 * SIGUSR1 would open the inspector. What comes early is remembered, each signal once, and done when it can be.
 */

const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR1', 'SIGUSR2'] as const;

export type BrokerSignal = (typeof SIGNALS)[number];

export class EarlySignals {
  readonly #early = new Set<BrokerSignal>();
  #handle: ((signal: BrokerSignal) => void) | null = null;

  constructor() {
    for (const signal of SIGNALS) process.on(signal, () => this.#arrived(signal));
  }

  /** What has come is handled now, in its order, and from now on everything as it comes. */
  handleWith(handle: (signal: BrokerSignal) => void): void {
    this.#handle = handle;
    for (const signal of this.#early) handle(signal);
    this.#early.clear();
  }

  #arrived(signal: BrokerSignal): void {
    if (this.#handle === null) this.#early.add(signal);
    else this.#handle(signal);
  }
}
