/**
 * The file of dynamic security on the disk: read at the start, made if there is none [mosq: dynamic security], and
 * written whole or not at all. The last good one stays beside it, as FILE.bak.
 */
import { randomBytes } from 'node:crypto';
import { accessSync, constants, existsSync, lstatSync, writeFileSync } from 'node:fs';
import { copyFile, link, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { firstState } from '../../auth/dynamic-security/first-state.js';
import type { DynamicSecurityState } from '../../auth/dynamic-security/state.js';
import { formatStateFile, parseStateFile, stateFileLines } from '../../auth/dynamic-security/state-file.js';
import type { BrokerUser } from '../../auth/file-permissions.js';
import { argon2Fault, parsePasswordHash } from '../../auth/password-hash.js';
import { encodingFault } from '../../base/foreign-encoding.js';
import type { DynamicSecuritySettings } from '../../config/settings.js';
import type { Log } from '../../log/log.js';
import { cLibraryErrorText } from '../../system/system-error.js';
import { ExitCode } from '../process/exit-code.js';
import { readSecret } from './access-files.js';

const NOUN = 'Dynamic security file';
const PASSWORD_VARIABLE = 'MOSQUITTO_DYNSEC_PASSWORD';
/** Characters of the least password that the variable may hold [mosq: dynamic security]. */
const VARIABLE_LENGTH_MIN = 12;
/** 20 characters. */
const RANDOM_PASSWORD_BYTES = 15;

/** @returns the state, or the exit code with which the start ends; what is wrong is logged */
export async function openDynamicSecurity(
  settings: DynamicSecuritySettings,
  user: BrokerUser,
  log: Log,
): Promise<DynamicSecurityState | number> {
  const { file } = settings;
  if (isMissing(file)) return makeFirst(settings, user, log);
  const unopened = (path: string) => `Error: Unable to open the dynamic security file "${path}".`;
  const bytes = readSecret(file, unopened, user, log);
  if (bytes === null) return ExitCode.accessFile;
  const encodedOtherwise = encodingFault(NOUN, file, bytes);
  if (encodedOtherwise !== null) return refuse([encodedOtherwise.error, encodedOtherwise.help], log);
  const parsed = parseStateFile(file, bytes.toString('utf8'));
  if (!parsed.ok) return refuse([...stateFileLines(parsed.errors), ...adviceAboutBackup(file)], log);
  for (const line of stateFileLines(parsed.warnings)) log.write('warning', line);
  const fault = needsArgon2(parsed.state) ? await argon2Fault() : null;
  if (fault !== null)
    return refuse([`Error: The dynamic security file "${file}" cannot be used: ${fault}.`], log);
  warnUnlessWritable(file, user, log);
  return parsed.state;
}

function refuse(lines: readonly string[], log: Log): number {
  for (const line of lines) log.write('error', line);
  return ExitCode.configuration;
}

function adviceAboutBackup(file: string): string[] {
  const advice = 'The file is left as it is.';
  return existsSync(backupOf(file)) ? [`${advice} The one before it is "${backupOf(file)}".`] : [advice];
}

function isMissing(file: string): boolean {
  try {
    lstatSync(file);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT';
  }
}

function needsArgon2({ clients }: DynamicSecurityState): boolean {
  for (const { encodedPassword } of clients.values()) {
    if (!encodedPassword?.startsWith('$argon2id$')) continue;
    if (typeof parsePasswordHash(encodedPassword, 'any salt') !== 'string') return true;
  }
  return false;
}

function warnUnlessWritable(file: string, user: BrokerUser, log: Log): void {
  try {
    accessSync(dirname(file), constants.W_OK);
  } catch {
    const text = `Warning: Changes by dynamic security cannot be saved: the user ${user.userName} may not write into "${dirname(file)}".`;
    log.write('warning', text);
  }
}

// ------------------------------------------------------------ the first file

async function makeFirst(
  settings: DynamicSecuritySettings,
  user: BrokerUser,
  log: Log,
): Promise<DynamicSecurityState | number> {
  const { file } = settings;
  log.write('information', 'Dynamic security plugin config not found, generating a default config.');
  const passwords = firstPasswords(settings, user, log);
  const state = passwords === null ? null : await firstState(passwords.admin, passwords.demo);
  if (state !== null && (await saveState(file, state, log))) return state;
  return refuse(
    [`Error loading Dynamic security plugin config: "${file}" is missing and cannot be made.`],
    log,
  );
}

/** @returns `null` after a fault, which is logged */
function firstPasswords(
  { file, passwordInitFile }: DynamicSecuritySettings,
  user: BrokerUser,
  log: Log,
): { admin: string; demo: string | undefined } | null {
  if (passwordInitFile !== undefined) {
    const admin = passwordIn(passwordInitFile, user, log);
    if (admin !== null) log.write('information', `  Using admin password from file '${passwordInitFile}'`);
    return admin === null ? null : { admin, demo: undefined };
  }
  const variable = process.env[PASSWORD_VARIABLE];
  if (variable !== undefined) {
    if (variable.length < VARIABLE_LENGTH_MIN) {
      const text = `Error: Not generating dynsec config, ${PASSWORD_VARIABLE} must be at least ${VARIABLE_LENGTH_MIN} characters.`;
      log.write('error', text);
      return null;
    }
    log.write('information', `  Using admin password from ${PASSWORD_VARIABLE} environment variable`);
    return { admin: variable, demo: undefined };
  }
  const admin = randomBytes(RANDOM_PASSWORD_BYTES).toString('base64url');
  const demo = randomBytes(RANDOM_PASSWORD_BYTES).toString('base64url');
  const generated = `${file}.pw`;
  try {
    writeFileSync(generated, `admin ${admin}\ndemoclient ${demo}\n`, { flag: 'wx', mode: 0o600 });
  } catch (error) {
    log.write(
      'error',
      `Error: Unable to write new passwords to "${generated}": ${cLibraryErrorText(error)}.`,
    );
    return null;
  }
  log.write('information', `  Generated passwords are at ${generated}`);
  return { admin, demo };
}

function passwordIn(file: string, user: BrokerUser, log: Log): string | null {
  const unopened = (path: string) =>
    `Error: Unable to get initial password from '${path}', file not accessible.`;
  const text = readSecret(file, unopened, user, log)?.toString('utf8');
  if (text === undefined) return null;
  const [password = ''] = text.split(/\r?\n/, 1);
  if (password !== '') return password;
  log.write('error', `Error: Unable to get initial password from '${file}', file empty.`);
  return null;
}

// -------------------------------------------------------------------- saving

/** @returns false after a fault, which is logged; the file is as it was then */
export async function saveState(file: string, state: DynamicSecurityState, log: Log): Promise<boolean> {
  const aside = `${file}.new`;
  try {
    await rm(aside, { force: true });
    await writeThrough(aside, formatStateFile(state));
    await backUp(file);
    await rename(aside, file);
    await syncFolder(dirname(file));
    return true;
  } catch (error) {
    const why = cLibraryErrorText(error as NodeJS.ErrnoException);
    const text = `Error saving Dynamic security plugin config: unable to write ${aside} in the place of ${file}, error ${why}`;
    log.write('error', text);
    return false;
  }
}

async function writeThrough(path: string, text: string): Promise<void> {
  const handle = await open(path, 'wx', 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function backupOf(file: string): string {
  return `${file}.bak`;
}

async function backUp(file: string): Promise<void> {
  if (isMissing(file)) return;
  const backup = backupOf(file);
  await rm(backup, { force: true });
  try {
    await link(file, backup);
  } catch {
    await copyFile(file, backup); // a file system without links
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
