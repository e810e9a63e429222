/**
 * Makes one file of each program: node scripts/bundle.mjs [BUILD-FOLDER]
 *
 * Node takes longer to find and load a hundred small modules than to do what the programs begin with: the broker is
 * up in two thirds of the time this way, and the clients, which are run in loops of shell scripts, in half
 * (src/cli/README.md has the figures). From the compiled files in `BUILD-FOLDER` this makes one beside each entry
 * point. CommonJS, because Node starts it faster than a module.
 */
import { chmodSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { build } from 'esbuild';
import { programs } from './prepare.mjs';

const folder = resolve(process.argv[2] ?? 'dist');
await Promise.all(
  Object.entries(programs).map(([entry, output]) => bundle(join(folder, entry), join(folder, output))),
);

/**
 * @param {string} entry
 * @param {string} output
 */
async function bundle(entry, output) {
  const { outputFiles } = await build({
    entryPoints: [entry],
    outfile: output,
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    // Node reads less, and a thread keeps less in memory. Names stay as they are, for stack traces; with
    // --enable-source-maps these have the lines of the sources too.
    minifyWhitespace: true,
    minifySyntax: true,
    sourcemap: 'linked',
    packages: 'external',
    plugins: [keepOwnUrls(dirname(output))],
    logLevel: 'warning',
    write: false,
  });
  for (const { path, contents } of outputFiles) {
    const unfinished = `${path}.${process.pid}`;
    writeFileSync(unfinished, contents);
    if (path === output) chmodSync(unfinished, 0o755);
    renameSync(unfinished, path);
  }
}

/**
 * A module finds files beside it by its own URL, which in a bundle is still that of the module.
 *
 * @param {string} outputFolder
 * @returns {import('esbuild').Plugin}
 */
function keepOwnUrls(outputFolder) {
  return {
    name: 'own URLs',
    setup({ onLoad }) {
      onLoad({ filter: /\.js$/ }, ({ path }) => {
        const text = readFileSync(path, 'utf8');
        if (!text.includes('import.meta.')) return undefined;
        const file = `require('node:path').join(__dirname, ${JSON.stringify(relative(outputFolder, path))})`;
        const contents = text
          .replaceAll('import.meta.url', `require('node:url').pathToFileURL(${file}).href`)
          .replaceAll('import.meta.dirname', `require('node:path').dirname(${file})`);
        return { contents, loader: 'js' };
      });
    },
  };
}
