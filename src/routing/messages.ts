/**
 * What one thread says to another: control messages as objects, publishes in packed batches. Only the bytes of a
 * relayed connection have messages of their own, in `net/relay.ts`.
 *
 * Three unions: main → worker, worker → main, worker → worker (a link). Each port keeps the order in which its
 * messages were posted; nothing is ever lost between living threads. Receivers end in `assertNever`.
 */
import type { MessagePort } from 'node:worker_threads';
import type { TlsSession } from '../auth/authenticator.js';
import type { TableChange } from '../auth/dynamic-security/tables.js';
import type { BridgeSettings, Settings } from '../config/settings.js';
import type { LogLine } from '../log/log.js';
import type { StandIn, StoreMode } from '../model/store-mode.js';
import type { MemoryLimit } from '../sys/memory-limit.js';
import type { WorkerAnswer, WorkerQuestion } from './client-questions.js';
import type { Interest } from './route-table.js';

/**
 * The files that the settings name, as far as the workers parse them: passwords, rules, keys, certificates. The text
 * of each under its path as the settings have it. Main has found all of them to be right.
 */
export type FileTexts = ReadonlyMap<string, string>;

/** A connection that main accepted, or that another worker passes on, with the bytes already read. */
export interface PassedConnection {
  /** A file descriptor, or a port to where the socket is; whoever receives the message owns it. */
  handover: number | MessagePort;
  /** Index into `settings.listeners`. */
  listener: number;
  remoteAddress: string;
  remotePort: number;
  /**
   * Where the encryption ends in another thread, or at a proxy: what was settled there. `null` = not encrypted, or no
   * handshake yet.
   */
  tls: TlsSession | null;
  /** What the client had sent before the connection moved here; `null` for a new one. */
  received: Uint8Array | null;
}

/** A client id that connects, and what main has to know in case the worker dies. */
export interface Claim {
  /** Numbers the claims of one worker. */
  id: number;
  clientId: string;
  /** Clean start: an old session elsewhere is not wanted. */
  cleanStart: boolean;
  /** The new session will outlive its connection. */
  durable: boolean;
  /** The will as a packed record (`wire.ts`), to be sent if the worker dies; `null` = none. */
  will: Uint8Array | null;
}

/** A client that loses its connection because another one has come with its client id. */
export interface Takeover {
  clientId: string;
  /** With the port. */
  address: string;
  /** '' = none. */
  username: string;
  /** Milliseconds since the epoch. */
  connectedAt: number;
}

export type ClaimAnswer =
  /** The client id is this worker's now. */
  | { id: number; verdict: 'granted' }
  /** The session lives on another worker and is wanted: pass the connection to main, for that worker. */
  | { id: number; verdict: 'elsewhere'; worker: number }
  /** `global_max_clients` is reached. */
  | { id: number; verdict: 'full' };

/** What a client asks of dynamic security. */
export interface ControlRequest {
  clientId: string;
  username: string | undefined;
  payload: Uint8Array;
}

/** What it is answered, and what follows from that. */
export interface ControlAnswer {
  /** For everybody who subscribes to the answers; `null` = none. */
  payload: string | null;
  /** Usernames whose connections end then. */
  kicked: ReadonlySet<string>;
  /** So do those of clients without a username. */
  kicksAnonymous: boolean;
}

/** Where the live store is and how it is written. */
export interface StorePlace {
  path: string;
  mode: StoreMode;
  /** It is not the store, and nothing that has to be stored is acknowledged. */
  standIn: StandIn | undefined;
  /** Milliseconds that acknowledgements may wait for others, to write less often; 0 = none. */
  groupCommitMs: number;
  /** Counts changes for `autosave_on_changes` (`store/file/autosave.ts`). */
  changes: SharedArrayBuffer;
}

/** What a worker is given when it starts. */
export interface WorkerStart {
  worker: number;
  settings: Settings;
  files: FileTexts;
  /** What dynamic security says at the moment; `null` without it. */
  rights: TableChange | null;
  /** Mask of the log types that are wanted. */
  logMask: number;
  /** By how much the machine's clock was set since the broker began (`system/steady-clock.ts`). */
  bridgedMs: number;
  /** Float64 counters of this worker (`sys/counters.ts`), read by main. */
  counters: SharedArrayBuffer;
  /** To and from main; the first message, `peers`, waits in it. */
  port: MessagePort;
  /** The live store, which main has opened. */
  store: StorePlace;
  /** Client ids of stored sessions that live on this worker. */
  sessions: string[];
  /** Those of them over which its predecessors have died: they are put into files that begin with this path. */
  setAside: { clientIds: readonly string[]; path: string };
  /** The session that it works on (`sys/working-record.ts`), read by main. */
  workingRecord: SharedArrayBuffer;
  /** Where the secrets of TLS connections are written, a descriptor; `null` = nowhere. */
  tlsKeylog: number | null;
}

export type MainToWorker =
  /** Links to the workers that run already: first of all, there before the worker begins. */
  | { kind: 'peers'; peers: { worker: number; port: MessagePort }[] }
  /** Sockets to serve; collected over one turn of main's event loop. */
  | { kind: 'connections'; connections: PassedConnection[] }
  | { kind: 'claim-answers'; answers: ClaimAnswer[] }
  /** The client id connected to another worker, with a clean start: end its connection and forget the session. */
  | { kind: 'discard'; clientIds: string[] }
  /** A new worker: this is the link to it. */
  | { kind: 'peer-added'; worker: number; port: MessagePort }
  /** A worker died. Another one under its number takes up what it stored. */
  | { kind: 'peer-removed'; worker: number }
  /** Packed records to route to everyone: wills of a dead worker, `$SYS`, log lines as topics. */
  | { kind: 'publish'; records: Uint8Array }
  /** Write everything to the store; answered with `flushed`. */
  | { kind: 'flush' }
  /** `memory_limit`, and what is counted for the clients of all workers: first thing, and each second if it is much. */
  | { kind: 'memory'; limit: MemoryLimit; counted: number }
  /** SIGHUP. */
  | { kind: 'reload'; settings: Settings; files: FileTexts; logMask: number }
  /** The bridges that this worker runs from now on; after `ready`, and after each `reload`. */
  | { kind: 'bridges'; bridges: BridgeSettings[] }
  /** Dynamic security has changed; answered with `rights-in-force`. */
  | { kind: 'rights'; change: TableChange }
  /** A request to dynamic security is answered. */
  | { kind: 'control-answer'; answer: ControlAnswer }
  /** Somebody looks; answered with `answer`. */
  | { kind: 'question'; id: number; question: WorkerQuestion }
  /** SIGUSR2. */
  | { kind: 'print-subscriptions' }
  /** Orderly end: send wills, flush, close everything, answer `stopped`. */
  | { kind: 'stop' };

export type WorkerToMain =
  /** What a turn of the event loop brought, in this order: a message is dear, an entry of a list is not. */
  | { kind: 'together'; messages: WorkerToMain[] }
  /** All links answered: connections may come. */
  | { kind: 'ready' }
  | { kind: 'log'; lines: LogLine[] }
  /** Stored messages of this topic have a text that no client takes: it is to be named, once. */
  | { kind: 'undeliverable'; topic: string }
  | { kind: 'claims'; claims: Claim[] }
  /** The wills of these claims need no sending any more: the client disconnected orderly, or they were sent. */
  | { kind: 'wills-done'; wills: [clientId: string, claim: number][] }
  | { kind: 'taken-over'; takeovers: Takeover[] }
  /** These sessions ended. */
  | { kind: 'sessions-ended'; clientIds: string[] }
  /** The answer to `discard`, one for each id. */
  | { kind: 'discarded'; clientIds: string[] }
  /** A connection whose session lives on another worker. */
  | { kind: 'pass'; worker: number; connection: PassedConnection }
  /** A connection ended that was accepted on this listener, for `max_connections`. */
  | { kind: 'closed'; listeners: number[] }
  /** A request to dynamic security. */
  | { kind: 'control-request'; request: ControlRequest }
  /** The answer to `rights`. */
  | { kind: 'rights-in-force' }
  /** The answer to `question`. */
  | { kind: 'answer'; id: number; answer: WorkerAnswer }
  /** The answer to `flush`. */
  | { kind: 'flushed' }
  | { kind: 'stopped' };

/** Packed records (`wire.ts`): publishes for this worker's subscribers, retained messages. */
export interface Batch {
  kind: 'batch';
  records: Uint8Array<ArrayBuffer>;
  /** Number of the batch if the sender waits until it is stored; else 0. */
  awaited: number;
}

export type LinkMessage =
  | Batch
  /** The batch of that number is stored; others may be stored earlier or later. */
  | { kind: 'stored'; batch: number }
  /** Something of the batch was passed on to a worker that died before it was stored there. */
  | { kind: 'lost'; batch: number }
  /** What the sender wants to hear of from now on. Answered with `confirmed` once it is in force. */
  | {
      kind: 'interest';
      sequence: number;
      changes: Interest[];
      /** There is nothing else it wants: what its predecessor wanted is over. */
      isAll: boolean;
    }
  | { kind: 'confirmed'; sequence: number }
  /** So many bytes of batches have been worked off: the sender may send as many more. */
  | { kind: 'credit'; bytes: number }
  /** The sender has sent all its interests and retained messages of `$SYS`. Once, first thing on a new link. */
  | { kind: 'caught-up' };
