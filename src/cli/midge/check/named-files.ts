/** The files that a configuration names: whether they are there, what is in them, and who else can read the secrets. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { dirname } from 'node:path';
import type { FileProblem } from '../../../auth/access-file.js';
import { type AclRule, parseAclFile } from '../../../auth/acl-file.js';
import { parsePasswordFile } from '../../../auth/password-file.js';
import { parsePskFile } from '../../../auth/psk-file.js';
import { foreignEncoding } from '../../../base/foreign-encoding.js';
import type { Place } from '../../../config/config-messages.js';
import type { OptionName } from '../../../config/option-schema.js';
import { certificatesIn } from '../../../net/tls-context.js';
import { type Examined, type FileLook, type Finding, listenersOf, placeIn } from './finding.js';

/** A file, by the option that names it. */
interface NamedFile {
  readonly option: OptionName;
  readonly path: string;
  readonly place: Place | undefined;
}

type OpenFile = Extract<FileLook, { kind: 'file' }>;

export function* namedFiles(examined: Examined): Generator<Finding> {
  const { settings, draft } = examined;
  const texts = new Map<string, string>();
  const seen = new Set<string>();
  for (const file of filesOf(examined)) {
    const name = `${file.option} ${file.path}`;
    if (seen.has(name)) continue;
    seen.add(name);
    const look = examined.look(file.path);
    if (look.kind !== 'file') {
      yield notRead(file, look);
      continue;
    }
    texts.set(name, look.bytes.toString('utf8'));
    yield* access(file, look);
    yield* content(file, look, examined.now);
  }
  yield* rulesForNobody(examined, texts);
  yield* secretsInConfig(examined);
  yield* foldersToWrite(examined);
  for (const [index, { bridgeCertfile, bridgeKeyfile }] of settings.bridges.entries()) {
    yield* keyBelongs(
      examined,
      bridgeCertfile,
      bridgeKeyfile,
      placeIn(draft.bridges[index], ['bridge_keyfile']),
    );
  }
  for (const { settings: listener, placeOf } of listenersOf(examined)) {
    yield* keyBelongs(examined, listener.certfile, listener.keyfile, placeOf('keyfile'));
  }
}

function* filesOf(examined: Examined): Generator<NamedFile> {
  for (const { settings, placeOf } of listenersOf(examined)) {
    const named: [OptionName, string | undefined][] = [
      ['password_file', settings.passwordFile],
      ['acl_file', settings.aclFile],
      ['psk_file', settings.pskFile],
      ['certfile', settings.certfile],
      ['keyfile', settings.keyfile],
      ['cafile', settings.cafile],
      ['crlfile', settings.crlfile],
    ];
    for (const [option, path] of named)
      if (path !== undefined) yield { option, path, place: placeOf(option) };
  }
  for (const [index, bridge] of examined.settings.bridges.entries()) {
    const named: [OptionName, string | undefined][] = [
      ['bridge_cafile', bridge.bridgeCafile],
      ['bridge_certfile', bridge.bridgeCertfile],
      ['bridge_keyfile', bridge.bridgeKeyfile],
    ];
    for (const [option, path] of named) {
      if (path !== undefined) yield { option, path, place: placeIn(examined.draft.bridges[index], [option]) };
    }
  }
}

function notRead({ option, path, place }: NamedFile, look: Exclude<FileLook, OpenFile>): Finding {
  if (look.kind === 'folder') {
    return { kind: 'error', place, text: `'${option}': ${path} is a folder.`, advice: 'Name a file.' };
  }
  if (look.isHidden) {
    return {
      kind: 'doubtful',
      place,
      text: `'${option}': ${path} was not looked at, because this user may not read it.`,
      advice: 'Run this command as the user of the broker, or as root.',
    };
  }
  const advice = 'Mend the path, or make the file.';
  return { kind: 'error', place, text: `'${option}': ${path} cannot be read: ${look.reason}.`, advice };
}

const secretOptions: ReadonlySet<OptionName> = new Set([
  'password_file',
  'psk_file',
  'keyfile',
  'bridge_keyfile',
]);
/** [mosq: MOSQUITTO_UNSAFE_ALLOW_SYMLINKS] */
const refusesLinks: ReadonlySet<OptionName> = new Set(['password_file', 'acl_file', 'psk_file']);

const OTHERS_READ = 0o004;
const OTHERS_WRITE = 0o002;

function* access({ option, path, place }: NamedFile, { mode, isLink }: OpenFile): Generator<Finding> {
  if (secretOptions.has(option) && (mode & OTHERS_READ) !== 0) {
    const text = `'${option}': every user of this machine can read ${path}.`;
    yield {
      kind: 'weak',
      place,
      text,
      advice: `chmod 0640 ${path}, and give it the group of the broker's user.`,
    };
  }
  if ((mode & OTHERS_WRITE) !== 0) {
    const text = `'${option}': every user of this machine can change ${path}.`;
    yield { kind: 'weak', place, text, advice: `chmod o-w ${path}` };
  }
  if (isLink && refusesLinks.has(option)) {
    const text = `'${option}': ${path} is a symbolic link, which the broker does not follow.`;
    yield { kind: 'error', place, text, advice: 'Name the file itself.' };
  }
}

function* content(file: NamedFile, { bytes }: OpenFile, now: Date): Generator<Finding> {
  const { option, path, place } = file;
  const text = bytes.toString('utf8');
  const encoding = foreignEncoding(bytes);
  if (encoding !== null) {
    const advice = 'Save it as UTF-8.';
    yield { kind: 'error', place, text: `'${option}': ${path} is in ${encoding}.`, advice };
    return;
  }
  switch (option) {
    case 'password_file':
      yield* problems(parsePasswordFile(path, text));
      return;
    case 'acl_file':
      yield* problems(parseAclFile(path, text));
      return;
    case 'psk_file':
      yield* problems(parsePskFile(path, text));
      return;
    case 'certfile':
    case 'cafile':
    case 'bridge_cafile':
    case 'bridge_certfile':
      yield* certificates(file, text, now);
      return;
    default:
  }
}

type Parsed = { ok: true; warnings: FileProblem[] } | { ok: false; errors: FileProblem[] };

function* problems(parsed: Parsed): Generator<Finding> {
  for (const { file, line, message, advice } of parsed.ok ? parsed.warnings : parsed.errors) {
    const text = message.replace(/^.*?(Error|Warning): /, '');
    yield { kind: parsed.ok ? 'doubtful' : 'error', place: { file, line }, text, advice };
  }
}

const DAY_MS = 24 * 3600 * 1000;
const SOON_DAYS = 30;

function* certificates({ option, path, place }: NamedFile, text: string, now: Date): Generator<Finding> {
  const found = certificatesIn(text);
  if (found.length === 0) {
    const advice = "Name a file in PEM form: it has lines '-----BEGIN CERTIFICATE-----'.";
    yield { kind: 'error', place, text: `'${option}': ${path} has no certificate.`, advice };
    return;
  }
  for (const pem of found) {
    const certificate = parsedCertificate(pem);
    if (certificate === null) {
      const advice = 'Make the file anew.';
      yield { kind: 'error', place, text: `'${option}': a certificate of ${path} cannot be read.`, advice };
      continue;
    }
    const days = Math.floor((Date.parse(certificate.validTo) - now.getTime()) / DAY_MS);
    const advice = 'Have it renewed, then reload the broker (SIGHUP).';
    const subject = certificate.subject?.replaceAll('\n', ', ') ?? '';
    const what = `'${option}': the certificate ${subject} in ${path}`;
    if (days < 0) yield { kind: 'error', place, text: `${what} ended on ${certificate.validTo}.`, advice };
    else if (days < SOON_DAYS)
      yield { kind: 'doubtful', place, text: `${what} ends in ${days} days.`, advice };
    if (Date.parse(certificate.validFrom) > now.getTime()) {
      const clock = "Look at the machine's clock.";
      yield { kind: 'error', place, text: `${what} begins on ${certificate.validFrom}.`, advice: clock };
    }
  }
}

function parsedCertificate(pem: string): X509Certificate | null {
  try {
    return new X509Certificate(pem);
  } catch {
    return null;
  }
}

function* keyBelongs(
  { look }: Examined,
  certificateFile: string | undefined,
  keyFile: string | undefined,
  place: Place | undefined,
): Generator<Finding> {
  if (certificateFile === undefined || keyFile === undefined) return;
  const [certificate, key] = [look(certificateFile), look(keyFile)];
  if (certificate.kind !== 'file' || key.kind !== 'file') return;
  const [pem] = certificatesIn(certificate.bytes.toString('utf8'));
  const parsed = pem === undefined ? null : parsedCertificate(pem);
  if (parsed === null) return;
  try {
    if (parsed.checkPrivateKey(createPrivateKey(key.bytes))) return;
    const text = `The key in ${keyFile} does not belong to the certificate in ${certificateFile}.`;
    yield { kind: 'error', place, text, advice: 'Name the key with which the certificate was requested.' };
  } catch (error) {
    const text = `${keyFile} has no private key that can be read without a password: ${(error as Error).message}.`;
    yield { kind: 'error', place, text, advice: 'Name a key in PEM form, without a password.' };
  }
}

/** Rules for users who are not in the password file, and rules for anonymous clients where none is let in. */
function* rulesForNobody(examined: Examined, texts: ReadonlyMap<string, string>): Generator<Finding> {
  const checked = new Set<string>();
  for (const { settings } of listenersOf(examined)) {
    const { aclFile, passwordFile } = settings;
    const acl = aclFile === undefined ? undefined : texts.get(`acl_file ${aclFile}`);
    if (acl === undefined || checked.has(aclFile!)) continue;
    checked.add(aclFile!);
    const parsed = parseAclFile(aclFile!, acl);
    if (!parsed.ok) continue;
    const users = examined.settings.listeners.filter((listener) => listener.aclFile === aclFile);
    const oneSource = users.every(
      (listener) => listener.passwordFile === passwordFile && !hasOtherNames(listener),
    );
    const passwords = passwordFile === undefined ? undefined : texts.get(`password_file ${passwordFile}`);
    if (oneSource && passwords !== undefined) yield* unknownUsers(parsed.rules, passwordFile!, passwords);
    const first = parsed.rules.find(({ scope }) => scope.kind === 'anonymous');
    if (first !== undefined && users.every(({ allowAnonymous }) => !allowAnonymous)) {
      yield {
        kind: 'no effect',
        place: first,
        text: "Lines before the first 'user' are for clients without a user name, and these are refused.",
        advice: "For all users, write 'pattern' instead of 'topic'.",
      };
    }
  }
}

/** User names that come from elsewhere than the password file. */
function hasOtherNames(listener: Examined['settings']['listeners'][number]): boolean {
  const { useIdentityAsUsername, useSubjectAsUsername, enableProxyProtocol } = listener;
  return useIdentityAsUsername || useSubjectAsUsername || enableProxyProtocol === 2;
}

function* unknownUsers(rules: readonly AclRule[], passwordFile: string, text: string): Generator<Finding> {
  const parsed = parsePasswordFile(passwordFile, text);
  if (!parsed.ok) return;
  const named = new Set<string>();
  for (const { scope, file, line } of rules) {
    if (scope.kind !== 'user' || named.has(scope.username)) continue;
    named.add(scope.username);
    if (parsed.passwords.users.has(scope.username)) continue;
    yield {
      kind: 'no effect',
      place: { file, line },
      text: `The user '${scope.username}' is not in ${passwordFile}.`,
      advice: `mosquitto_passwd ${passwordFile} ${scope.username} adds it.`,
    };
  }
}

const secretLines = ['remote_password', 'local_password', 'bridge_psk'] as const;

function* secretsInConfig({ draft, look }: Examined): Generator<Finding> {
  const seen = new Set<string>();
  for (const bridge of draft.bridges) {
    const place = placeIn(bridge, secretLines);
    if (place === undefined || seen.has(place.file)) continue;
    seen.add(place.file);
    const found = look(place.file);
    if (found.kind !== 'file' || (found.mode & OTHERS_READ) === 0) continue;
    const text = `The password of bridge ${bridge.name} stands in a file that every user of this machine can read.`;
    yield {
      kind: 'weak',
      place,
      text,
      advice: `chmod 0640 ${place.file}, and give it the group of the broker's user.`,
    };
  }
}

/** Folders that have to be there before the broker starts. */
function* foldersToWrite({ settings, draft, look }: Examined): Generator<Finding> {
  for (const destination of settings.logDest) {
    if (destination.kind !== 'file') continue;
    const folder = dirname(destination.path);
    if (!isMissing(look(folder))) continue;
    const text = `'log_dest file': the folder ${folder} is not there.`;
    yield {
      kind: 'error',
      place: placeIn(draft.global, ['log_dest']),
      text,
      advice: "Make it, and give it to the broker's user.",
    };
  }
  const place = placeIn(draft.global, ['persistence_location']);
  const { persistence, persistenceLocation } = settings;
  if (!persistence || place === undefined || persistenceLocation === undefined) return;
  if (!persistenceLocation.startsWith('/')) {
    const text = `'persistence_location ${persistenceLocation}' depends on the folder in which the broker is started.`;
    yield { kind: 'doubtful', place, text, advice: 'Write a path that begins with /.' };
  } else if (look(persistenceLocation).kind === 'file') {
    const text = `'persistence_location': ${persistenceLocation} is a file.`;
    yield { kind: 'error', place, text, advice: 'Name a folder; persistence_file is the name in it.' };
  }
}

function isMissing(look: FileLook): boolean {
  return look.kind === 'unreadable' && !look.isHidden;
}
