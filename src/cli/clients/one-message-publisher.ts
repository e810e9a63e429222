/** mosquitto_pub with `-m`, `-n`, `-f` and `-s`: one message, once or repeatedly. */

import type { ClientEvent } from '../../client/client-events.js';
import type { OutgoingMessage } from '../../client/client-session.js';
import type { ConnackPacket } from '../../mqtt/packets.js';
import { monotonicMs } from '../../system/monotonic-clock.js';
import type { ClientRole, ClientRun } from './client-run.js';
import { ExitCode } from './output/failure-texts.js';
import { AliasedTopic, publishWarning, refusalComment, refusalText } from './publish-support.js';

export class OneMessagePublisher implements ClientRole {
  readonly reconnects = false;
  readonly #run: ClientRun;
  readonly #message: OutgoingMessage;
  readonly #topic: AliasedTopic;
  /** Further repetitions. */
  #left: number;
  /** The packet id of the message that is not acknowledged yet. */
  #awaited: number | undefined;

  constructor(run: ClientRun, message: OutgoingMessage) {
    this.#run = run;
    this.#message = message;
    this.#topic = new AliasedTopic(message);
    this.#left = run.settings.repeat;
  }

  refusalComment(packet: ConnackPacket): string {
    return refusalComment(packet, this.#run.settings.version);
  }

  connected(): void {
    this.#publish();
  }

  received(event: ClientEvent): void {
    if (event.kind !== 'published' || event.packetId !== this.#awaited) return;
    const warning = publishWarning(event);
    if (warning !== undefined) this.#run.error(warning);
    this.#complete();
  }

  #publish(): void {
    const { connection, link } = this.#run;
    const message = { ...this.#message, topic: this.#topic.next() };
    const result = connection.publish(message, monotonicMs());
    if (typeof result === 'string') {
      this.#run.error(refusalText(result));
      this.#run.disconnect(ExitCode.failure);
      return;
    }
    this.#left -= 1;
    if (message.qos > 0) this.#awaited = result;
    else if (this.#left === 0) this.#run.disconnect(0);
    // A QoS 0 message is complete when it is sent. The next one begins in a later turn: the stack must not grow.
    else setImmediate(() => link.whenSent(() => this.#complete()));
    link.flush();
  }

  #complete(): void {
    const { repeatDelayMs } = this.#run.settings;
    if (this.#left === 0) this.#run.disconnect(0);
    else if (repeatDelayMs > 0) setTimeout(() => this.#publishIfConnected(), repeatDelayMs);
    else this.#publishIfConnected();
  }

  #publishIfConnected(): void {
    if (this.#run.isConnected) this.#publish();
  }
}
