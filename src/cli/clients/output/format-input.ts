/** What a format of `-F` is expanded with. */
import type { PublishPacket } from '../../../mqtt/packets.js';

/** A moment: the local time follows from the process's time zone. */
export interface Moment {
  /** Since 1970-01-01T00:00:00Z. */
  seconds: number;
  /** 0 to 999999999. */
  nanoseconds: number;
}

/** The input of a format: a message, and the time at which it came. */
export interface FormatInput {
  message: PublishPacket;
  now: Moment;
  /** Indented JSON [mosq: --pretty]. */
  pretty: boolean;
  /** Called with an error line for a part that cannot be printed; the part is left out. */
  complain: (text: string) => void;
}
