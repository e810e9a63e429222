/**
 * The normative statements of the standards: what the tests in this folder have to show. The wording is ours; the
 * numbers are those of the OASIS documents, without "MQTT-".
 */
import { statementsV5 } from './statements-v5.js';
import { statementsV311 } from './statements-v311.js';

/** Whose conduct a statement is about. Those about clients alone need no test here. */
export type Concerns = 'server' | 'client' | 'both';

/** `untestable`: why no test from outside can show it. */
export type StatementRow = readonly [
  number: string,
  concerns: Concerns,
  paraphrase: string,
  untestable?: string,
];

export type Standard = '3.1.1' | '5.0';

export const standards: Readonly<Record<Standard, readonly StatementRow[]>> = {
  '3.1.1': statementsV311,
  '5.0': statementsV5,
};

export function hasStatement(standard: Standard, number: string): boolean {
  return standards[standard].some((row) => row[0] === number);
}
