/** The printer of the messages that mosquitto_sub and mosquitto_rr receive. */
import { NO_BYTES } from '../../../base/no-bytes.js';
import type { PublishPacket } from '../../../mqtt/packets.js';
import type { ClientSettings } from '../options/client-settings.js';
import { compileFormat, expandFormat, type MessageFormat } from './message-format.js';
import { now } from './wall-clock.js';

const NEWLINE = Buffer.from('\n');
/** The line of the screen for the first topic in watch mode. */
const WATCH_LINE_FIRST = 2;

export class MessagePrinter {
  readonly #settings: ClientSettings;
  readonly #format: MessageFormat | undefined;
  readonly #complain: (text: string) => void;
  readonly #watchLines = new Map<string, number>();

  /**
   * @param complain is called with an error line for a message that the format cannot print
   * @throws UsageError if the format is not valid
   */
  constructor(settings: ClientSettings, complain: (text: string) => void) {
    this.#settings = settings;
    this.#format = settings.format === undefined ? undefined : compileFormat(settings.format);
    this.#complain = complain;
  }

  /** The bytes to print for a message; none for some empty messages. */
  bytes(message: PublishPacket): Uint8Array {
    const line = this.#line(message);
    if (!this.#settings.watch) return line;
    return Buffer.concat([this.#moveToLine(message.topic), line, this.#moveBelowLast()]);
  }

  #line(message: PublishPacket): Uint8Array {
    const { verbose, noNewline, pretty } = this.#settings;
    const format = this.#format;
    const newline = noNewline ? NO_BYTES : NEWLINE;
    if (format !== undefined) {
      const text = expandFormat(format, { message, now: now(), pretty, complain: this.#complain });
      return Buffer.concat([text, newline]);
    }
    if (message.payload.length > 0) {
      const topic = verbose ? Buffer.from(`${message.topic} `) : NO_BYTES;
      return Buffer.concat([topic, message.payload, newline]);
    }
    return verbose && !noNewline ? Buffer.from(`${message.topic} (null)\n`) : NO_BYTES;
  }

  #moveToLine(topic: string): Buffer {
    let line = this.#watchLines.get(topic);
    if (line === undefined) {
      line = this.#watchLines.size + WATCH_LINE_FIRST;
      this.#watchLines.set(topic, line);
    }
    return moveTo(line);
  }

  #moveBelowLast(): Buffer {
    return moveTo(this.#watchLines.size + WATCH_LINE_FIRST);
  }
}

function moveTo(line: number): Buffer {
  return Buffer.from(`\x1b[${line};1H`);
}
