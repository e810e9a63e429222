/** Texts that an editor has saved in two or four bytes a character. */

/** Bytes of a file that are looked at if it does not begin with a byte order mark. */
const SAMPLE_BYTES = 1024;

/** @returns the name of an encoding that is not UTF-8; `null` if the bytes may be UTF-8 */
export function foreignEncoding(bytes: Uint8Array): string | null {
  const [first, second, third, fourth] = bytes;
  if (first === 0xff && second === 0xfe) return third === 0 && fourth === 0 ? 'UTF-32' : 'UTF-16';
  if (first === 0xfe && second === 0xff) return 'UTF-16';
  if (first === 0 && second === 0 && third === 0xfe && fourth === 0xff) return 'UTF-32';
  return hasMostlyHalfCharacters(bytes) ? 'UTF-16' : null;
}

/** Without a mark: every second byte of a text in Latin letters is 0. */
function hasMostlyHalfCharacters(bytes: Uint8Array): boolean {
  const length = Math.min(bytes.length, SAMPLE_BYTES) & ~1;
  const zeros = [0, 0];
  for (let i = 0; i < length; i += 1) if (bytes[i] === 0) zeros[i & 1]! += 1;
  const [even, odd] = zeros as [number, number];
  return length >= 4 && Math.max(even, odd) * 4 >= length;
}

/**
 * A file in such an encoding is refused: each of its lines would be a fault, and would bring its bytes into the log.
 * @param noun what the file is, at the beginning of a sentence
 * @returns what is wrong, and what to do; `null` if it may be UTF-8
 */
export function encodingFault(
  noun: string,
  path: string,
  bytes: Uint8Array,
): { error: string; help: string } | null {
  const encoding = foreignEncoding(bytes);
  if (encoding === null) return null;
  return {
    error: `Error: ${noun} '${path}' is in ${encoding}.`,
    help: `It has to be in UTF-8: iconv -f ${encoding} -t UTF-8 '${path}' writes it so.`,
  };
}
