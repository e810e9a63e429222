/** What is stored of a listener with sessions and messages, so that it is found again after a restart, or in Mosquitto's file. */
import type { ListenerSettings } from './settings.js';

/** @returns the port in decimal digits, or the path of its socket */
export function listenerKey({ port, socketPath }: Pick<ListenerSettings, 'port' | 'socketPath'>): string {
  return socketPath ?? String(port);
}

/** @returns the index of the first listener with that key; `null` if there is none any more, or the key is unknown */
export function listenerIndex(
  listeners: readonly Pick<ListenerSettings, 'port' | 'socketPath'>[],
  key: string | undefined,
): number | null {
  const index = key === undefined ? -1 : listeners.findIndex((listener) => listenerKey(listener) === key);
  return index < 0 ? null : index;
}
