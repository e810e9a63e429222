/** Common parts of the commands that publish. */
import type { PublishRefusal } from '../../client/client-connection.js';
import type { ClientEvent } from '../../client/client-events.js';
import type { OutgoingMessage } from '../../client/client-session.js';
import type { ConnackPacket, ProtocolVersion } from '../../mqtt/packets.js';
import { ConnectReturnCode, reasonText } from '../../mqtt/reason-codes.js';
import type { ClientSettings } from './options/client-settings.js';
import { toProperties } from './options/property-option.js';
import { PROTOCOL_ERROR } from './output/failure-texts.js';

/** The message that the options describe, without its payload. @throws UsageError */
export function messageOf(settings: ClientSettings, payload: Buffer): OutgoingMessage {
  const { qos, retain, version } = settings;
  const properties = version === 5 ? toProperties('publish', settings.properties.publish) : {};
  return { topic: settings.topics.at(-1) ?? '', payload, qos, retain, properties };
}

/** A topic that is sent as its alias, if it has one, from the second message of a connection on. */
export class AliasedTopic {
  readonly #topic: string;
  readonly #hasAlias: boolean;
  #isKnown = false;

  constructor({ topic, properties }: OutgoingMessage) {
    this.#topic = topic;
    this.#hasAlias = properties.topicAlias !== undefined;
  }

  /** Aliases end with the connection. */
  forget(): void {
    this.#isKnown = false;
  }

  next(): string {
    if (this.#isKnown) return '';
    this.#isKnown = this.#hasAlias;
    return this.#topic;
  }
}

export function refusalText(refusal: PublishRefusal): string {
  switch (refusal) {
    case 'not-connected':
      return 'Error: Client not connected when trying to publish.';
    case 'no-topic':
      return "Error: Invalid input. Does your topic contain '+' or '#'?";
    case 'qos-not-supported':
      return 'Error: Message QoS not supported on broker, try a lower QoS.';
    case 'too-large':
      return 'Error: Message payload is too large.';
  }
}

/** The second line after the reason for which the broker refused the connection. */
export function refusalComment({ reasonCode }: ConnackPacket, version: ProtocolVersion): string {
  const isReturnCode = version !== 5 && reasonCode <= ConnectReturnCode.notAuthorized;
  return isReturnCode ? 'Error: The connection was refused' : PROTOCOL_ERROR;
}

/** The line about a message that the broker refused (MQTT 5.0). */
export function publishWarning(event: Extract<ClientEvent, { kind: 'published' }>): string | undefined {
  if (event.reasonCode < 0x80) return undefined;
  const { reasonString } = event.properties;
  const warning = `Warning: Publish ${event.packetId} failed: ${reasonText(event.reasonCode)}.`;
  return reasonString === undefined ? warning : `${warning}\n${reasonString}`;
}
