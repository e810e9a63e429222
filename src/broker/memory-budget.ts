/**
 * What the clients of this worker occupy, and who of them is slowed and refused (`memory_limit`). Once a second main adds
 * up all workers and tells each the sum; a worker looks at its own clients by itself as soon as much has passed.
 */
import type { Log } from '../log/log.js';
import * as lines from '../log/mosquitto-lines.js';
import type { Session } from '../session/session.js';
import { Counter } from '../sys/counters.js';
import {
  isFarFrom,
  type MemoryLimit,
  type MemoryState,
  memoryState,
  NO_LIMIT,
  occupiedOf,
  PLENTY,
  retainedAreLargest,
} from '../sys/memory-limit.js';

/** Bytes of the objects around a message that waits, beside its payload. */
export const MESSAGE_BYTES = 300;

/** Bytes of a subscription in the session, in the routes and in the store. */
const SUBSCRIPTION_BYTES = 500;

/** Bytes of a session with nothing in it, in its worker, in main and in the store. */
const SESSION_BYTES = 2500;

/** Bytes of a connection on which nothing happens. */
export const CONNECTION_BYTES = 5000;

/** Between two looks so much of the limit may pass: much if there is plenty. */
const LOOK_SHARE = 1 / 32;
const LOOK_SHARE_AFAR = 1 / 8;
const LOOK_BYTES_MIN = 512 * 1024;

/** Lines a minute that name a client. */
const LINES_MAX = 5;
const WINDOW_MS = 60_000;

/** A connection, as far as it occupies memory. */
interface HoldingConnection {
  readonly name: string;
  readonly bufferedBytes: number;
  refuseForMemory(): void;
}

export interface MemoryBudgetOptions {
  log: Log;
  counters: Float64Array;
  /** Counts what the clients occupy, into `Session.occupiedBytes` and the counters. */
  count: () => void;
  sessions: () => Iterable<Session>;
  connections: () => Iterable<HoldingConnection>;
  /** Bytes of the whole process, and of a store that lies in memory. */
  processBytes: () => number;
}

export class MemoryBudget {
  readonly #options: MemoryBudgetOptions;
  #limit = NO_LIMIT;
  #state: MemoryState = PLENTY;
  /** What is counted for all clients, as main has added it up. */
  #everywhere = 0;
  /** Of that, for the clients of the other workers. */
  #elsewhere = 0;
  /** Some client is slowed or all are refused. */
  isTight = false;
  /** Bytes received and sent from which on this worker looks at its clients by itself. */
  lookAt = Number.POSITIVE_INFINITY;
  /** Retained messages are among the largest: none of a new topic is taken. */
  refusesRetained = false;
  #windowEndsAt = 0;
  #written = 0;
  #retainedIsLogged = false;

  constructor(options: MemoryBudgetOptions) {
    this.#options = options;
  }

  /** All that is new is refused. */
  get isShort(): boolean {
    return this.#state.isShort;
  }

  /** Nobody gets a new session. */
  get refusesSessions(): boolean {
    return this.#state.refusesSessions;
  }

  /** Bytes from which on a client is slowed. */
  get slowedFrom(): number {
    return this.#state.slowedFrom;
  }

  /** Main has added up all workers. @param counted bytes, retained messages included @param now milliseconds since the epoch */
  update(limit: MemoryLimit, counted: number, now: number): void {
    this.#limit = limit;
    this.#options.count();
    this.#everywhere = counted;
    this.#elsewhere = Math.max(0, counted - this.#counted());
    this.#decide(now);
  }

  /** Once a second, after what the clients occupy was counted. */
  tick(now: number): void {
    this.#decide(now);
  }

  /** Much has passed since the last look: it must not take a second to notice that. */
  look(now: number): void {
    if (!this.isTight && isFarFrom(this.#limit, this.#options.processBytes())) {
      this.#lookAgainAfter(LOOK_SHARE);
      return;
    }
    this.#options.count();
    this.#decide(now);
  }

  /** A client's retained message is refused, as there is no room for further topics. */
  retainedRefused(clientId: string, now: number): void {
    if (this.#retainedIsLogged) return;
    this.#retainedIsLogged = true;
    const { counters } = this.#options;
    this.#write(lines.retainedRefused(clientId, counters[Counter.retainedBytes]!, this.#limit.bytes), now);
  }

  /** What is counted for the clients of this worker, and for retained messages. */
  #counted(): number {
    const { counters } = this.#options;
    return counters[Counter.occupiedBytes]! + counters[Counter.retainedBytes]!;
  }

  /** Who is slowed, as of the last count. */
  #decide(now: number): void {
    const { counters, processBytes } = this.#options;
    const limit = this.#limit;
    const wasTight = this.isTight;
    // A number is held against what main has added up, once a second.
    const counted = limit.processBytes === null ? this.#everywhere : this.#counted() + this.#elsewhere;
    const occupied = limit.bytes === 0 ? 0 : occupiedOf(counted, limit, processBytes());
    this.#state = memoryState(occupied, limit);
    this.isTight = this.#state !== PLENTY;
    this.#lookAgainAfter(occupied > limit.bytes / 2 ? LOOK_SHARE : LOOK_SHARE_AFAR);
    this.refusesRetained =
      this.isTight &&
      limit.processBytes !== null &&
      retainedAreLargest(counters[Counter.retainedBytes]!, limit);
    if (!this.refusesRetained) this.#retainedIsLogged = false;
    if (!wasTight && !this.isTight) return;
    this.#restrain(now);
    if (this.isShort && limit.processBytes !== null) this.#refuseBuffered(occupied - limit.bytes, now);
  }

  #lookAgainAfter(share: number): void {
    const { counters } = this.#options;
    const { bytes, processBytes } = this.#limit;
    this.lookAt =
      bytes === 0 || processBytes === null
        ? Number.POSITIVE_INFINITY
        : counters[Counter.bytesReceived]! +
          counters[Counter.publishBytesSent]! +
          Math.max(bytes * share, LOOK_BYTES_MIN);
  }

  #restrain(now: number): void {
    const { slowedFrom } = this.#state;
    const unnamed: Session[] = [];
    for (const session of this.#options.sessions()) {
      const { occupiedBytes } = session;
      session.restraint =
        occupiedBytes <= slowedFrom ? 'none' : occupiedBytes <= 2 * slowedFrom ? 'slowed' : 'refused';
      if (session.restraint === 'none') session.restraintIsLogged = false;
      else if (!session.restraintIsLogged) unnamed.push(session);
    }
    if (unnamed.length === 0 || !this.#mayWrite(now)) return;
    unnamed.sort((a, b) => b.occupiedBytes - a.occupiedBytes);
    for (const session of unnamed) {
      if (!this.#mayWrite(now)) return;
      session.restraintIsLogged = true;
      this.#write(slowedLine(session, this.#limit.bytes), now);
    }
  }

  /** Slowing has not helped: whose packets fill most of the buffers is disconnected, until that is enough. */
  #refuseBuffered(excess: number, now: number): void {
    const large: HoldingConnection[] = [];
    for (const connection of this.#options.connections()) {
      if (connection.bufferedBytes > 2 * this.#state.slowedFrom) large.push(connection);
    }
    large.sort((a, b) => b.bufferedBytes - a.bufferedBytes);
    let rest = excess + this.#limit.bytes * LOOK_SHARE;
    for (const connection of large) {
      if (rest <= 0) return;
      const { name, bufferedBytes } = connection;
      rest -= bufferedBytes;
      this.#write(lines.disconnectedForMemory(name, bufferedBytes, this.#limit.bytes), now);
      connection.refuseForMemory();
    }
  }

  #mayWrite(now: number): boolean {
    return now >= this.#windowEndsAt || this.#written < LINES_MAX;
  }

  #write(line: string, now: number): void {
    if (now >= this.#windowEndsAt) {
      this.#windowEndsAt = now + WINDOW_MS;
      this.#written = 0;
    }
    this.#written += 1;
    if (this.#written <= LINES_MAX) this.#options.log.write('warning', line);
  }
}

/** Bytes that a client occupies, beside those of its connection. @param storeIsInMemory what is stored counts, too */
export function bytesOfSession(
  { outbound, inbound, subscriptions, storage }: Session,
  storeIsInMemory: boolean,
): number {
  const messages = outbound.queuedCount + outbound.inflightCount + inbound.unreleasedCount;
  const stored = storage !== null && storeIsInMemory ? outbound.pendingBytes + inbound.unreleasedBytes : 0;
  return (
    SESSION_BYTES +
    outbound.memoryBytes +
    inbound.unreleasedBytes +
    stored +
    messages * MESSAGE_BYTES +
    subscriptions.size * SUBSCRIPTION_BYTES
  );
}

function slowedLine(
  { clientId, occupiedBytes, outbound, inbound, subscriptions }: Session,
  limit: number,
): string {
  return lines.clientSlowed({
    clientId,
    occupiedBytes,
    limit,
    waiting: outbound.queuedCount + outbound.inflightCount,
    unreleased: inbound.unreleasedCount,
    subscriptions: subscriptions.size,
  });
}
