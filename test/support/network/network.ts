/**
 * Networks of a test's own, on Linux as root: two namespaces with a cable between them that can be pulled. Nothing
 * else of the machine is touched. What runs in a namespace is reached through unix sockets.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import type { TestContext } from 'node:test';
import { afterTest } from '../cleanup.js';
import { freePort } from './free-port.js';

const IP = '/usr/sbin/ip';

/** Why there can be no namespaces here, or false. */
export function skipWithoutNamespaces(): string | false {
  if (!existsSync(IP)) return `${IP} is not installed`;
  const name = `midge-${process.pid}-try`;
  const isAllowed = spawnSync(IP, ['netns', 'add', name]).status === 0;
  if (isAllowed) spawnSync(IP, ['netns', 'delete', name]);
  return isAllowed ? false : 'network namespaces are not allowed here';
}

export interface Network {
  /** Put before a command to run it there. */
  prefix: readonly string[];
  address: string;
}

let count = 0;

export class Cable {
  readonly near: Network;
  readonly far: Network;

  private constructor(near: string, far: string) {
    this.near = { prefix: [IP, 'netns', 'exec', near], address: '10.0.0.1' };
    this.far = { prefix: [IP, 'netns', 'exec', far], address: '10.0.0.2' };
  }

  static lay(t: TestContext): Cable {
    count += 1;
    const names = ['near', 'far'].map((end) => `midge-${process.pid}-${count}-${end}`) as [string, string];
    for (const name of names) {
      ip('netns', 'add', name);
      // Takes the cable's end with it.
      afterTest(t, () => ip('netns', 'delete', name));
    }
    const [near, far] = names;
    ip('-n', near, 'link', 'add', 'cable', 'type', 'veth', 'peer', 'name', 'cable', 'netns', far);
    const cable = new Cable(near, far);
    for (const [name, { address }] of [
      [near, cable.near],
      [far, cable.far],
    ] as const) {
      ip('-n', name, 'address', 'add', `${address}/24`, 'dev', 'cable');
      ip('-n', name, 'link', 'set', 'cable', 'up');
    }
    return cable;
  }

  /** Silence: no connection is closed, nothing arrives any more. */
  pull(): void {
    this.#setFarEnd('down');
  }

  plugIn(): void {
    this.#setFarEnd('up');
  }

  #setFarEnd(state: 'up' | 'down'): void {
    const [command, ...args] = [...this.far.prefix, IP, 'link', 'set', 'cable', state];
    run(command!, args);
  }
}

/** @returns a port on the loopback interface that leads to a unix socket */
export async function openPort(t: TestContext, path: string): Promise<number> {
  const server = createServer((socket) => {
    const onward = connect(path);
    afterTest(t, () => onward.destroy());
    for (const [from, to] of [
      [socket, onward],
      [onward, socket],
    ] as const) {
      from.on('error', () => {});
      from.on('close', () => to.destroy());
      from.pipe(to);
    }
  });
  const port = await freePort();
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  afterTest(t, () => server.close());
  return port;
}

function ip(...args: string[]): void {
  run(IP, args);
}

function run(command: string, args: string[]): void {
  const { status, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr}`);
}
