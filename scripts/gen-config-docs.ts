/** Writes the pages that are generated from the option table. A test fails when they are stale. */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { exampleFile, optionsPage } from './config-docs.js';

const root = fileURLToPath(new URL('../../', import.meta.url));

writeFileSync(`${root}src/config/OPTIONS.md`, optionsPage());
writeFileSync(`${root}deploy/mosquitto.conf.example`, exampleFile());
