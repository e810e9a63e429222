/** Our commands and Debian's, to run them with the same arguments. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { ProgramName } from '../../../src/cli/clients/options/client-settings.js';
import { builtFolder } from '../project.js';

/** Neither user's option files nor locale must matter. */
export const COMMAND_ENVIRONMENT = {
  HOME: '/nonexistent',
  XDG_CONFIG_HOME: undefined,
  LC_ALL: 'C.UTF-8',
  TZ: 'Europe/Berlin',
};

/** As installed: one bundled file a command. */
export function ourCommand(program: ProgramName): string[] {
  const file = join(builtFolder, 'src', 'cli', `${program}.cjs`);
  if (!existsSync(file)) throw new Error(`${file} is missing: node scripts/bundle.mjs ${builtFolder}`);
  return [process.execPath, file];
}

export function debianCommand(program: ProgramName): string[] {
  return [`/usr/bin/${program}`];
}
