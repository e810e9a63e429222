/**
 * The one table of options: a row for every option of `mosquitto.conf` from Mosquitto 1.4 to 2.1, and our own.
 *
 * The rows stand in `*-options.ts`, by topic; this file puts them together and finds the row of a name.
 */
import { bridgeOptions, bridgeTlsOptions } from './bridge-options.js';
import { generalOptions, persistenceOptions, removedOptions, securityOptions } from './global-options.js';
import { limitOptions } from './limit-options.js';
import { listenerOptions, listenerTlsOptions } from './listener-options.js';
import { logOptions } from './log-options.js';
import type { OptionRow } from './option-types.js';

/** Rows in the order of the documentation: a heading and its options. */
export const optionGroups = [
  { title: 'General', options: generalOptions },
  { title: 'Logging', options: logOptions },
  { title: 'Persistence', options: persistenceOptions },
  { title: 'Limits', options: limitOptions },
  { title: 'Security', options: securityOptions },
  { title: 'Listeners', options: listenerOptions },
  { title: 'TLS of a listener', options: listenerTlsOptions },
  { title: 'Bridges', options: bridgeOptions },
  { title: 'TLS of a bridge', options: bridgeTlsOptions },
  { title: 'Accepted without effect', options: removedOptions },
] as const;

export const optionSchema = {
  ...generalOptions,
  ...logOptions,
  ...persistenceOptions,
  ...limitOptions,
  ...securityOptions,
  ...listenerOptions,
  ...listenerTlsOptions,
  ...bridgeOptions,
  ...bridgeTlsOptions,
  ...removedOptions,
} as const;

export type OptionSchema = typeof optionSchema;
export type OptionName = keyof OptionSchema;

/** An option as it was found in a file. */
export interface KnownOption {
  /** Its name in the table; an alias is resolved. */
  readonly name: OptionName;
  /** The name as written. */
  readonly written: string;
  readonly row: OptionRow;
}

/** Row names and aliases to row names; those that end in `*` stand for all names that begin so. */
const optionsByName = new Map<string, OptionName>();
const optionsByPrefix: { readonly prefix: string; readonly name: OptionName }[] = [];

for (const [name, row] of Object.entries(optionSchema) as [OptionName, OptionRow][]) {
  for (const known of [name, ...(row.aliases ?? [])]) {
    if (known.endsWith('*')) optionsByPrefix.push({ prefix: known.slice(0, -1), name });
    else optionsByName.set(known, name);
  }
}

/** Every name a line may begin with, aliases included, for suggestions. */
export const optionNames: readonly string[] = [...optionsByName.keys()];

export function findOption(written: string): KnownOption | undefined {
  const name =
    optionsByName.get(written) ?? optionsByPrefix.find(({ prefix }) => written.startsWith(prefix))?.name;
  return name === undefined ? undefined : { name, written, row: optionSchema[name] };
}
