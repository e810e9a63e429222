#!/usr/bin/env node
/** `mosquitto_passwd`: adds, changes and deletes the users of a password file. */
import * as fs from 'node:fs';
import { resolve } from 'node:path';
import type { ReadStream } from 'node:tty';
import {
  type CorruptLine,
  fittingSaltBytes,
  hashPlainPasswords,
  removeUser,
  setPassword,
} from '../../auth/password-file-edit.js';
import {
  argon2Fault,
  createPasswordHash,
  formatPasswordHash,
  type HashOptions,
} from '../../auth/password-hash.js';
import { encodingFault } from '../../base/foreign-encoding.js';
import { cLibraryErrorText } from '../../system/system-error.js';
import {
  characterFault,
  PASSWD_USAGE,
  type PasswdCommand,
  parsePasswdArguments,
  usernameFault,
} from './passwd-arguments.js';
import { PasswordPrompt } from './password-prompt.js';
import { createSecretFile, replaceSecretFile } from './replace-file.js';

/** Ends the program with one line on standard error. */
class Refusal extends Error {
  readonly exitCode: number;

  constructor(message: string, exitCode = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}

async function main(args: readonly string[]): Promise<number> {
  const command = parsePasswdArguments(args);
  switch (command.kind) {
    case 'usage':
      process.stdout.write(PASSWD_USAGE);
      return 1;
    case 'fault':
      throw new Refusal(command.message);
    case 'set':
      return command.create ? createFile(command) : updateUser(command);
    case 'delete':
      return deleteUser(command);
    case 'upgrade':
      return upgradeFile(command);
  }
}

type SetCommand = PasswdCommand & { kind: 'set' };

async function createFile(command: SetCommand): Promise<number> {
  const toStdout = command.file === '-';
  checkUsername(command.username);
  const password = await passwordOf(command, toStdout ? process.stderr : process.stdout);
  if (password === null) return 0;
  const line = `${command.username}:${await hash(password, command.hash)}\n`;
  if (toStdout) {
    process.stdout.write(line);
    return 0;
  }
  const path = resolve(command.file);
  try {
    createSecretFile(path, line);
  } catch (error) {
    throw new Refusal(`Error: Unable to open file ${path} for writing. ${cLibraryErrorText(error)}.`);
  }
  process.stdout.write(`Adding password for user ${command.username}\n`);
  return 0;
}

async function updateUser(command: SetCommand): Promise<number> {
  const { file, username } = command;
  checkUsername(username);
  const text = readFile(file); // Read before the prompt: nobody should type a password for a misspelt file.
  const password = await passwordOf(command, process.stdout);
  if (password === null) return 0;
  const hashed = await hash(password, { saltBytes: fittingSaltBytes(text), ...command.hash });
  const edited = intact(setPassword(text, { username, hash: hashed }));
  writeFile(file, edited.text);
  process.stdout.write(`${edited.added ? 'Adding' : 'Updating'} password for user ${username}\n`);
  return 0;
}

function deleteUser({ file, username }: PasswdCommand & { kind: 'delete' }): number {
  const fault = characterFault(username);
  if (fault !== null) throw new Refusal(fault);
  const edited = intact(removeUser(readFile(file), username));
  if (!edited.found) throw new Refusal(`Warning: User ${username} not found in password file.`);
  writeFile(file, edited.text);
  return 0;
}

async function upgradeFile(command: PasswdCommand & { kind: 'upgrade' }): Promise<number> {
  const text = readFile(command.file);
  const options = { saltBytes: fittingSaltBytes(text), ...command.hash };
  const edited = intact(await hashPlainPasswords(text, (password) => hash(Buffer.from(password), options)));
  if (edited.text !== text) writeFile(command.file, edited.text);
  return 0;
}

function checkUsername(username: string): void {
  const message = usernameFault(username);
  if (message !== null) throw new Refusal(message);
}

/** @returns null when the user pressed Ctrl-C */
async function passwordOf(command: SetCommand, output: NodeJS.WriteStream): Promise<Uint8Array | null> {
  const password = command.password === null ? await askTwice(output) : Buffer.from(command.password);
  if (password?.length === 0) throw new Refusal('Error: Empty password.');
  return password;
}

async function askTwice(output: NodeJS.WriteStream): Promise<Uint8Array | null> {
  const prompt = new PasswordPrompt(process.stdin as ReadStream, output);
  const first = await prompt.ask('Password: ');
  if (first === null || first.length === 0) return first;
  const second = await prompt.ask('Reenter password: ');
  if (second === null) return null;
  if (!first.equals(second)) throw new Refusal('Error: Passwords do not match.', 2);
  return first;
}

async function hash(password: Uint8Array, options: HashOptions): Promise<string> {
  const fault = options.algorithm === 'argon2id' ? await argon2Fault() : null;
  if (fault !== null) throw new Refusal(`Error: ${fault}.`);
  return formatPasswordHash(await createPasswordHash(password, options));
}

function readFile(file: string): string {
  let bytes: Buffer;
  try {
    bytes = fs.readFileSync(file);
  } catch (error) {
    throw new Refusal(`Error: Unable to open password file ${file}. ${cLibraryErrorText(error)}.`);
  }
  const encodedOtherwise = encodingFault('Password file', file, bytes);
  if (encodedOtherwise !== null) throw new Refusal(`${encodedOtherwise.error}\n${encodedOtherwise.help}`);
  const text = bytes.toString('utf8');
  // Bytes that are not UTF-8 would be changed when the file is written again.
  if (!Buffer.from(text).equals(bytes)) throw new Refusal(`Error: Password file ${file} is not valid UTF-8.`);
  return text;
}

function writeFile(file: string, text: string): void {
  try {
    replaceSecretFile(file, text);
  } catch (error) {
    throw new Refusal(`Error: Unable to write password file ${file}. ${cLibraryErrorText(error)}.`);
  }
}

function intact<Edited>(edited: Edited | CorruptLine): Exclude<Edited, CorruptLine> {
  const { corruptLine } = edited as Partial<CorruptLine>;
  if (corruptLine !== undefined) throw new Refusal(`Error: Corrupt password file at line ${corruptLine}.`);
  return edited as Exclude<Edited, CorruptLine>;
}

void main(process.argv.slice(2)).then(
  (exitCode) => {
    process.exitCode = exitCode;
  },
  (error) => {
    if (!(error instanceof Refusal)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = error.exitCode;
  },
);
