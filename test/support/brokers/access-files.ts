/** Password, ACL and key files for tests of access. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createPasswordHash, formatPasswordHash, type HashOptions } from '../../../src/auth/password-hash.js';
import type { Broker } from './broker.js';

/** Only its owner may read it. @returns its path */
export function writeSecret(folder: string, name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
}

export type Users = Readonly<Record<string, string>>;

/** @param users password by name @returns the path */
export async function writePasswords(
  folder: string,
  users: Users,
  options: HashOptions = { algorithm: 'sha512-pbkdf2', iterations: 10 },
): Promise<string> {
  const lines: string[] = [];
  for (const [name, password] of Object.entries(users)) {
    lines.push(`${name}:${formatPasswordHash(await createPasswordHash(Buffer.from(password), options))}`);
  }
  return writeSecret(folder, 'passwords', `${lines.join('\n')}\n`);
}

/** The same broker on another of its ports. */
export function onPort(broker: Broker, port: number): Broker {
  return Object.assign(Object.create(broker) as Broker, { port });
}

/** Sends SIGHUP. @returns the lines that the broker wrote about it */
export async function reload(broker: Broker): Promise<string[]> {
  const from = broker.log.length;
  broker.program.signal('SIGHUP');
  await broker.waitForLog(/: (Changed: |Read with changes: |No option and no file|.*nothing was changed)/, {
    from,
  });
  const lines = broker.log.slice(from).map((line) => line.replace(/^\d+: /, ''));
  return lines.slice(lines.indexOf('Reloading config.'));
}

/** Tests of privileges need it. */
export const isRoot = process.getuid?.() === 0;
