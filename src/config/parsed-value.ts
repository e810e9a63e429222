/** The input and the result of the parsers of values. */
import type { ConfigMessageType, Fault } from './config-messages.js';
import type { OptionRow } from './option-types.js';

/** The value of a line, before it is parsed. */
export interface RawValue {
  /** The option's name in error lines. */
  readonly name: string;
  /** The option as it was written, for help. */
  readonly written: string;
  readonly row: OptionRow;
  /** All that follows the name. */
  readonly rest: string;
  /** No string may be taken from `rest`. */
  readonly malformed: boolean;
  /** The value that earlier lines gave, for options that add up. */
  readonly previous: unknown;
}

/** Something to say about a value that was accepted all the same. */
export interface Remark {
  readonly type: ConfigMessageType;
  readonly text: string;
}

export interface Accepted<Value> {
  readonly ok: true;
  readonly value: Value;
  readonly remarks: readonly Remark[];
}

export interface Refused {
  readonly ok: false;
  readonly fault: Fault;
}

export type Parsed<Value> = Accepted<Value> | Refused;

export function accepted<Value>(value: Value, remarks: readonly Remark[] = []): Accepted<Value> {
  return { ok: true, value, remarks };
}

/** `error` in Mosquitto's words, `help` in ours. */
export function refused(error: string, help: string): Refused {
  return { ok: false, fault: { error, help } };
}
