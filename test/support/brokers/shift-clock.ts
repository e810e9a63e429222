/**
 * Preloaded into a broker under test (NODE_OPTIONS=--import): the machine's clock, as every thread sees it, is off by the
 * milliseconds that stand in the file CLOCK_FILE.
 */
import { readFileSync } from 'node:fs';

const file = process.env.CLOCK_FILE;

if (file !== undefined) {
  const { now } = Date;
  Date.now = () => now() + Number(readFileSync(file, 'utf8'));
}
