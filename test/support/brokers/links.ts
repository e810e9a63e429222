/** Ports and links between workers that live in one thread: what is posted waits until the test delivers it. */
import { FlushList } from '../../../src/mqtt/outgoing-buffer.js';
import { Publication } from '../../../src/mqtt/publication.js';
import { Link } from '../../../src/routing/link.js';
import type { LinkMessage } from '../../../src/routing/messages.js';
import { unpackRecords } from '../../../src/routing/wire.js';

export class TestPort {
  readonly posted: LinkMessage[] = [];
  /** Bytes of batches for which no credit has come back. */
  owedBytes = 0;

  postMessage(message: LinkMessage, transfer?: readonly unknown[]): void {
    if (message.kind === 'batch') this.owedBytes += message.records.length;
    // As a real port does: what is transferred is gone here.
    this.posted.push(structuredClone(message, { transfer: [...(transfer ?? [])] as ArrayBuffer[] }));
  }

  /** What was posted since the last call. */
  take(): LinkMessage[] {
    return this.posted.splice(0);
  }

  /** The topics of the records in the batches posted since the last call. */
  takeTopics(): string[] {
    const topics: string[] = [];
    for (const message of this.take()) {
      if (message.kind !== 'batch') continue;
      unpackRecords(message.records, new Publication(), ({ buffer, topicStart, topicEnd }) =>
        topics.push(Buffer.from(buffer.subarray(topicStart, topicEnd)).toString()),
      );
    }
    return topics;
  }
}

export interface TestLink {
  link: Link;
  port: TestPort;
  /** Ends the turn of the event loop. */
  flush(): void;
}

/** @param relieved called when the link has room again */
export function testLink(worker: number, relieved = (): void => {}): TestLink {
  const port = new TestPort();
  const flushList = new FlushList(() => {});
  const link = new Link(worker, port as ConstructorParameters<typeof Link>[1], flushList, relieved);
  return { link, port, flush: () => flushList.flushAll() };
}

/** Puts so much on the link that it is congested. */
export function congest({ link, flush }: TestLink): void {
  const payload = Buffer.alloc(1024 * 1024);
  const large = Publication.create({ topic: 'large', payload, qos: 1, retain: false });
  while (!link.congested) {
    link.publish(large, 0, '');
    flush();
  }
}

/** The other worker has worked off all that was sent to it. */
export function relieve({ link, port }: TestLink): void {
  const bytes = port.owedBytes;
  port.owedBytes = 0;
  link.credit(bytes);
}
