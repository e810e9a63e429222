/** The content of a `mosquitto.db` in the broker's own shapes. */
import type { StoredMessage } from '../model/message.js';
import type { WholeSession } from '../model/queued-record.js';

export interface DatabaseContent {
  retained: StoredMessage[];
  sessions: WholeSession[];
}

/** The records that the reader left out, by reason; for the log and for `midge db`. */
export interface ImportReport {
  version: number;
  /** Records that are not needed any more: expired messages and sessions, `$SYS`. One line each. */
  leftOut: string[];
  /** Damaged chunks and records that make no sense, one line each. */
  problems: string[];
}
