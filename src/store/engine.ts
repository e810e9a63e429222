/**
 * LMDB's binding, loaded when the first store is opened: whether its native part works on this machine is known only
 * then, and what does not open a store works without it.
 */
import { createRequire } from 'node:module';
import { nativePartError, thisMachine } from '../system/native-part.js';

type Engine = typeof import('lmdb');

let engine: Engine | undefined;

/** @throws {NativePartError} if it cannot be loaded on this machine */
export function storeEngine(): Engine {
  engine ??= load();
  return engine;
}

function load(): Engine {
  try {
    return createRequire(import.meta.url)('lmdb');
  } catch (error) {
    throw nativePartError('the store', 'lmdb', error as Error, thisMachine());
  }
}
