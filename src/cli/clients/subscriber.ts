/** The role of mosquitto_sub: subscribes, prints messages, counts them. */

import type { ClientEvent } from '../../client/client-events.js';
import type { Properties, PublishPacket, SubackPacket } from '../../mqtt/packets.js';
import { ReasonCode } from '../../mqtt/reason-codes.js';
import { monotonicMs } from '../../system/monotonic-clock.js';
import { topicMatchesFilter } from '../../topic/topic-filter.js';
import type { ClientRole, ClientRun } from './client-run.js';
import type { ClientSettings } from './options/client-settings.js';
import { toProperties } from './options/property-option.js';
import { ExitCode } from './output/failure-texts.js';
import { MessagePrinter } from './output/message-printer.js';
import { print } from './output/stdio.js';
import { endAfterTimeout } from './timeout.js';

const RATE_INTERVAL_MS = 1000;

export class Subscriber implements ClientRole {
  readonly reconnects = true;
  readonly #run: ClientRun;
  readonly #settings: ClientSettings;
  readonly #printer: MessagePrinter;
  readonly #subscribeProperties: Properties;
  readonly #unsubscribeProperties: Properties;
  #wasConnected = false;
  /** Messages that count for `-C`. */
  #count = 0;
  /** Messages since the rate was last printed. */
  #rate = 0;
  /** Whether the run only waits for the removal of retained messages, and prints no more. */
  #isDone = false;

  /** @throws UsageError for properties */
  constructor(run: ClientRun) {
    const { settings } = run;
    this.#run = run;
    this.#settings = settings;
    this.#printer = new MessagePrinter(settings, (text) => run.error(text));
    this.#subscribeProperties = toProperties('subscribe', settings.properties.subscribe);
    this.#unsubscribeProperties = toProperties('unsubscribe', settings.properties.unsubscribe);
  }

  start(): void {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => this.#signalled());
    if (this.#settings.messageRate) setInterval(() => this.#printRate(), RATE_INTERVAL_MS);
    endAfterTimeout(this.#run, () => {
      if (this.#wasConnected) return true;
      process.exit(ExitCode.tooEarly);
    });
    this.#run.start(this);
  }

  connected(): void {
    this.#wasConnected = true;
    const { connection } = this.#run;
    const { topics, unsubscribeFilters, qos, retainAsPublished, retainHandling } = this.#settings;
    const nowMs = monotonicMs();
    if (topics.length > 0) {
      const options = { qos, noLocal: false, retainAsPublished, retainHandling };
      const subscriptions = topics.map((filter) => ({ filter, ...options }));
      connection.subscribe(subscriptions, this.#subscribeProperties, nowMs);
    }
    for (const filter of unsubscribeFilters) {
      connection.unsubscribe([filter], this.#unsubscribeProperties, nowMs);
    }
  }

  received(event: ClientEvent): void {
    if (event.kind === 'message') this.#message(event.packet);
    else if (event.kind === 'subscribed') this.#subscribed(event.packet);
    else if (event.kind === 'published') this.#endIfDone();
  }

  #subscribed({ packetId, reasonCodes }: SubackPacket): void {
    if (this.#settings.debug) print(`Subscribed (mid: ${packetId}): ${reasonCodes.join(', ')}\n`);
    if (reasonCodes.every((reasonCode) => reasonCode >= 0x80)) {
      this.#run.error('All subscription requests were denied.');
      this.#run.disconnect(0);
    } else if (this.#settings.exitAfterSubscribing) {
      this.#run.disconnect(0);
    }
  }

  #message(message: PublishPacket): void {
    if (this.#isDone) return;
    const { retainedOnly, noRetained, filterOut, removeRetained, messageCount } = this.#settings;
    if (retainedOnly && !message.retain) {
      this.#isDone = true;
      this.#endIfDone();
      return;
    }
    if (noRetained && message.retain) return;
    if (filterOut.some((filter) => topicMatchesFilter(message.topic, filter))) return;
    if (removeRetained && message.retain) this.#removeRetained(message.topic);
    if (this.#isChosen()) this.#show(message);
    this.#count += 1;
    if (this.#count === messageCount) this.#run.disconnect(0);
  }

  #isChosen(): boolean {
    const { randomFilter } = this.#settings;
    return randomFilter === undefined || Math.random() * 100 < randomFilter;
  }

  #show(message: PublishPacket): void {
    if (this.#settings.messageRate) this.#rate += 1;
    else print(this.#printer.bytes(message));
  }

  #printRate(): void {
    print(`${this.#rate} msgs/s\n`);
    this.#rate = 0;
  }

  #removeRetained(topic: string): void {
    const message = { topic, payload: Buffer.alloc(0), qos: 1, retain: true, properties: {} } as const;
    this.#run.connection.publish(message, monotonicMs());
  }

  /** Ends the run, or waits for removals that are in flight. */
  #endIfDone(): void {
    if (this.#isDone && this.#run.session.outbound.size === 0) this.#run.disconnect(0);
  }

  /** The user ends the run. Under MQTT 5.0 the DISCONNECT asks for the will. */
  #signalled(): void {
    if (!this.#wasConnected) process.exit(ExitCode.tooEarly);
    if (this.#run.isConnected) this.#run.disconnect(0, ReasonCode.disconnectWithWillMessage);
    else process.exit(0);
  }
}
