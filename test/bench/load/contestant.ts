/** The brokers that are compared: each run starts one afresh, on a port and in a folder of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { freePort } from '../../support/network/free-port.js';

export interface Contestant {
  name: string;
  /** `{conf}`, `{port}` and `{dir}` are filled in. */
  command: readonly string[];
}

/** No limit that would drop or slow down messages. */
const configuration = `listener {port} 127.0.0.1
allow_anonymous true
max_queued_messages 0
max_inflight_messages 0
log_dest none
sys_interval 0
`;
const storeConfiguration = `persistence true
persistence_location {dir}/
`;

const startMs = 20_000;
const endMs = 15_000;
/** Between a broker's first answer and the load: what it does at its start is not what is measured. */
const settleMs = 500;

/** Brokers with their folders. Neither outlives this process. */
const running = new Map<ChildProcess, string>();
process.on('exit', () => {
  for (const [child, folder] of running) {
    child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
});

export class RunningBroker {
  readonly port: number;
  readonly #child: ChildProcess;
  readonly #folder: string;
  readonly #name: string;

  private constructor(name: string, child: ChildProcess, port: number, folder: string) {
    this.#name = name;
    this.#child = child;
    this.port = port;
    this.#folder = folder;
  }

  /** @throws if it does not accept connections, with what it wrote */
  static async start({ name, command }: Contestant, isStored: boolean): Promise<RunningBroker> {
    const port = await freePort();
    const folder = mkdtempSync(join(process.env.BENCH_FOLDER ?? tmpdir(), 'midge-bench-'));
    const conf = join(folder, 'broker.conf');
    const fill = (text: string) =>
      text.replaceAll('{port}', String(port)).replaceAll('{dir}', folder).replaceAll('{conf}', conf);
    // Root gives up its rights otherwise, and with them the folder.
    const user = process.getuid?.() === 0 ? 'user root\n' : '';
    writeFileSync(conf, user + fill(configuration + (isStored ? storeConfiguration : '')));
    const [program, ...args] = command.map(fill) as [string, ...string[]];
    const log = openSync(join(folder, 'output'), 'w');
    const child = spawn(program, args, { cwd: folder, stdio: ['ignore', log, log] });
    const broker = new RunningBroker(name, child, port, folder);
    running.set(child, folder);
    child.on('error', () => {}); // It does not accept connections then.
    try {
      await broker.#accepts();
      await wait(settleMs);
    } catch (error) {
      await broker.stop();
      throw error;
    }
    return broker;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  async #accepts(): Promise<void> {
    const deadline = performance.now() + startMs;
    while (!(await canConnect(this.port))) {
      const hasEnded =
        this.#child.pid === undefined || this.#child.exitCode !== null || this.#child.signalCode !== null;
      if (!hasEnded && performance.now() < deadline) {
        await wait(20);
        continue;
      }
      const output = readFileSync(join(this.#folder, 'output'), 'utf8').trim().slice(-500);
      throw new Error(`${this.#name} ${hasEnded ? 'has ended' : 'accepts no connections'}: ${output}`);
    }
  }

  async stop(): Promise<void> {
    const child = this.#child;
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) {
      const exit = once(child, 'exit');
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), endMs);
      await exit;
      clearTimeout(timer);
    }
    running.delete(child);
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function canConnect(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.on('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}
