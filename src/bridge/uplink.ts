/**
 * The way to the other broker, as the bridge sees it. `runtime` brings the real one (`socket-uplink.ts`), tests
 * their own.
 */
import type { BridgeAddress } from '../config/option-types.js';
import type { BridgeSettings } from '../config/settings.js';
import type { ByteSink } from '../mqtt/outgoing-buffer.js';

/** What happens on a channel. Nothing does after `end` or `destroy`. */
export interface ChannelEvents {
  /** Bytes have arrived; the buffer is the channel's again afterwards. */
  received(buffer: Uint8Array, length: number): void;
  /** The chunk that `write` did not get rid of at once is written. */
  drained(): void;
  /**
   * It has ended.
   * @param why a clause for people, '' for an ordinary end
   * @param isTheirs the other side has closed it, orderly or not; otherwise the way there has failed
   */
  closed(why: string, isTheirs: boolean): void;
}

/** An open connection to the other broker, TLS and all. */
export interface Channel extends ByteSink {
  /** From here on its events go to `events`. */
  serve(events: ChannelEvents): void;
  pause(): void;
  resume(): void;
  /** Sends the bytes that were written, then closes. */
  end(): void;
  /** Closes at once. */
  destroy(): void;
}

export interface Uplink {
  /**
   * Opens a connection. Never blocks, and calls back once: with the channel, or with why there is none, a clause for
   * people.
   * @returns gives it up; nothing is called back then
   */
  open(
    settings: BridgeSettings,
    address: BridgeAddress,
    opened: (channel: Channel) => void,
    failed: (why: string) => void,
  ): () => void;
  /** Whether anybody listens at the address. @returns as `open` */
  probe(settings: BridgeSettings, address: BridgeAddress, answer: (listens: boolean) => void): () => void;
}
