/** Loads the C library by koffi when it is needed for the first time. */
import { createRequire } from 'node:module';

/** @throws if koffi does not work on this machine */
export function loadCLibrary() {
  const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
  return { libc: koffi.load(null), errno: () => koffi.errno() };
}
