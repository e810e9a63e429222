/**
 * mosquitto_pub with `-l`: each line of standard input a message. Lines are read no faster than they can be sent: with
 * QoS 1 and 2 as many as the window lets under way, with QoS 0 as many as the network takes. A lost connection is
 * made again, and what was under way is sent again.
 */

import type { ClientEvent } from '../../client/client-events.js';
import type { OutgoingMessage } from '../../client/client-session.js';
import type { ConnackPacket } from '../../mqtt/packets.js';
import { monotonicMs } from '../../system/monotonic-clock.js';
import type { ClientRole, ClientRun } from './client-run.js';
import { LineReader } from './line-reader.js';
import { AliasedTopic, publishWarning, refusalComment, refusalText } from './publish-support.js';

export class LinePublisher implements ClientRole {
  readonly reconnects = true;
  readonly #run: ClientRun;
  readonly #message: OutgoingMessage;
  readonly #topic: AliasedTopic;
  readonly #lines: LineReader;
  readonly #input: NodeJS.ReadableStream;
  #started = false;
  /** All sent so far is on its way, or will be waited for. */
  #waitingForNetwork = false;

  /** @param message its payload is replaced by the lines */
  constructor(run: ClientRun, message: OutgoingMessage, input: NodeJS.ReadableStream) {
    this.#run = run;
    this.#message = message;
    this.#topic = new AliasedTopic(message);
    this.#lines = new LineReader();
    this.#input = input;
  }

  /** Bytes of the input that are published. */
  get bytesRead(): number {
    return this.#lines.bytesTaken;
  }

  refusalComment(packet: ConnackPacket): string {
    return refusalComment(packet, this.#run.settings.version);
  }

  connected(): void {
    this.#topic.forget();
    this.#waitingForNetwork = false;
    if (!this.#started) this.#start();
    this.#publishLines();
  }

  received(event: ClientEvent): void {
    if (event.kind !== 'published' || this.#message.qos === 0) return;
    const warning = publishWarning(event);
    if (warning !== undefined) this.#run.error(warning);
    this.#publishLines();
  }

  #start(): void {
    this.#started = true;
    this.#input.on('data', (chunk: Buffer) => {
      this.#lines.add(chunk);
      this.#input.pause();
      this.#publishAndSend();
    });
    this.#input.on('end', () => {
      this.#lines.end();
      this.#publishAndSend();
    });
  }

  #publishAndSend(): void {
    if (!this.#run.isConnected) return;
    this.#publishLines();
    this.#run.link.flush();
  }

  /**
   * As many lines as there are and may be sent now; then more are read, or all is done. What is published inside of
   * an event is sent when all events that came together are through, in one piece.
   */
  #publishLines(): void {
    const { connection } = this.#run;
    while (this.#hasRoom()) {
      const payload = this.#lines.next();
      if (payload === undefined) break;
      const message = { ...this.#message, topic: this.#topic.next(), payload };
      const result = connection.publish(message, monotonicMs());
      if (typeof result === 'string') this.#run.error(refusalText(result));
    }
    if (this.#message.qos === 0) this.#waitForNetwork();
    if (this.#lines.hasEnded && !this.#lines.hasLine && this.#run.session.outbound.size === 0) {
      this.#run.disconnect(0);
      return;
    }
    if (!this.#lines.hasLine && this.#hasRoom() && !this.#lines.hasEnded) this.#input.resume();
  }

  #hasRoom(): boolean {
    return this.#message.qos === 0 ? !this.#waitingForNetwork : this.#run.connection.windowRoom > 0;
  }

  #waitForNetwork(): void {
    const { link } = this.#run;
    link.flush();
    if (this.#waitingForNetwork || !link.isCongested) return;
    this.#waitingForNetwork = true;
    link.whenSent(() => {
      this.#waitingForNetwork = false;
      this.#publishAndSend();
    });
  }
}
