/**
 * While stored sessions cannot be read, any of them may want any message. They count as a worker that subscribes to
 * everything, stores it, and never says that it has: QoS 1 and 2 messages are delivered to whoever is there and not
 * acknowledged. What is sent to it is gone at once.
 */
import type { FlushList } from '../mqtt/outgoing-buffer.js';
import { type Cluster, WORKERS_MAX } from './cluster.js';
import { Link } from './link.js';
import type { LinkMessage } from './messages.js';
import type { RouteTable } from './route-table.js';

/** Its number; a worker has it only if there are as many as there can be. */
const NUMBER = WORKERS_MAX - 1;

export function awaitUnknownSessions(cluster: Cluster, routes: RouteTable, flushList: FlushList): void {
  const port = {
    postMessage: (message: LinkMessage): void => {
      if (message.kind === 'batch') link.credit(message.records.length);
      else if (message.kind === 'interest') cluster.confirmed(NUMBER, message.sequence);
    },
  };
  const link: Link = new Link(NUMBER, port, flushList, () => {});
  cluster.add(link);
  routes.setRemote(NUMBER, ['#', 1, true]);
}
