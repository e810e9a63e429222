/**
 * Every key of the store, in one place. Keys are raw bytes and sort byte by byte.
 *
 *   table           key                                        value
 *   meta            a name                                     see `migrations.ts`
 *   sessions        name(client id)                            session
 *   subscriptions   session · name(filter)                     subscription
 *   queue           session · direction(1) · sequence(6)       queued messages from that sequence on
 *   messages        message(14)                                a message that several queues share
 *   references      message(14) · session · direction · sequence   nothing: who shares it
 *   retained        levels(1) · level 00 level 00 … level      retained message
 *   retainedTails   levels(1) · the same, last level first     nothing, or the topic if the key is cut
 *   tailNotes       writer(8) · number(6)                      topics whose tails may be out of date
 *   damaged         table 00 key                               a record of that table that does not read
 *   garbage         session                                    nothing: what is left of it is to be removed
 *   deliveries      session · direction · sequence · hash(16)  nothing: the receiver of that hash has this message
 *
 * `session` is a random number of 8 bytes that the session record holds. A session that begins anew under the
 * same client id has another one, so that what is left of the old one can be removed little by little.
 *
 * `name` leaves short names as they are and replaces long ones by a hash: LMDB's keys have a limit, client ids and
 * filters have none.
 *
 * Retained topics are stored level by level, twice. Topics with the same number of levels stand together and the
 * separator sorts before every character (a topic has no null character), so that a walk can skip from one level's
 * value to the next without seeing what is below: `a/+/c` touches `a/*` only. Where the wildcards come first, as
 * in `+/+/c`, the same walk goes over the tails. `retained-walk.ts` does both.
 */

import { createHash, randomBytes } from 'node:crypto';
import { asBuffer } from '../base/as-buffer.js';
import type { Direction } from '../model/queued-record.js';
import { TOPIC_KEY_LENGTH_MAX } from './limits.js';

export const SESSION_KEY_LENGTH = 8;
export const MESSAGE_ID_LENGTH = 14;
const SEQUENCE_LENGTH = 6;
const RECEIVER_HASH_LENGTH = 16;
const QUEUE_KEY_LENGTH = SESSION_KEY_LENGTH + 1 + SEQUENCE_LENGTH;

/** Sequences are 48 bits: a queue that grew by a million messages a second would last nine years. */
export const SEQUENCE_MAX = 2 ** 48 - 1;

const NAME_LENGTH_MAX = 255;
const PLAIN = 0;
const HASHED = 1;

const DIRECTION_CODES: Record<Direction, number> = { incoming: 0, outgoing: 1 };

/** Separates the levels of a topic in a key. */
export const LEVEL_END = 0;

const SLASH = 0x2f;

export function sessionsKey(clientId: string): Buffer {
  return nameKey(Buffer.alloc(0), clientId);
}

export function newSessionKey(): Buffer {
  return randomBytes(SESSION_KEY_LENGTH);
}

export function subscriptionKey(session: Buffer, filter: string): Buffer {
  return nameKey(session, filter);
}

export function queueKey(session: Buffer, direction: Direction, sequence: number): Buffer {
  const key = Buffer.allocUnsafe(QUEUE_KEY_LENGTH);
  session.copy(key);
  key[SESSION_KEY_LENGTH] = DIRECTION_CODES[direction];
  key.writeUIntBE(sequence, SESSION_KEY_LENGTH + 1, SEQUENCE_LENGTH);
  return key;
}

/** The key of another message of the same queue. */
export function queueKeyOf(neighbour: Uint8Array, sequence: number): Buffer {
  const key = Buffer.from(neighbour);
  key.writeUIntBE(sequence, SESSION_KEY_LENGTH + 1, SEQUENCE_LENGTH);
  return key;
}

export function sequenceOf(queueKey: Uint8Array): number {
  return asBuffer(queueKey).readUIntBE(SESSION_KEY_LENGTH + 1, SEQUENCE_LENGTH);
}

/** The first key after all that begin with `prefix`. */
export function prefixEnd(prefix: Uint8Array): Buffer {
  const end = Buffer.from(prefix);
  for (let i = end.length - 1; i >= 0; i -= 1) {
    if (end[i]! < 0xff) {
      end[i]! += 1;
      return end.subarray(0, i + 1);
    }
  }
  return Buffer.alloc(prefix.length + 1, 0xff);
}

/**
 * Ids of messages, delivery notes and lists of stale tails: unique among all threads and all starts of the broker,
 * growing within one thread.
 */
export class MessageIds {
  readonly #prefix = randomBytes(8);
  #last = 0;

  next(): Buffer {
    const id = Buffer.allocUnsafe(MESSAGE_ID_LENGTH);
    this.#prefix.copy(id);
    this.#last += 1;
    id.writeUIntBE(this.#last, 8, 6);
    return id;
  }
}

export function referenceKey(messageId: Buffer, queueKey: Buffer): Buffer {
  return Buffer.concat([messageId, queueKey]);
}

/** @param messageId the message's key in the queue, in hexadecimal digits */
export function deliveryNoteKey(messageId: string, receiver: string): Buffer {
  return Buffer.concat([Buffer.from(messageId, 'hex'), hashOf(receiver).subarray(0, RECEIVER_HASH_LENGTH)]);
}

/** The topic with its levels in their order. */
export function retainedKey(topic: string): Buffer {
  const key = wholeTopicKey(topic);
  return key.length <= TOPIC_KEY_LENGTH_MAX ? key : cutTopicKey(key, topic);
}

/** The topic with its last level first. */
export function retainedTailKey(topic: string): Buffer {
  const key = wholeTopicKey(topic);
  const tailKey = Buffer.allocUnsafe(key.length);
  tailKey[0] = key[0]!;
  let written = 1;
  let end = key.length;
  for (let i = end - 1; i >= 0; i -= 1) {
    if (i > 0 && key[i] !== LEVEL_END) continue;
    if (end < key.length) tailKey[written++] = LEVEL_END;
    for (let at = i + 1; at < end; at += 1) tailKey[written++] = key[at]!; // the first level begins at 1
    end = i;
  }
  return tailKey.length <= TOPIC_KEY_LENGTH_MAX ? tailKey : cutTopicKey(tailKey, topic);
}

/** Whether the key holds the beginning of the topic only; then the topic itself is with the value. */
export function isCutKey(key: Uint8Array): boolean {
  return key.length > TOPIC_KEY_LENGTH_MAX;
}

/** The topic of a key that is not cut. */
export function topicOfKey(key: Buffer, lastLevelFirst: boolean): string {
  const levels = key.toString('utf8', 1).split('\0');
  return (lastLevelFirst ? levels.reverse() : levels).join('/');
}

/**
 * The key before it is cut. On the path of every retained message, and most topics are ASCII: a plain loop saves
 * several calls into the engine.
 */
function wholeTopicKey(topic: string): Buffer {
  const key = Buffer.allocUnsafe(topic.length + 1);
  let levels = 1;
  for (let i = 0; i < topic.length; i += 1) {
    const code = topic.charCodeAt(i);
    if (code >= 0x80) return wholeKeyOf(Buffer.from(` ${topic}`));
    if (code === SLASH) levels += 1;
    key[i + 1] = code === SLASH ? LEVEL_END : code;
  }
  key[0] = levelCount(levels);
  return key;
}

/** @param key bytes of a topic, with room for the count before them */
function wholeKeyOf(key: Buffer): Buffer {
  let levels = 1;
  for (let i = 1; i < key.length; i += 1) {
    if (key[i] !== SLASH) continue;
    key[i] = LEVEL_END;
    levels += 1;
  }
  key[0] = levelCount(levels);
  return key;
}

/** Topics have 201 levels at most [mosq: topics]; should one have more than 255, the count does no harm. */
function levelCount(levels: number): number {
  return Math.min(levels, 0xff);
}

function cutTopicKey(key: Buffer, topic: string): Buffer {
  return Buffer.concat([key.subarray(0, TOPIC_KEY_LENGTH_MAX), hashOf(topic)]);
}

function nameKey(prefix: Buffer, name: string): Buffer {
  const length = Buffer.byteLength(name);
  if (length > NAME_LENGTH_MAX) return Buffer.concat([prefix, Buffer.from([HASHED]), hashOf(name)]);
  const key = Buffer.allocUnsafe(prefix.length + 1 + length);
  prefix.copy(key);
  key[prefix.length] = PLAIN;
  key.write(name, prefix.length + 1);
  return key;
}

function hashOf(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
