/** Errors of the operating system in the words that `strerror` has for them, as Mosquitto prints them. */
import { getSystemErrorMap } from 'node:util';

/** "Connection reset by peer", "Address already in use". */
export function systemErrorText(error: unknown): string {
  const { errno, message } = error as NodeJS.ErrnoException;
  const text = getSystemErrorMap().get(errno ?? 0)?.[1] ?? message;
  return text.charAt(0).toUpperCase() + text.slice(1);
}
