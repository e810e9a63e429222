/**
 * Main reads the files that decide about access, and finds out whether the workers will be able to use them:
 * `password_file`, `acl_file`, `psk_file`. At the start and at a reload nothing else happens before all of them are
 * right.
 */
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { type FileProblem, problemLines } from '../../auth/access-file.js';
import { aclFileRefused, aclFileUnopened, parseAclFile } from '../../auth/acl-file.js';
import { type BrokerUser, notAFile, permissionWarnings } from '../../auth/file-permissions.js';
import { needsArgon2, parsePasswordFile, passwordFileUnopened } from '../../auth/password-file.js';
import { argon2Fault } from '../../auth/password-hash.js';
import { parsePskFile, pskFileRefused, pskFileUnopened } from '../../auth/psk-file.js';
import { encodingFault } from '../../base/foreign-encoding.js';
import type { ListenerSettings, Settings } from '../../config/settings.js';
import type { Log } from '../../log/log.js';
import { cLibraryErrorText } from '../../system/system-error.js';
import { ExitCode } from '../process/exit-code.js';

/** @returns 0, or the exit code with which a start ends; everything found is logged */
type Check = (file: string, text: string, log: Log) => Promise<number>;

/** One of the options that name a file. */
interface FileOption {
  /** What the file is, at the beginning of a sentence. */
  noun: string;
  fileOf: (listener: ListenerSettings) => string | undefined;
  /** Mosquitto's line if it cannot be opened. */
  unopened: (file: string) => string;
  /** Mosquitto's last line for any fault of it. */
  refused: ((file: string) => string) | null;
  check: Check;
}

const FILE_OPTIONS: readonly FileOption[] = [
  {
    noun: 'Password file',
    fileOf: ({ passwordFile }) => passwordFile,
    unopened: passwordFileUnopened,
    refused: null,
    check: checkPasswords,
  },
  {
    noun: 'ACL file',
    fileOf: ({ aclFile }) => aclFile,
    unopened: aclFileUnopened,
    refused: aclFileRefused,
    check: checkAcl,
  },
  {
    noun: 'PSK file',
    fileOf: ({ pskFile }) => pskFile,
    unopened: pskFileUnopened,
    refused: pskFileRefused,
    check: checkPsk,
  },
];

/**
 * Reads and checks every file, and logs its faults and doubts; the texts go into `texts`.
 * @returns 0, or an exit code: 13 if one cannot be opened, 3 if its content is wrong [mosq: password_file]
 */
export async function readAccessFiles(
  settings: Settings,
  texts: Map<string, string>,
  user: BrokerUser,
  log: Log,
): Promise<number> {
  let code = 0;
  for (const option of FILE_OPTIONS) {
    const files = new Set(settings.listeners.map(option.fileOf));
    for (const file of files) {
      if (file === undefined) continue;
      const fault = await readAccessFile(file, option, texts, user, log);
      if (fault !== 0 && option.refused !== null) log.write('error', option.refused(file));
      code ||= fault;
    }
  }
  return code;
}

async function readAccessFile(
  file: string,
  option: FileOption,
  texts: Map<string, string>,
  user: BrokerUser,
  log: Log,
): Promise<number> {
  const bytes = readSecret(file, option.unopened, user, log);
  if (bytes === null) return ExitCode.accessFile;
  const encodedOtherwise = encodingFault(option.noun, file, bytes);
  if (encodedOtherwise !== null) {
    log.write('error', encodedOtherwise.error);
    log.write('error', encodedOtherwise.help);
    return ExitCode.configuration;
  }
  const text = bytes.toString('utf8');
  const fault = await option.check(file, text, log);
  texts.set(file, text);
  return fault;
}

/**
 * @param unopened the line if it cannot be opened
 * @returns `null` if it cannot be opened, which is logged
 */
export function readSecret(
  file: string,
  unopened: (file: string) => string,
  user: BrokerUser,
  log: Log,
): Buffer | null {
  // Not through a symbolic link, as Mosquitto 2.1 [mosq: MOSQUITTO_UNSAFE_ALLOW_SYMLINKS], and not waiting for a pipe
  const followsLinks = process.env.MOSQUITTO_UNSAFE_ALLOW_SYMLINKS !== undefined;
  let descriptor: number;
  try {
    descriptor = openSync(
      file,
      constants.O_RDONLY | constants.O_NONBLOCK | (followsLinks ? 0 : constants.O_NOFOLLOW),
    );
  } catch (error) {
    log.write('error', unopened(file));
    log.write('error', whyUnopened(error as NodeJS.ErrnoException, user));
    return null;
  }
  try {
    const permissions = fstatSync(descriptor);
    if (!permissions.isFile()) {
      log.write('error', notAFile(file));
      log.write('error', unopened(file));
      return null;
    }
    for (const line of permissionWarnings(file, permissions, user)) log.write('warning', line);
    return readFileSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function whyUnopened(error: NodeJS.ErrnoException, user: BrokerUser): string {
  if (error.code === 'ELOOP') {
    return 'It is a symbolic link: name the file itself, or set MOSQUITTO_UNSAFE_ALLOW_SYMLINKS in the environment.';
  }
  const advice = error.code === 'EACCES' ? ` The broker runs as ${user.userName}.` : '';
  return `The reason: ${cLibraryErrorText(error)}.${advice}`;
}

async function checkPasswords(file: string, text: string, log: Log): Promise<number> {
  const parsed = parsePasswordFile(file, text);
  if (!parsed.ok) return refuse(parsed.errors, log);
  warn(parsed.warnings, log);
  const fault = needsArgon2(parsed.passwords) ? await argon2Fault() : null;
  if (fault === null) return 0;
  log.write('error', `password-file: Error: '${file}' cannot be used: ${fault}.`);
  return ExitCode.configuration;
}

async function checkAcl(file: string, text: string, log: Log): Promise<number> {
  const parsed = parseAclFile(file, text);
  if (!parsed.ok) return refuse(parsed.errors, log);
  warn(parsed.warnings, log);
  return 0;
}

async function checkPsk(file: string, text: string, log: Log): Promise<number> {
  const parsed = parsePskFile(file, text);
  if (!parsed.ok) return refuse(parsed.errors, log);
  warn(parsed.warnings, log);
  return 0;
}

function refuse(errors: readonly FileProblem[], log: Log): number {
  for (const line of errors.flatMap(problemLines)) log.write('error', line);
  return ExitCode.configuration;
}

function warn(warnings: readonly FileProblem[], log: Log): void {
  for (const line of warnings.flatMap(problemLines)) log.write('warning', line);
}
