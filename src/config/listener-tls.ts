import type { ListenerSettings } from './settings.js';

/** Whether clients of the listener have to speak TLS. */
export function isTls({ certfile, pskHint }: Pick<ListenerSettings, 'certfile' | 'pskHint'>): boolean {
  return certfile !== undefined || pskHint !== undefined;
}
