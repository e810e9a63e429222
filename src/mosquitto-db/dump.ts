/** A `mosquitto.db` for people and scripts, in the shapes of Mosquitto's own `mosquitto_db_dump` (2.1). */
import { appendAll } from '../base/append-all.js';
import { decodeUtf8 } from '../base/utf8.js';
import { readChunks } from './chunk-reader.js';
import type {
  Chunk,
  ClientChunk,
  ClientMessageChunk,
  ConfigChunk,
  MessageChunk,
  RetainChunk,
  SubscriptionChunk,
} from './chunks.js';
import { readSubscriptionIds, type ShownProperty, showMessageProperties } from './message-properties.js';

export type DumpKind = 'text' | 'stats' | 'client-stats' | 'json';

/** @throws {DatabaseFormatError} */
export function dumpDatabase(bytes: Uint8Array, kind: DumpKind): string {
  const found: Found[] = [];
  const { version } = readChunks(bytes, (chunk, length) => found.push({ chunk, length }));
  switch (kind) {
    case 'text':
      return textOf(found, version);
    case 'stats':
      return statsOf(found);
    case 'client-stats':
      return clientStatsOf(found);
    case 'json':
      return `${indented(contentOf(found), 1)}\n`;
  }
}

interface Found {
  chunk: Chunk;
  /** Of its body, in bytes. */
  length: number;
}

type Fields = [key: string, value: string | number | bigint][];

const NAMES: Record<Chunk['kind'], string> = {
  config: 'DB_CHUNK_CFG',
  message: 'DB_CHUNK_BASE_MSG',
  clientMessage: 'DB_CHUNK_CLIENT_MSG',
  retain: 'DB_CHUNK_RETAIN',
  subscription: 'DB_CHUNK_SUB',
  client: 'DB_CHUNK_CLIENT',
};

function textOf(found: Found[], version: number): string {
  const lines = ['Mosquitto DB dump', 'CRC: 0', `DB version: ${version}`];
  for (const { chunk, length } of found) {
    lines.push(`${NAMES[chunk.kind]}:`, `\tLength: ${length}`);
    for (const [key, value] of fieldsOf(chunk)) lines.push(`\t${key}: ${value}`);
    if (chunk.kind === 'message') appendAll(lines, propertyLines(chunk));
  }
  return `${lines.join('\n')}\n`;
}

function fieldsOf(chunk: Chunk): Fields {
  switch (chunk.kind) {
    case 'config':
      return configFields(chunk);
    case 'message':
      return messageFields(chunk);
    case 'clientMessage':
      return clientMessageFields(chunk);
    case 'retain':
      return [['Store ID', chunk.messageId]];
    case 'subscription':
      return subscriptionFields(chunk);
    case 'client':
      return clientFields(chunk);
  }
}

function configFields({ shutdown, messageIdSize, lastMessageId }: ConfigChunk): Fields {
  return [
    ['Shutdown', +shutdown],
    ['DB ID size', messageIdSize],
    ['Last DB ID', lastMessageId],
  ];
}

/** Longer payloads are not shown. */
const PAYLOAD_SHOWN_MAX = 255;

function messageFields(chunk: MessageChunk): Fields {
  const { payload } = chunk;
  const text = payload.length <= PAYLOAD_SHOWN_MAX ? printable(payload) : undefined;
  return [
    ['Store ID', chunk.messageId],
    ['Source Port', chunk.sourcePort],
    ['Source MID', chunk.sourcePacketId],
    ['Topic', shown(chunk.topic)],
    ['QoS', chunk.qos],
    ['Retain', chunk.retain],
    ['Payload Length', payload.length],
    ['Expiry Time', chunk.expiryTime],
    ...(text === undefined ? [] : ([['Payload', text]] satisfies Fields)),
  ];
}

function clientMessageFields(chunk: ClientMessageChunk): Fields {
  const [identifier] = readSubscriptionIds(chunk.properties) ?? [];
  return [
    ['Client ID', shown(chunk.clientId)],
    ['Store ID', chunk.messageId],
    ['MID', chunk.packetId],
    ['QoS', chunk.qos],
    ['Retain', chunk.retain],
    ['Direction', chunk.direction],
    ['State', chunk.state],
    ['Dup', chunk.dup],
    ...(identifier === undefined ? [] : ([['Subscription identifier', identifier]] satisfies Fields)),
  ];
}

function subscriptionFields(chunk: SubscriptionChunk): Fields {
  return [
    ['Client ID', shown(chunk.clientId)],
    ['Topic', shown(chunk.filter)],
    ['QoS', chunk.qos],
    ['Subscription ID', chunk.subscriptionId],
    ['Options', `0x${chunk.options.toString(16).toUpperCase().padStart(2, '0')}`],
  ];
}

function clientFields(chunk: ClientChunk): Fields {
  const { listenerPort } = chunk;
  const username = shown(chunk.username);
  return [
    ['Client ID', shown(chunk.clientId)],
    ...(username === '' ? [] : ([['Username', username]] satisfies Fields)),
    ...(listenerPort === 0 ? [] : ([['Listener port', listenerPort]] satisfies Fields)),
    ['Last MID', chunk.lastPacketId],
    ['Session expiry time', chunk.sessionExpiryTime],
    ['Session expiry interval', chunk.sessionExpiryInterval ?? 0],
  ];
}

const PROPERTY_LABELS: Readonly<Record<string, string>> = {
  'payload-format-indicator': 'Payload format indicator',
  'content-type': 'Content type',
  'response-topic': 'Response topic',
  'correlation-data': 'Correlation data',
  'user-property': 'User property',
};

function propertyLines({ properties }: MessageChunk): string[] {
  const lines = showMessageProperties(properties).map(({ name, value }) => {
    const text = typeof value === 'object' ? value.join(' , ') : value;
    return `\t\t${PROPERTY_LABELS[name]}: ${text}`;
  });
  return lines.length === 0 ? [] : ['\tProperties:', ...lines];
}

function statsOf(found: Found[]): string {
  const kinds = ['config', 'message', 'clientMessage', 'retain', 'subscription', 'client'] as const;
  return kinds
    .map((kind) => {
      const count = found.filter(({ chunk }) => chunk.kind === kind).length;
      return `${`${NAMES[kind]}:`.padEnd(21)}${count}\n`;
    })
    .join('');
}

interface ClientStats {
  subscriptions: number;
  subscriptionBytes: number;
  messages: number;
  /** A message counts with its own chunk in every queue in which it is. */
  messageBytes: number;
}

function clientStatsOf(found: Found[]): string {
  const clients = new Map<string, ClientStats>();
  const messageLengths = new Map<bigint, number>();
  for (const { chunk, length } of found) {
    if (chunk.kind === 'message') messageLengths.set(chunk.messageId, length);
    if (chunk.kind !== 'client') continue;
    const none = { subscriptions: 0, subscriptionBytes: 0, messages: 0, messageBytes: 0 };
    clients.set(shown(chunk.clientId), none);
  }
  for (const { chunk, length } of found) {
    if (chunk.kind !== 'subscription' && chunk.kind !== 'clientMessage') continue;
    const stats = clients.get(shown(chunk.clientId));
    if (stats === undefined) continue;
    if (chunk.kind === 'subscription') {
      stats.subscriptions += 1;
      stats.subscriptionBytes += length;
    } else {
      stats.messages += 1;
      stats.messageBytes += length + (messageLengths.get(chunk.messageId) ?? 0);
    }
  }
  return [...clients]
    .map(
      ([clientId, { subscriptions, subscriptionBytes, messages, messageBytes }]) =>
        `SC: ${subscriptions} SS: ${subscriptionBytes} MC: ${messages} MS: ${messageBytes}   ${clientId}\n`,
    )
    .join('');
}

type Json = string | number | bigint | readonly Json[] | { readonly [key: string]: Json };

function contentOf(found: Found[]): Json {
  const chunks = found.map(({ chunk }) => chunk);
  return {
    'base-messages': chunks.filter(isMessage).map(messageJson),
    clients: chunks.filter(isClient).map(clientJson),
    'client-messages': chunks.filter(isClientMessage).map(clientMessageJson),
    'retained-messages': chunks.filter(isRetain).map(({ messageId }) => ({ storeid: messageId })),
    subscriptions: chunks.filter(isSubscription).map(subscriptionJson),
  };
}

const isMessage = (chunk: Chunk): chunk is MessageChunk => chunk.kind === 'message';
const isClient = (chunk: Chunk): chunk is ClientChunk => chunk.kind === 'client';
const isClientMessage = (chunk: Chunk): chunk is ClientMessageChunk => chunk.kind === 'clientMessage';
const isRetain = (chunk: Chunk): chunk is RetainChunk => chunk.kind === 'retain';
const isSubscription = (chunk: Chunk): chunk is SubscriptionChunk => chunk.kind === 'subscription';

function messageJson(chunk: MessageChunk): Json {
  const properties = showMessageProperties(chunk.properties);
  const username = shown(chunk.sourceUsername);
  return {
    storeid: chunk.messageId,
    'expiry-time': chunk.expiryTime,
    'source-mid': chunk.sourcePacketId,
    'source-port': chunk.sourcePort,
    qos: chunk.qos,
    retain: chunk.retain,
    topic: shown(chunk.topic),
    clientid: shown(chunk.sourceClientId),
    ...(username !== '' && { username }),
    ...(chunk.payload.length > 0 && { payload: Buffer.from(chunk.payload).toString('base64') }),
    ...(properties.length > 0 && { properties: properties.map(propertyJson) }),
  };
}

function propertyJson({ name, value }: ShownProperty): Json {
  return typeof value === 'object'
    ? { identifier: name, name: value[0], value: value[1] }
    : { identifier: name, value };
}

function clientJson(chunk: ClientChunk): Json {
  const username = shown(chunk.username);
  return {
    clientid: shown(chunk.clientId),
    ...(username !== '' && { username }),
    'session-expiry-time': chunk.sessionExpiryTime,
    'session-expiry-interval': chunk.sessionExpiryInterval ?? 0,
    'last-mid': chunk.lastPacketId,
    'listener-port': chunk.listenerPort,
  };
}

function clientMessageJson(chunk: ClientMessageChunk): Json {
  const [identifier = 0] = readSubscriptionIds(chunk.properties) ?? [];
  return {
    clientid: shown(chunk.clientId),
    storeid: chunk.messageId, // Mosquitto 2.1.2 shows the subscription identifier here
    mid: chunk.packetId,
    qos: chunk.qos,
    state: chunk.state,
    'retain-dup': (chunk.retain << 4) | chunk.dup,
    direction: chunk.direction,
    'subscription-identifier': identifier,
  };
}

function subscriptionJson(chunk: SubscriptionChunk): Json {
  return {
    clientid: shown(chunk.clientId),
    topic: shown(chunk.filter),
    qos: chunk.qos,
    options: chunk.options,
    identifier: chunk.subscriptionId,
  };
}

/** With tabs, as Mosquitto writes it. @param depth tabs before a member */
function indented(value: Json, depth: number): string {
  if (typeof value === 'bigint' || typeof value === 'number') return String(value);
  if (typeof value === 'string') return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map((item) => indented(item, depth + 1)).join(', ')}]`;
  const tabs = '\t'.repeat(depth);
  const members = Object.entries(value).map(
    ([key, member]) => `${tabs}${JSON.stringify(key)}:\t${indented(member, depth + 1)}`,
  );
  return `{\n${members.join(',\n')}\n${tabs.slice(1)}}`;
}

/** Up to the first NUL; what is no text is shown as far as it is. */
function shown(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return Buffer.from(end < 0 ? bytes : bytes.subarray(0, end)).toString();
}

/** @returns `undefined` if it is no text, or has control characters */
function printable(bytes: Uint8Array): string | undefined {
  const text = decodeUtf8(bytes, 0, bytes.length);
  return text === undefined || text === '' || /\p{Cc}/u.test(text) ? undefined : text;
}
