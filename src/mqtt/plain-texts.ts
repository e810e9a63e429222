/** Whether clients take the texts of a message that is stored. */
import { isPlainUtf8 } from '../base/utf8.js';
import { PropertyId } from './property-ids.js';
import type { Publication } from './publication.js';

/**
 * Whether neither the topic nor a property has a control character or a non-character. A message that comes off the wire
 * has none, but an earlier version or Mosquitto may have stored one.
 */
export function hasPlainTexts(message: Publication): boolean {
  const { buffer, topicStart, topicEnd, properties, propertiesStart, propertiesEnd } = message;
  if (!isPlainUtf8(buffer, topicStart, topicEnd)) return false;
  let at = propertiesStart;
  while (at < propertiesEnd) {
    const id = properties[at]!;
    if (id === PropertyId.payloadFormatIndicator) {
      at += 2;
      continue;
    }
    const end = textEnd(properties, at + 1);
    if (id !== PropertyId.correlationData && !isPlainUtf8(properties, at + 3, end)) return false;
    at = end;
    if (id !== PropertyId.userProperty) continue;
    at = textEnd(properties, end);
    if (!isPlainUtf8(properties, end + 2, at)) return false;
  }
  return true;
}

function textEnd(bytes: Uint8Array, at: number): number {
  return at + 2 + ((bytes[at]! << 8) | bytes[at + 1]!);
}
