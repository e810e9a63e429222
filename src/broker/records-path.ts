/** Messages of other workers and of main, packed into records. */
import type { Publication } from '../mqtt/publication.js';
import { RecordFlag, unpackRecords } from '../routing/wire.js';
import type { Broker } from './broker.js';
import { deliverLocally, deliverToMember, routePublication } from './route-publication.js';

/** Characters of a topic in a log line. */
const TOPIC_SHOWN = 100;

function ignore(): void {}

/**
 * Works off what another worker, or main, sent.
 * @param everywhere pass it on to all workers
 * @param failed called for each message that is not delivered as a whole, because this broker failed over it
 * @param passedOn called with each worker that gets a shared group's message because nobody here may read it
 */
export function receiveRecords(
  broker: Broker,
  records: Uint8Array,
  everywhere: boolean,
  failed: () => void = ignore,
  passedOn: (worker: number) => void = ignore,
): void {
  broker.refreshNow();
  const receive = (publication: Publication, what: number, groupKey: string, asked: number): void => {
    const route = broker.routes.route(publication.buffer, publication.topicStart, publication.topicEnd);
    if (route === null) return;
    publication.topic = route.topic;
    if ((what & RecordFlag.group) !== 0) {
      const worker = receiveForGroup(broker, publication, groupKey, asked);
      if (worker !== undefined) passedOn(worker);
      return;
    }
    if (everywhere) {
      routePublication(broker, route, publication, null);
      return;
    }
    if ((what & RecordFlag.setRetained) !== 0) broker.setRetained(publication);
    if ((what & RecordFlag.deliver) !== 0) deliverLocally(broker, route, publication, null);
  };
  unpackRecords(records, broker.linked, receive, (error) => {
    const { topic } = broker.linked;
    broker.guard.caught(error, { from: `the topic ${topic.slice(0, TOPIC_SHOWN)}`, what: 'a message' });
    failed();
  });
}

/**
 * A message for one of the members of a shared group here. Where none of them may read it, or the last one left
 * while it was on its way, each of the other workers with members is asked in turn, once.
 * @returns the worker that gets it now
 */
function receiveForGroup(
  broker: Broker,
  publication: Publication,
  groupKey: string,
  asked: number,
): number | undefined {
  const group = broker.routes.group(groupKey);
  const member = group?.nextLocal(publication.topic);
  if (member === undefined) {
    const worker = group?.nextElsewhere(asked);
    if (worker === undefined) return undefined;
    const dropped = broker.cluster.forwardToGroup(publication, worker, groupKey, asked);
    if (dropped > 0) broker.droppedCongested(dropped);
    return worker;
  }
  const { once } = publication;
  if (once === null || broker.store.isNewTo(groupKey, once)) deliverToMember(broker, publication, member);
  return undefined;
}
