/**
 * Mosquitto's log types, the values of `log_type`, and masks of them: one bit a type, so that the question whether
 * a line is wanted costs one AND.
 */
import { type LogType, logTypes } from '../config/option-types.js';

export { type LogType, logTypes } from '../config/option-types.js';

/** The bit of each log type. */
export const LogMask = {
  error: 1,
  warning: 2,
  notice: 4,
  information: 8,
  debug: 16,
  subscribe: 32,
  unsubscribe: 64,
  websockets: 128,
  internal: 256,
} as const satisfies Record<LogType, number>;

/** `log_type none`, and `-q`. */
export const logMaskNone = 0;

/** `log_type all`, and `-v`. */
export const logMaskAll = maskOf(logTypes);

/** What is logged if `log_type` is not given [mosq: log_type]. */
export const logMaskDefault = maskOf(['error', 'warning', 'notice', 'information']);

export function maskOf(types: Iterable<LogType>): number {
  let mask = 0;
  for (const type of types) mask |= LogMask[type];
  return mask;
}
