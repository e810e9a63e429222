/** Times and sizes of the store that lean on each other. */
import { assert } from '../base/assert.js';

/**
 * Milliseconds for which a list with topics that are gone rests, from when main saw it first (`retained-tails.ts`).
 * Meanwhile a thread that replaced such a message commits, or doubts the tail.
 */
export const TAIL_REST_MS = 1000;

/** Milliseconds after which a commit counts as so late that the tail it relied on may be gone (`retained-store.ts`). */
export const COMMIT_MS_MAX = 300;

assert(COMMIT_MS_MAX * 2 < TAIL_REST_MS, 'a list rests well longer than a commit that is not late');

/** Milliseconds until a failed commit is tried again, the first time, and at the most after many failures. */
export const RETRY_MS = 500;
export const RETRY_MS_MAX = 10_000;

assert(RETRY_MS <= RETRY_MS_MAX, 'the wait for another try grows');

/** Bytes of a page, even if the kernel's are larger (16 KiB on a Pi 5): a lone commit would write three times as much. */
export const PAGE_SIZE = 4096;

/** Bytes of a queue's record; larger records get pages of their own, which would be written and read apart. */
export const QUEUE_RECORD_BYTES_MAX = 2000;

assert(QUEUE_RECORD_BYTES_MAX < PAGE_SIZE / 2, 'two records of a queue share a page');

/** Messages up to this size are cheaper to repeat in each queue than to refer to. */
export const REPEATED_BYTES_MAX = 128;

assert(REPEATED_BYTES_MAX < QUEUE_RECORD_BYTES_MAX, 'repeated messages share the record of their queue');

/** Bytes at which a topic's key is cut; its hash follows. */
export const TOPIC_KEY_LENGTH_MAX = 1900;

/** Bytes of a SHA-256 hash, and of the longest key that LMDB takes with these pages. */
const HASH_LENGTH = 32;
const KEY_LENGTH_MAX = 1978;

assert(TOPIC_KEY_LENGTH_MAX + HASH_LENGTH <= KEY_LENGTH_MAX, 'LMDB takes a cut key');

/** Milliseconds for which the orderly end waits for the write lock. */
export const LOCK_MS_MAX = 10_000;
