/** Errors of the operating system in words, which begin with a capital letter and have no full stop. */
import { getSystemErrorMap } from 'node:util';

/** Where the C library's words differ from Node's in more than the first letter. */
const C_LIBRARY_TEXTS: ReadonlyMap<string, string> = new Map([
  ['EADDRNOTAVAIL', 'Cannot assign requested address'],
  ['EAFNOSUPPORT', 'Address family not supported by protocol'],
  ['EBUSY', 'Device or resource busy'],
  ['EEXIST', 'File exists'],
  ['EHOSTUNREACH', 'No route to host'],
  ['EISDIR', 'Is a directory'],
  ['ELOOP', 'Too many levels of symbolic links'],
  ['ENAMETOOLONG', 'File name too long'],
]);

/** In Node's words, which the log has: "Address already in use", "Host is unreachable". */
export function nodeErrorText(error: unknown): string {
  const { errno, message } = error as NodeJS.ErrnoException;
  const text = getSystemErrorMap().get(errno ?? 0)?.[1] ?? message;
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** In the C library's words, which scripts know from Mosquitto's commands: "No route to host". */
export function cLibraryErrorText(error: unknown): string {
  const { code, errno, message } = error as NodeJS.ErrnoException;
  const text = C_LIBRARY_TEXTS.get(code ?? '');
  return text ?? (errno === undefined ? message : nodeErrorText(error));
}
