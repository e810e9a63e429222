/** `psk_file`: `IDENTITY:HEXKEY` a line, the keys of TLS-PSK [mosq: psk_file]. */
import { encodingWarning, type FileProblem, meaningfulLines } from './access-file.js';

export type PskFileResult =
  | { ok: true; keys: ReadonlyMap<string, Buffer>; warnings: FileProblem[] }
  | { ok: false; errors: FileProblem[] };

/** Mosquitto's last line after any fault in the file. */
export function pskFileRefused(file: string): string {
  return `Error opening psk file "${file}".`;
}

/** Mosquitto's line if the file cannot be opened, `pwfile` included; the broker then ends with exit code 13. */
export function pskFileUnopened(file: string): string {
  return `Error: Unable to open pwfile "${file}".`;
}

export function parsePskFile(file: string, text: string): PskFileResult {
  const keys = new Map<string, Buffer>();
  const errors: FileProblem[] = [];
  const warnings: FileProblem[] = [];
  for (const numbered of meaningfulLines(text)) {
    const { line } = numbered;
    const colon = numbered.text.indexOf(':');
    if (colon < 0) continue;
    const identity = numbered.text.slice(0, colon).trim();
    const hexKey = numbered.text.slice(colon + 1).trim();
    if (identity === '' || hexKey === '') {
      // The key is a secret, so the message shows it only if it is no key.
      const message = `Warning: Invalid line in password file '${file}': ${identity}:`;
      warnings.push({ file, line, message });
    } else if (!/^[0-9a-fA-F]+$/.test(hexKey)) {
      const message = `Error: psk for identity "${identity}" contains non-hexadecimal characters.`;
      errors.push({ file, line, message });
    } else if (keys.has(identity)) {
      warnings.push({
        file,
        line,
        message: `Warning: Duplicate psk identity "${identity}", the first is used.`,
      });
    } else {
      keys.set(identity, decodeHex(hexKey));
      const warning = encodingWarning(file, numbered);
      if (warning !== null) warnings.push(warning);
    }
  }
  return errors.length > 0 ? { ok: false, errors } : { ok: true, keys, warnings };
}

/** An odd number of digits is read as if a 0 stood before them. */
function decodeHex(digits: string): Buffer {
  return Buffer.from(digits.length % 2 === 0 ? digits : `0${digits}`, 'hex');
}
