/**
 * Newcomers at a listener that has no room. Who closes a connection and opens the next one at once is here before the
 * end of the first has gone through the worker; so a newcomer waits a moment for a place that becomes free.
 */
import type { Arrival } from '../../net/arrival.js';

/** Longer than an end takes on its way through a worker, and too short for anybody to notice. */
const PATIENCE_MS = 20;

/** Each holds a descriptor; beyond this number, a newcomer is refused at once. */
const WAITING_MAX = 100;

interface WaitingArrival {
  arrival: Arrival;
  listener: number;
  timer: NodeJS.Timeout;
}

export class ArrivalQueue {
  readonly #refuse: (arrival: Arrival) => void;
  /** In the order in which they came. */
  #waiting: WaitingArrival[] = [];

  /** @param refuse called with the connections for which no place became free */
  constructor(refuse: (arrival: Arrival) => void) {
    this.#refuse = refuse;
  }

  add(listener: number, arrival: Arrival): void {
    if (this.#waiting.length === WAITING_MAX) {
      this.#refuse(arrival);
      return;
    }
    const waiting = { arrival, listener, timer: setTimeout(() => this.#giveUp(waiting), PATIENCE_MS) };
    this.#waiting.push(waiting);
  }

  /** Takes out the first for whose listener there is room. */
  takeFirst(hasRoom: (listener: number) => boolean): { listener: number; arrival: Arrival } | undefined {
    const at = this.#waiting.findIndex(({ listener }) => hasRoom(listener));
    if (at < 0) return undefined;
    const [waiting] = this.#waiting.splice(at, 1);
    clearTimeout(waiting!.timer);
    return waiting;
  }

  /** Nobody is accepted any more. */
  close(): void {
    for (const { arrival, timer } of this.#waiting) {
      clearTimeout(timer);
      arrival.drop();
    }
    this.#waiting = [];
  }

  #giveUp(waiting: WaitingArrival): void {
    this.#waiting = this.#waiting.filter((one) => one !== waiting);
    this.#refuse(waiting.arrival);
  }
}
