/** `memory_limit`: how much of it is occupied, and what follows from that. Pure: figures come in, decisions go out. */

export interface MemoryLimit {
  /** Bytes; 0 = no limit. */
  bytes: number;
  /**
   * `auto`: bytes of the process before any client came. Clients then occupy no more than what the process has grown
   * by, whatever is counted for them: messages that many clients wait for are in memory once and counted for each.
   * `null` where the configuration has a number: as in Mosquitto, all clients are served alike until it is reached.
   */
  processBytes: number | null;
}

export const NO_LIMIT: MemoryLimit = { bytes: 0, processBytes: null };

/** From this share of the limit on, the largest clients are slowed. */
const NEAR = 3 / 4;
/** From this share on no new session begins: what is left is for the clients that are here. */
const NEARER = 7 / 8;

/** At `NEAR` a client is one of the largest from this share of the limit on; at the limit, from the other one. */
const LARGEST_SHARE = 1 / 8;
const LARGEST_HALVINGS = 10;

/** What is decided for all clients of a worker, or of the broker. */
export interface MemoryState {
  /** Bytes from which on a client is slowed, and from twice as many on refused; `Infinity` while there is plenty. */
  slowedFrom: number;
  refusesSessions: boolean;
  /** All that is new is refused. */
  isShort: boolean;
}

export const PLENTY: MemoryState = {
  slowedFrom: Number.POSITIVE_INFINITY,
  refusesSessions: false,
  isShort: false,
};

/** @param counted bytes that are counted for clients @param processBytes bytes of the whole process */
export function occupiedOf(counted: number, limit: MemoryLimit, processBytes: number): number {
  if (limit.processBytes === null) return counted;
  return Math.max(0, Math.min(counted, processBytes - limit.processBytes));
}

/** The nearer the limit is, the smaller are the clients that are slowed: many small ones can fill the memory, too. */
export function memoryState(occupied: number, { bytes, processBytes }: MemoryLimit): MemoryState {
  if (bytes === 0) return PLENTY;
  const share = occupied / bytes;
  const isShort = share > 1;
  if (processBytes === null) return isShort ? { ...PLENTY, isShort } : PLENTY;
  if (share < NEAR) return PLENTY;
  const halvings = LARGEST_HALVINGS * Math.min(1, (share - NEAR) / (1 - NEAR));
  return { slowedFrom: bytes * LARGEST_SHARE * 2 ** -halvings, refusesSessions: share > NEARER, isShort };
}

/** Whether a process of this size need not be looked at more closely. */
export function isFarFrom({ bytes, processBytes }: MemoryLimit, bytesNow: number): boolean {
  return processBytes !== null && bytesNow - processBytes < NEAR * bytes;
}

/** Retained messages belong to no client: none of a new topic is taken if they are this much and memory is near its end. */
export function retainedAreLargest(retainedBytes: number, { bytes }: MemoryLimit): boolean {
  return retainedBytes > bytes * LARGEST_SHARE;
}
