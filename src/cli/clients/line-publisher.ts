/**
 * mosquitto_pub with `-l`: each line of standard input is a message. Lines are read no faster than they can be sent:
 * with QoS 1 and 2 the window of messages in flight is the limit, with QoS 0 the network. After a lost connection the
 * command reconnects and sends the messages in flight again.
 */

import type { ClientEvent } from '../../client/client-events.js';
import type { OutgoingMessage } from '../../client/client-session.js';
import type { ConnackPacket } from '../../mqtt/packets.js';
import { monotonicMs } from '../../system/monotonic-clock.js';
import type { ClientRole, ClientRun } from './client-run.js';
import { LineReader } from './line-reader.js';
import { ExitCode } from './output/failure-texts.js';
import { AliasedTopic, publishWarning, refusalComment, refusalText } from './publish-support.js';

export class LinePublisher implements ClientRole {
  readonly reconnects = true;
  readonly #run: ClientRun;
  readonly #message: OutgoingMessage;
  readonly #topic: AliasedTopic;
  readonly #lines: LineReader;
  readonly #input: NodeJS.ReadableStream;
  #started = false;
  /** A failure as soon as one line could not be sent. */
  #exitCode = 0;
  /** Whether all messages so far have left, or are in flight. */
  #waitingForNetwork = false;

  /** @param message a template whose payload the lines replace */
  constructor(run: ClientRun, message: OutgoingMessage, input: NodeJS.ReadableStream) {
    this.#run = run;
    this.#message = message;
    this.#topic = new AliasedTopic(message);
    this.#lines = new LineReader();
    this.#input = input;
  }

  /** Bytes of the input that are published so far. */
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
   * Publishes the lines that are there and may be sent now, then reads more or ends. Messages that are published while
   * events are handled leave together, after the last of these events.
   */
  #publishLines(): void {
    const { connection } = this.#run;
    while (this.#hasRoom()) {
      const payload = this.#lines.next();
      if (payload === undefined) break;
      const message = { ...this.#message, topic: this.#topic.next(), payload };
      const result = connection.publish(message, monotonicMs());
      if (typeof result !== 'string') continue;
      this.#run.error(refusalText(result));
      this.#exitCode = ExitCode.failure;
    }
    if (this.#message.qos === 0) this.#waitForNetwork();
    if (this.#lines.hasEnded && !this.#lines.hasLine && this.#run.session.outbound.size === 0) {
      this.#run.disconnect(this.#exitCode);
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
