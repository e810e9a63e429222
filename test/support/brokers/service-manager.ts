/** A service manager as a broker sees it: what it is told comes out line by line. */
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { makeFolder } from '../cleanup.js';
import { Program } from '../program.js';
import { python } from './debian.js';

/** Node cannot receive datagrams of Unix sockets. */
const receive = `
import json, socket, struct, sys
name = sys.argv[1]
receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
receiver.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
receiver.bind('\\0' + name[1:] if name.startswith('@') else name)
print('bound', flush=True)
while True:
    text, ancillary, _, _ = receiver.recvmsg(4096, socket.CMSG_SPACE(12))
    pid = struct.unpack('3i', ancillary[0][2])[0]
    print(json.dumps({'pid': pid, 'state': text.decode().split('\\n')}), flush=True)
`;

/** One message of sd_notify(3). */
export interface Notification {
  pid: number;
  state: string[];
}

export class ServiceManager {
  readonly socket: string;
  readonly #program: Program;

  private constructor(program: Program, socket: string) {
    this.#program = program;
    this.socket = socket;
  }

  /** @param isAbstract whether the socket has a name instead of a file */
  static async start(t: TestContext, { isAbstract = false } = {}): Promise<ServiceManager> {
    const path = join(makeFolder(t), 'notify');
    const socket = isAbstract ? `@${path}` : path;
    const program = new Program(t, 'the service manager', [python, '-c', receive, socket]);
    await program.waitForLine(/^bound$/);
    return new ServiceManager(program, socket);
  }

  /** Everything that it has been told. */
  get told(): Notification[] {
    return this.#program.stdout.slice(1).map((line) => JSON.parse(line) as Notification);
  }

  /** The first message with such a line, of those that come after `from` others. */
  async waitFor(line: RegExp, from = 0): Promise<Notification> {
    const text = await this.#program.waitForLine(new RegExp(`"${line.source}`), { from: from + 1 });
    return JSON.parse(text) as Notification;
  }
}
