/**
 * Makes one file of each command-line client: node scripts/bundle-clients.mjs [BUILD-FOLDER]
 *
 * The clients are run in loops of shell scripts, and finding and loading some forty modules takes longer than all of
 * their work (src/cli/README.md has the figures). From `BUILD-FOLDER/src/cli/pub.js` and its imports this makes
 * `BUILD-FOLDER/src/cli/mosquitto_pub.cjs`, and so on. CommonJS, because Node starts it faster than a module.
 */
import { chmodSync, renameSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { buildSync } from 'esbuild';

const clients = { mosquitto_pub: 'pub', mosquitto_sub: 'sub', mosquitto_rr: 'rr' };

const folder = resolve(process.argv[2] ?? 'dist', 'src', 'cli');
for (const [command, entry] of Object.entries(clients)) {
  const output = join(folder, `${command}.cjs`);
  const unfinished = `${output}.${process.pid}`;
  buildSync({
    entryPoints: [join(folder, `${entry}.js`)],
    outfile: unfinished,
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    // Node reads less; names stay as they are, for stack traces.
    minifyWhitespace: true,
    minifySyntax: true,
    // Loaded from node_modules when it is needed, which is rarely.
    external: ['ws'],
    define: { 'import.meta.dirname': '__dirname' },
    logLevel: 'warning',
  });
  chmodSync(unfinished, 0o755);
  renameSync(unfinished, output);
}
