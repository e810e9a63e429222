/** What a `mosquitto.db` holds, in the broker's own shapes. */
import type { StoredMessage } from '../model/message.js';
import type { WholeSession } from '../model/queued-record.js';

export interface DatabaseContent {
  retained: StoredMessage[];
  sessions: WholeSession[];
}

/** What was left out on reading, and why; for the log and for `midge db`. */
export interface ImportReport {
  version: number;
  /** What has no place any more: messages and sessions whose time was over, `$SYS`. One line each. */
  leftOut: string[];
  /** Damaged chunks and records that make no sense, one line each. */
  problems: string[];
}
