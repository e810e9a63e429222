/** Publishes the `$SYS` tree every `sys_interval` seconds, on seconds divisible by it. */
import { Publication } from '../../mqtt/publication.js';
import { packedRecords, RecordFlag } from '../../routing/wire.js';
import { type SysReadings, SysTree } from '../../sys/sys-tree.js';
import type { Supervisor } from './supervisor.js';

export interface SysSource {
  supervisor: Supervisor;
  /** Connections accepted since the start. */
  sockets: () => number;
  /** Figures of the store, by topic below `$SYS/broker/`. */
  store: () => Readonly<Record<string, string | number>>;
}

export class SysPublisher {
  readonly #source: SysSource;
  readonly #tree: SysTree;
  #intervalSeconds = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(source: SysSource, version: string) {
    this.#source = source;
    this.#tree = new SysTree(version, Date.now());
  }

  /** Begins, or goes on at another pace; 0 = no `$SYS` at all. */
  start(intervalSeconds: number): void {
    const first = this.#intervalSeconds === 0;
    this.stop();
    this.#intervalSeconds = intervalSeconds;
    if (intervalSeconds === 0) return;
    if (first) this.#publish();
    this.#wait();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  /** No worker is left that has the tree: it is published as a whole. */
  republish(): void {
    if (this.#intervalSeconds === 0) return;
    this.#tree.forget();
    this.#publish();
  }

  /** What the tree would show now, as numbers by topic; also where `sys_interval 0` publishes nothing. */
  numbers(): Record<string, number> {
    return this.#tree.numbers(this.#read(), Date.now());
  }

  #wait(): void {
    const interval = this.#intervalSeconds * 1000;
    this.#timer = setTimeout(
      () => {
        this.#publish();
        this.#wait();
      },
      interval - (Date.now() % interval),
    );
    this.#timer.unref();
  }

  #publish(): void {
    const updates = this.#tree.update(this.#read(), Date.now());
    if (updates.length === 0) return;
    const messages = updates.map(([topic, value]) =>
      Publication.create({ topic, payload: Buffer.from(value), qos: 2, retain: true }),
    );
    this.#source.supervisor.publish(packedRecords(messages, RecordFlag.deliver | RecordFlag.setRetained));
  }

  #read(): SysReadings {
    const { supervisor, sockets, store } = this.#source;
    return {
      clientsTotal: supervisor.clients,
      clientsConnected: supervisor.count('connections'),
      clientsExpired: supervisor.count('sessionsExpired'),
      packetsReceived: supervisor.count('packetsReceived'),
      packetsSent: supervisor.count('packetsSent'),
      storedMessages: supervisor.retainedMessages + supervisor.count('storedMessages'),
      storedBytes: supervisor.count('storedBytes'),
      subscriptions: supervisor.count('subscriptions'),
      sharedSubscriptions: supervisor.count('sharedSubscriptions'),
      retainedMessages: supervisor.retainedMessages,
      bytesReceived: supervisor.count('bytesReceived'),
      bytesSent: supervisor.count('bytesSent'),
      publishReceived: supervisor.count('publishReceived'),
      publishSent: supervisor.count('publishSent'),
      publishDropped: supervisor.count('publishDropped'),
      publishBytesReceived: supervisor.count('publishBytesReceived'),
      publishBytesSent: supervisor.count('publishBytesSent'),
      waitingPackets: supervisor.count('waitingPackets'),
      waitingBytes: supervisor.count('waitingBytes'),
      sockets: sockets(),
      connects: supervisor.count('connects'),
      heapBytes: process.memoryUsage.rss(),
      store: store(),
      dropped: {
        queue_full: supervisor.count('dropQueueFull'),
        too_large: supervisor.count('dropTooLarge'),
        expired: supervisor.count('dropExpired'),
        backlog: supervisor.count('dropBacklog'),
        congested: supervisor.count('dropCongested'),
        memory: supervisor.count('dropMemory'),
      },
    };
  }
}
