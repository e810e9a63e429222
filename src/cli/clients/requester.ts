/** The role of mosquitto_rr: subscribes to the response topic, publishes the request, prints the responses. */

import type { ClientEvent } from '../../client/client-events.js';
import type { OutgoingMessage } from '../../client/client-session.js';
import type { Properties, PublishPacket, SubackPacket } from '../../mqtt/packets.js';
import { reasonText } from '../../mqtt/reason-codes.js';
import { monotonicMs } from '../../system/monotonic-clock.js';
import type { ClientRole, ClientRun } from './client-run.js';
import type { ClientSettings } from './options/client-settings.js';
import { toProperties } from './options/property-option.js';
import { SetupError } from './options/usage-error.js';
import { ExitCode } from './output/failure-texts.js';
import { MessagePrinter } from './output/message-printer.js';
import { print } from './output/stdio.js';
import { messageOf, refusalText } from './publish-support.js';
import { endAfterTimeout } from './timeout.js';

/** @throws SetupError, UsageError */
export function requestOf(settings: ClientSettings, payload: Buffer): OutgoingMessage {
  const request = messageOf(settings, payload);
  if (settings.version !== 5) return request;
  if (request.properties.responseTopic !== undefined) {
    throw new SetupError('Error in PUBLISH properties: Duplicate response topic.');
  }
  const properties: Properties = { ...request.properties, responseTopic: settings.responseTopic! };
  return { ...request, properties };
}

export class Requester implements ClientRole {
  readonly reconnects = false;
  readonly #run: ClientRun;
  readonly #settings: ClientSettings;
  readonly #request: OutgoingMessage;
  readonly #printer: MessagePrinter;
  readonly #subscribeProperties: Properties;
  #requestedNs: bigint | undefined;
  #count = 0;

  /** @throws UsageError for properties */
  constructor(run: ClientRun, request: OutgoingMessage) {
    this.#run = run;
    this.#settings = run.settings;
    this.#request = request;
    this.#printer = new MessagePrinter(run.settings, (text) => run.error(text));
    this.#subscribeProperties = toProperties('subscribe', run.settings.properties.subscribe);
  }

  start(): void {
    endAfterTimeout(this.#run, () => true);
    this.#run.start(this);
  }

  connected(): void {
    const { responseTopic, qos, retainAsPublished, retainHandling } = this.#settings;
    const subscription = { filter: responseTopic!, qos, noLocal: false, retainAsPublished, retainHandling };
    this.#run.connection.subscribe([subscription], this.#subscribeProperties, monotonicMs());
  }

  received(event: ClientEvent): void {
    if (event.kind === 'subscribed') this.#subscribed(event.packet);
    else if (event.kind === 'message') this.#message(event.packet);
  }

  #subscribed({ reasonCodes }: SubackPacket): void {
    const refused = reasonCodes.find((reasonCode) => reasonCode >= 0x80);
    if (refused !== undefined) {
      this.#run.error(reasonText(refused));
      this.#run.disconnect(ExitCode.failure);
      return;
    }
    this.#requestedNs = process.hrtime.bigint();
    const result = this.#run.connection.publish(this.#request, monotonicMs());
    if (typeof result !== 'string') return;
    this.#run.error(refusalText(result));
    this.#run.disconnect(ExitCode.failure);
  }

  #message(message: PublishPacket): void {
    if (this.#settings.noRetained && message.retain) return;
    print(this.#printer.bytes(message));
    if (this.#settings.latency && this.#requestedNs !== undefined) {
      print(`Latency: ${latencyText(process.hrtime.bigint() - this.#requestedNs)}\n`);
    }
    this.#count += 1;
    if (this.#count === (this.#settings.messageCount ?? 1)) this.#run.disconnect(0);
  }
}

/** `512ns`, `33.841000µs`, `1.234567ms`, and seconds without a unit. */
function latencyText(ns: bigint): string {
  const value = Number(ns);
  if (value < 1e3) return `${value}ns`;
  if (value < 1e6) return `${(value / 1e3).toFixed(6)}µs`;
  if (value < 1e9) return `${(value / 1e6).toFixed(6)}ms`;
  return (value / 1e9).toFixed(9);
}
