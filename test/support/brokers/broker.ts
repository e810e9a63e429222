/**
 * Starts a broker for a test: Midge as built beside the tests, or Debian's Mosquitto as the living reference. Each
 * gets a folder and a port of its own on the loopback interface and ends with its test.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { afterTest, type Lifetime, makeFolder, shareInSuite } from '../cleanup.js';
import { freePort } from '../network/free-port.js';
import { Program } from '../program.js';
import { midgeCommand } from '../project.js';
import { requireProgram } from './debian.js';

export interface BrokerOptions {
  /**
   * Lines of the configuration file. `{port}` and `{folder}` are replaced by the broker's own. Without a
   * `listener` line the usual one is put before them.
   */
  config?: string;
  /** Further arguments, with the same replacements. */
  args?: readonly string[];
  /** Midge only: `worker_threads`. */
  workers?: number;
  env?: Record<string, string>;
  /** Midge only: put before its command. */
  prefix?: readonly string[];
}

/** Whether tests of {@link withBrokers} run against Debian's Mosquitto instead of Midge. */
export const isReference = process.env.TEST_BROKER === 'mosquitto';

const mosquittoProgram = '/usr/sbin/mosquitto';
/** Subtests at once: most of their time is waiting. */
const concurrency = 4;
const openListener = 'listener {port} 127.0.0.1\nallow_anonymous true';

/** What a broker is started with. */
interface Launch {
  command: readonly string[];
  env: Record<string, string>;
  port: number;
  folder: string;
}

/** A running broker. */
export class Broker {
  readonly port: number;
  /** A folder of its own, removed with the test. */
  readonly folder: string;
  readonly program: Program;
  readonly #launch: Launch;

  private constructor(program: Program, launch: Launch) {
    this.program = program;
    this.port = launch.port;
    this.folder = launch.folder;
    this.#launch = launch;
  }

  /** @returns when it is running. @throws with its log when it does not start. */
  static async start(t: Lifetime, launch: Launch): Promise<Broker> {
    const program = new Program(t, 'broker', launch.command, { env: launch.env });
    await program.waitForLine(/version \S+ running$/);
    const broker = new Broker(program, launch);
    afterTest(t, () => stopAtEnd(broker));
    return broker;
  }

  /** Starts it once more, with the same folder, port and configuration. It has to have ended before. */
  startAgain(t: Lifetime): Promise<Broker> {
    return Broker.start(t, this.#launch);
  }

  /** As {@link startAgain}, and kills it so many milliseconds later, running or not. */
  async startAndKill(t: Lifetime, ms: number): Promise<void> {
    const program = new Program(t, 'broker', this.#launch.command, { env: this.#launch.env });
    await delay(ms);
    if (program.end !== undefined) throw new Error(`The broker did not start.\n${program.tail()}`);
    await program.kill();
  }

  get pid(): number {
    return this.program.pid;
  }

  /** Its log so far. */
  get log(): readonly string[] {
    return this.program.lines;
  }

  /** @see Program.waitForLine */
  waitForLog(pattern: RegExp, options?: { from?: number; timeoutMs?: number }): Promise<string> {
    return this.program.waitForLine(pattern, options);
  }

  /** Stops it in good order. @returns its exit code. @throws when it was ended by a signal or does not end. */
  async stop(): Promise<number> {
    this.program.signal('SIGTERM');
    const { code } = await this.program.waitForEnd();
    if (code === null) throw new Error(`The broker was killed.\n${this.program.tail()}`);
    return code;
  }

  /** As a power cut would. */
  kill(): Promise<void> {
    return this.program.kill();
  }
}

/** The command of the broker under test, for what does not come to run: its exit code is 1 or 3, its log on stderr. */
export function brokerCommand(): string[] {
  return isReference ? [mosquittoProgram] : [...midgeCommand];
}

/** Starts Midge. @returns when it is running. @throws with its log when it does not start. */
export function startBroker(t: Lifetime, options: BrokerOptions = {}): Promise<Broker> {
  const { workers, config = '', prefix = [] } = options;
  const ownLines = workers === undefined ? '' : `worker_threads ${workers}`;
  return start(t, [...prefix, ...midgeCommand], {
    ...options,
    config: `${ownLines}\n${config}`,
  });
}

/** Starts Debian's Mosquitto with the same configuration, where it has the options. */
export function startMosquitto(t: Lifetime, options: Omit<BrokerOptions, 'workers'> = {}): Promise<Broker> {
  requireProgram(mosquittoProgram);
  return start(t, [mosquittoProgram], options);
}

async function start(t: Lifetime, command: readonly string[], options: BrokerOptions): Promise<Broker> {
  const folder = makeFolder(t);
  const port = await freePort();
  const fill = (text: string) => text.replaceAll('{port}', String(port)).replaceAll('{folder}', folder);

  const config = options.config ?? '';
  const configFile = join(folder, 'broker.conf');
  const listening = /^\s*listener\s/m.test(config) ? config : `${openListener}\n${config}`;
  writeFileSync(configFile, fill(/^user /m.test(config) ? listening : `user root\n${listening}`));
  const args = ['-c', configFile, ...(options.args ?? []).map(fill)];
  return Broker.start(t, { command: [...command, ...args], env: options.env ?? {}, port, folder });
}

/** A broker that the test has not stopped itself must still be alive, and end as it should. */
async function stopAtEnd(broker: Broker): Promise<void> {
  const { end } = broker.program;
  if (end !== undefined) {
    if (end.code === 0 || end.signal === 'SIGKILL') return;
    throw new Error(`The broker ended during the test.\n${broker.program.tail()}`);
  }
  const code = await broker.stop();
  if (code !== 0) throw new Error(`The broker ended with code ${code}.\n${broker.program.tail()}`);
}

/**
 * Registers a test that runs with one worker and with three; where it is about an option of the configuration, with
 * three only, which is the harder case. With TEST_BROKER=mosquitto in the environment it runs once, against Debian's
 * Mosquitto: a test that fails there expects something Mosquitto does not do.
 *
 * @param options as for {@link startBroker}, and why the test cannot run here (`skip`), if so.
 */
export function withBrokers(
  name: string,
  fn: (t: TestContext, broker: Broker) => Promise<void>,
  { skip = false, ...options }: Omit<BrokerOptions, 'workers'> & { skip?: string | false } = {},
): void {
  if (isReference) {
    test(`${name} [Mosquitto]`, { skip, concurrency }, async (t) => fn(t, await startMosquitto(t, options)));
    return;
  }
  for (const workers of options.config === undefined ? [1, 3] : [3]) {
    const title = `${name} [${workers} ${workers === 1 ? 'worker' : 'workers'}]`;
    test(title, { skip, concurrency }, async (t) => fn(t, await startBroker(t, { ...options, workers })));
  }
}

/** Cases of {@link withSharedBroker} by their names. */
export type SharingCases = Record<string, (t: TestContext, broker: Broker) => Promise<void>>;

/**
 * Registers tests whose options do not touch each other: one broker with three workers has all of them, and the tests
 * run on it one after another. Each keeps to client ids and topics of its own.
 */
export function withSharedBroker(
  title: string,
  options: Omit<BrokerOptions, 'workers'> & { skip?: string | false },
  cases: SharingCases,
): void {
  const { skip = false, ...brokerOptions } = options;
  describe(title, { skip, concurrency: 1 }, () => {
    const shared = shareInSuite(title, (suite) =>
      isReference
        ? startMosquitto(suite, brokerOptions)
        : startBroker(suite, { ...brokerOptions, workers: 3 }),
    );
    for (const [name, run] of Object.entries(cases)) test(name, async (t) => run(t, await shared()));
  });
}
