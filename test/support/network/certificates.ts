/** Certificates for a test, made with the openssl command. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Certificates {
  /** The authority, and another one that nobody trusts. */
  authority: string;
  otherAuthority: string;
  /** A folder with the authority under its hash. */
  authorityFolder: string;
  /** For localhost and 127.0.0.1, and for another host. */
  server: KeyPair;
  otherHost: KeyPair;
  client: KeyPair;
}

export interface KeyPair {
  certificate: string;
  key: string;
}

/** Writes them to the folder. */
export function makeCertificates(folder: string): Certificates {
  const authority = makeAuthority(folder, 'authority');
  const otherAuthority = makeAuthority(folder, 'other-authority');
  const authorityFolder = join(folder, 'authorities');
  mkdirSync(authorityFolder);
  const hash = openssl('x509', '-hash', '-noout', '-in', authority.certificate).trim();
  writeFileSync(join(authorityFolder, `${hash}.0`), openssl('x509', '-in', authority.certificate));
  return {
    authority: authority.certificate,
    otherAuthority: otherAuthority.certificate,
    authorityFolder,
    server: sign(folder, authority, 'localhost', 'DNS:localhost,IP:127.0.0.1'),
    otherHost: sign(folder, authority, 'other.example', 'DNS:other.example'),
    client: sign(folder, authority, 'client', 'DNS:client'),
  };
}

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

/** @param subject its own name if it is not that of the files */
export function makeAuthority(folder: string, name: string, newKey = NEW_KEY, subject = name): KeyPair {
  const pair = { certificate: join(folder, `${name}.crt`), key: join(folder, `${name}.key`) };
  const made = ['-keyout', pair.key, '-out', pair.certificate, '-subj', `/CN=${subject}`];
  openssl('req', '-x509', ...newKey, ...made);
  return pair;
}

/** @param extensions further lines for the certificate */
export function sign(
  folder: string,
  authority: KeyPair,
  name: string,
  alternativeNames: string,
  extensions = '',
): KeyPair {
  const pair = { certificate: join(folder, `${name}.crt`), key: join(folder, `${name}.key`) };
  const request = join(folder, `${name}.csr`);
  const extensionsFile = join(folder, `${name}.ext`);
  writeFileSync(extensionsFile, `subjectAltName=${alternativeNames}\n${extensions}\n`);
  openssl('req', ...NEW_KEY, '-keyout', pair.key, '-out', request, '-subj', `/CN=${name}`);
  const signer = ['-CA', authority.certificate, '-CAkey', authority.key, '-CAcreateserial', '-days', '2'];
  openssl('x509', '-req', '-in', request, ...signer, '-out', pair.certificate, '-extfile', extensionsFile);
  return pair;
}

export function openssl(...args: string[]): string {
  return execFileSync('openssl', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

export interface BadClients {
  /** Signed by an authority that is not trusted. */
  foreign: KeyPair;
  expired: KeyPair;
  /** Expired, and signed by an authority that is not trusted. */
  foreignExpired: KeyPair;
  revoked: KeyPair;
  /** The list that names the revoked one. */
  revocations: string;
}

/** Client certificates with which something is wrong, made in the folder of `makeCertificates`. */
export function makeBadClients(folder: string): BadClients {
  const authority = { certificate: join(folder, 'authority.crt'), key: join(folder, 'authority.key') };
  const other = {
    certificate: join(folder, 'other-authority.crt'),
    key: join(folder, 'other-authority.key'),
  };
  const revoked = sign(folder, authority, 'revoked', 'DNS:revoked');
  const config = makeRegister(folder);
  const register = ['-config', config, '-cert', authority.certificate, '-keyfile', authority.key];
  openssl('ca', ...register, '-revoke', revoked.certificate);
  const revocations = join(folder, 'revocations.crl');
  openssl('ca', ...register, '-gencrl', '-crldays', '2', '-out', revocations);
  return {
    foreign: sign(folder, other, 'foreign', 'DNS:foreign'),
    expired: signExpired(folder, config, authority, 'expired'),
    foreignExpired: signExpired(folder, config, other, 'foreign-expired'),
    revoked,
    revocations,
  };
}

/** What `openssl ca` needs to keep books, in the folder. @returns the path of its configuration */
export function makeRegister(folder: string): string {
  const config = join(folder, 'register.conf');
  const lines = [
    '[ca]',
    'default_ca = register',
    '[register]',
    `database = ${folder}/register.txt`,
    `serial = ${folder}/register.serial`,
    `new_certs_dir = ${folder}`,
    'default_md = sha256',
    'policy = any',
    '[any]',
    'commonName = supplied',
  ];
  writeFileSync(config, `${lines.join('\n')}\n`);
  writeFileSync(join(folder, 'register.txt'), '');
  writeFileSync(join(folder, 'register.serial'), '1000\n');
  return config;
}

function signExpired(folder: string, config: string, authority: KeyPair, name: string): KeyPair {
  const pair = { certificate: join(folder, `${name}.crt`), key: join(folder, `${name}.key`) };
  const request = join(folder, `${name}.csr`);
  openssl('req', ...NEW_KEY, '-keyout', pair.key, '-out', request, '-subj', `/CN=${name}`);
  const signer = ['-config', config, '-cert', authority.certificate, '-keyfile', authority.key];
  const dates = ['-startdate', '20200101000000Z', '-enddate', '20200201000000Z'];
  openssl('ca', '-batch', '-notext', ...signer, ...dates, '-in', request, '-out', pair.certificate);
  return pair;
}
