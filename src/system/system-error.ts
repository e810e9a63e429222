/**
 * Errors of the operating system in the C library's words, which scripts and people know from Mosquitto: they begin with
 * a capital letter and have no full stop.
 */
import { getSystemErrorMap } from 'node:util';

/** Where the C library's words differ from Node's in more than the first letter. */
const C_LIBRARY_TEXTS: ReadonlyMap<string, string> = new Map([
  ['EADDRNOTAVAIL', 'Cannot assign requested address'],
  ['EAFNOSUPPORT', 'Address family not supported by protocol'],
  ['EALREADY', 'Operation already in progress'],
  ['EBUSY', 'Device or resource busy'],
  ['EEXIST', 'File exists'],
  ['EFAULT', 'Bad address'],
  ['EHOSTUNREACH', 'No route to host'],
  ['EILSEQ', 'Invalid or incomplete multibyte or wide character'],
  ['EIO', 'Input/output error'],
  ['EISCONN', 'Transport endpoint is already connected'],
  ['EISDIR', 'Is a directory'],
  ['ELOOP', 'Too many levels of symbolic links'],
  ['ENAMETOOLONG', 'File name too long'],
  ['ENFILE', 'Too many open files in system'],
  ['ENOMEM', 'Cannot allocate memory'],
  ['ENOTCONN', 'Transport endpoint is not connected'],
  ['ENOTSUP', 'Operation not supported'],
  ['ERANGE', 'Numerical result out of range'],
  ['ESPIPE', 'Illegal seek'],
  ['ETXTBSY', 'Text file busy'],
  ['EXDEV', 'Invalid cross-device link'],
  // Of lookups, under Node's names for them.
  ['ENOTFOUND', 'Name or service not known'],
  ['EAI_AGAIN', 'Temporary failure in name resolution'],
  ['EAI_FAIL', 'Non-recoverable failure in name resolution'],
]);

/** For example "No route to host"; an error that is not the system's says what it says. */
export function cLibraryErrorText(error: unknown): string {
  const { code, errno, message } = error as NodeJS.ErrnoException;
  const text = C_LIBRARY_TEXTS.get(code ?? '') ?? getSystemErrorMap().get(errno ?? 0)?.[1] ?? message;
  return text.charAt(0).toUpperCase() + text.slice(1);
}
