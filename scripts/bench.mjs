/**
 * `npm run bench`: the micro benchmarks in test/bench, one process each, one after the other so that they do not
 * disturb each other. Words on the command line choose the files that have one of them in their name.
 *
 * `npm run bench compare` is another program: Midge beside Mosquitto under load (test/bench/README.md).
 */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { prepareOrExit, root } from './prepare.mjs';

prepareOrExit({ develop: true });

/** As `npm start` leaves it to the engine (src/ARCHITECTURE.md): many benchmarks run the broker in their process. */
const engineOptions = ['--v8-pool-size=1'];

const words = process.argv.slice(2);
const folder = join(root, 'dist', 'test', 'bench');
if (words[0] === 'compare') run(join(folder, 'load', 'compare.js'), words.slice(1));
else runBenchmarks();

function runBenchmarks() {
  const files = readdirSync(folder)
    .filter((file) => file.endsWith('.bench.js'))
    .filter((file) => words.length === 0 || words.some((word) => file.includes(word)))
    .sort();
  if (files.length === 0) {
    console.error(`No benchmark in test/bench has ${words.join(' or ')} in its name.`);
    process.exit(1);
  }
  for (const file of files) run(join(folder, file), []);
}

/** Ends this process if the program fails. */
function run(file, args) {
  const { status } = spawnSync(process.execPath, [...engineOptions, file, ...args], { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}
