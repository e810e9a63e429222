/** Writes the page that tells which test shows which statement of the standards. A test fails when it is stale. */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { conformancePage, listConformanceTests, missingStatements } from './conformance-docs.js';

const root = fileURLToPath(new URL('../../', import.meta.url));

const tests = await listConformanceTests();
writeFileSync(`${root}test/conformance/README.md`, conformancePage(tests));
for (const missing of missingStatements(tests)) console.error(`neither test nor reason: ${missing}`);
