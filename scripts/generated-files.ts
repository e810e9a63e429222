/**
 * The files of the repository that are made from its sources. `npm run generate` writes them, and a test fails when
 * one of them is stale.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readResults } from '../test/bench/load/results.js';
import { documentsWithTables, withTables } from '../test/bench/load/tables.js';
import { projectFolder } from '../test/support/project.js';
import { completionFiles } from './completions.js';
import { exampleFile, optionsPage } from './config-docs.js';
import { conformancePage, listConformanceTests } from './conformance-docs.js';
import { metricsPage } from './metrics-docs.js';

/** @returns from paths in the project's folder to texts */
export async function generatedFiles(): Promise<ReadonlyMap<string, string>> {
  const files = new Map([
    ['src/config/OPTIONS.md', optionsPage()],
    ['docs/metrics.md', metricsPage()],
    ['deploy/mosquitto.conf.example', exampleFile()],
    ['test/conformance/README.md', conformancePage(await listConformanceTests())],
  ]);
  for (const [path, text] of completionFiles()) files.set(`deploy/completions/${path}`, text);
  const results = readResults();
  for (const path of documentsWithTables) {
    files.set(path, withTables(readFileSync(join(projectFolder, path), 'utf8'), results));
  }
  return files;
}
