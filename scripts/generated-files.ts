/**
 * The files of the repository that are made from its sources. `npm run generate` writes them, and a test fails when
 * one of them is stale.
 */
import { completionFiles } from './completions.js';
import { exampleFile, optionsPage } from './config-docs.js';
import { conformancePage, listConformanceTests } from './conformance-docs.js';

/** @returns from paths in the project's folder to texts */
export async function generatedFiles(): Promise<ReadonlyMap<string, string>> {
  const files = new Map([
    ['src/config/OPTIONS.md', optionsPage()],
    ['deploy/mosquitto.conf.example', exampleFile()],
    ['test/conformance/README.md', conformancePage(await listConformanceTests())],
  ]);
  for (const [path, text] of completionFiles()) files.set(`deploy/completions/${path}`, text);
  return files;
}
