/**
 * Debian's MQTT programs in tests: mosquitto_pub, mosquitto_sub, mosquitto_rr, and Python with paho. Where one of
 * them is missing a test is skipped on a developer's machine and fails in CI.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import type { TestContext } from 'node:test';
import { Program, type ProgramOptions } from '../program.js';
import { patienceMs } from '../within.js';
import type { Broker } from './broker.js';

export const python = '/usr/bin/python3';

/** What a missing program throws; {@link skipWithout} asks before. */
export function requireProgram(path: string): void {
  if (!existsSync(path)) throw new Error(`${path} is missing; .ci/run tells how to install it.`);
}

/**
 * For the options of `test` or `describe`: why the test cannot run here, or false. In CI it always runs, and a
 * missing program is a failure.
 */
export function skipWithout(...paths: string[]): string | false {
  const missing = paths.filter((path) => !existsSync(path));
  if (missing.length === 0 || process.env.CI !== undefined) return false;
  return `${missing.join(', ')} not installed`;
}

/** For the options of `test`: why a test with Python's paho cannot run here, or false. */
export function skipWithoutPaho(): string | false {
  const skip = skipWithout(python);
  if (skip !== false || process.env.CI !== undefined) return skip;
  const { status } = spawnSync(python, ['-c', 'import paho.mqtt.client']);
  return status === 0 ? false : 'paho for Python is not installed';
}

/** The name of one of Debian's clients, without the path. */
export type ClientName = 'mosquitto_pub' | 'mosquitto_sub' | 'mosquitto_rr';

/** A client of Debian's, connecting to a test's broker. */
export class DebianClient extends Program {
  /** What it printed of messages: its standard output without the debug lines of `-d`. */
  get messages(): string[] {
    return this.stdout.filter((line) => !debugLine.test(line));
  }

  /** @returns the printed messages, once there are `count` of them. */
  async waitForMessages(count: number, timeoutMs = patienceMs): Promise<string[]> {
    const enough = () => (this.messages.length >= count ? this.messages : undefined);
    return this.waitUntil(enough, `${count} messages`, timeoutMs);
  }

  /** @returns the printed messages, once the last of them is `text`. */
  async waitForMessage(text: string, timeoutMs = patienceMs): Promise<string[]> {
    const found = () => (this.messages.at(-1) === text ? this.messages : undefined);
    return this.waitUntil(found, `the message "${text}"`, timeoutMs);
  }
}

const debugLine = /^(Client \S+ (sending|received) |Subscribed \(mid: )/;

/**
 * Starts one of Debian's clients.
 *
 * @param args its arguments, without the port: that is the broker's.
 */
export function startClient(
  t: TestContext,
  broker: Broker,
  name: ClientName,
  args: readonly string[],
  options?: ProgramOptions,
): DebianClient {
  const path = `/usr/bin/${name}`;
  requireProgram(path);
  // A C program's output to a pipe waits for a full buffer; stdbuf makes it come line by line.
  const command = ['/usr/bin/stdbuf', '-oL', path, '-h', '127.0.0.1', '-p', String(broker.port), ...args];
  return new DebianClient(t, name, command, options);
}

/** Runs one of Debian's clients to its end. @throws unless it ends with `code`. */
export async function runClient(
  t: TestContext,
  broker: Broker,
  name: ClientName,
  args: readonly string[],
  { code = 0, ...options }: ProgramOptions & { code?: number } = {},
): Promise<DebianClient> {
  const client = startClient(t, broker, name, args, options);
  const end = await client.waitForEnd();
  if (end.code !== code)
    throw new Error(`${name} ${args.join(' ')}: exit code ${code} wanted.\n${client.tail()}`);
  return client;
}

/** mosquitto_pub, run to its successful end. */
export function publish(t: TestContext, broker: Broker, ...args: string[]): Promise<DebianClient> {
  return runClient(t, broker, 'mosquitto_pub', args);
}

/** mosquitto_sub, started. @returns when the broker has confirmed its subscriptions. */
export async function subscribe(t: TestContext, broker: Broker, ...args: string[]): Promise<DebianClient> {
  const client = startClient(t, broker, 'mosquitto_sub', ['-d', ...args]);
  await client.waitForLine(/^Subscribed \(mid: /);
  return client;
}

/**
 * Runs a Python script with the broker's port as its first argument.
 *
 * @throws with its traceback unless it ends with 0.
 */
export async function runPython(
  t: TestContext,
  broker: Broker,
  script: string,
  ...args: string[]
): Promise<void> {
  requireProgram(python);
  const program = new Program(t, 'python3', [python, script, String(broker.port), ...args]);
  // Longer than any waiting of the script, which says what it is that did not come.
  const end = await program.waitForEnd(3 * patienceMs);
  if (end.code !== 0) throw new Error(`The Python script failed: ${program.tail()}`);
}
