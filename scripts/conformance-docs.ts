/** Which test shows which statement of the standards: the page, and what is missing from it. */

import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type ListedTest, listInsteadOfRunning } from '../test/conformance/statement.js';
import { type Standard, type StatementRow, standards } from '../test/conformance/statements.js';

const testFolder = new URL('../test/conformance/', import.meta.url);

/** Reads the registrations of all tests of the folder, without running one. */
export async function listConformanceTests(): Promise<readonly ListedTest[]> {
  const tests = listInsteadOfRunning();
  const files = readdirSync(fileURLToPath(testFolder)).filter((file) => file.endsWith('.test.js'));
  for (const file of files.sort()) {
    if (file !== 'coverage.test.js') await import(new URL(file, testFolder).href);
  }
  return tests;
}

/** Statements about servers with neither a test nor a reason why there is none. */
export function missingStatements(tests: readonly ListedTest[]): string[] {
  const missing: string[] = [];
  for (const standard of Object.keys(standards) as Standard[]) {
    for (const [number, concerns, , untestable] of standards[standard]) {
      if (concerns === 'client' || untestable !== undefined) continue;
      if (testsOf(tests, standard, number).length === 0) missing.push(`${standard} [MQTT-${number}]`);
    }
  }
  return missing;
}

/** `test/conformance/README.md`. */
export function conformancePage(tests: readonly ListedTest[]): string {
  const lines = [
    '# Conformance',
    '',
    'Every normative statement of MQTT 3.1.1 and MQTT 5.0, in words of our own, and the tests that show it. Each test',
    'runs for every protocol version it applies to (3.1, too, where that has the feature), with one worker and with',
    'three, and speaks bytes to a listening broker.',
    '',
    'Generated from `statements-v311.ts`, `statements-v5.ts` and the tests by',
    '`npm run generate`. A statement about servers with neither test nor reason fails the tests.',
  ];
  for (const standard of Object.keys(standards) as Standard[]) {
    lines.push('', `## MQTT ${standard}`, '', summary(tests, standard), '');
    lines.push('| Statement | Concerns | What it asks for | Shown by |', '|---|---|---|---|');
    for (const row of standards[standard]) lines.push(tableRow(tests, standard, row));
  }
  return `${lines.join('\n')}\n`;
}

function summary(tests: readonly ListedTest[], standard: Standard): string {
  const rows = standards[standard];
  const count = (what: (row: StatementRow) => boolean) => rows.filter(what).length;
  const tested = count(([number]) => testsOf(tests, standard, number).length > 0);
  const reasons = count(([, , , untestable]) => untestable !== undefined);
  const clients = count(([, concerns]) => concerns === 'client');
  return `${rows.length} statements: ${tested} with tests, ${reasons} that cannot be tested here, ${clients} about clients alone.`;
}

function tableRow(tests: readonly ListedTest[], standard: Standard, row: StatementRow): string {
  const [number, concerns, paraphrase, untestable] = row;
  const shown = testsOf(tests, standard, number).map(({ file, name }) => `${file}: ${name}`);
  const by = untestable ?? ([...new Set(shown)].join('<br>') || '–');
  return `| ${[`MQTT-${number}`, concerns, paraphrase, by].map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}

function testsOf(tests: readonly ListedTest[], standard: Standard, number: string): ListedTest[] {
  return tests.filter((one) => one.standard === standard && one.number === number);
}
