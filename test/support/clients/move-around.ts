/** A client that connects again and again, and so comes to every worker, while its session stays where it is. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { Broker } from '../brokers/broker.js';
import { RawClient } from './raw-client.js';

/** More than there are workers, so that the client moves between them. */
export const moves = 7;

const sessionTakenOver = 0x8e;

/**
 * Large messages reach the client, `mover`, and come from it, after each move.
 *
 * @param way on which the client connects
 * @param publisherWay on which the publisher of what it gets connects, before it
 * @param moved looks at more, between a move, counted from 0, and the messages that follow it
 */
export async function moveAround(
  t: TestContext,
  way: Broker,
  publisherWay: Broker,
  moved: (move: number) => Promise<void> = async () => {},
): Promise<void> {
  const publisher = await RawClient.connect(t, publisherWay, 5);
  const options = { clientId: 'mover', cleanStart: false, properties: { sessionExpiryInterval: 300 } };
  let current = await RawClient.connect(t, way, 5, options);
  await current.subscribe('to/mover', 1);
  await current.subscribe('from/mover', 0);
  const payload = 'x'.repeat(400_000);
  for (let move = 0; move < moves; move += 1) {
    const newer = await RawClient.connect(t, way, 5, options);
    await current.expectPacket('disconnect', { reasonCode: sessionTakenOver });
    await current.expectClosed();
    assert.equal(newer.connack!.sessionPresent, true);
    await moved(move);
    await publisher.publish('to/mover', `${move} ${payload}`);
    const { packetId } = await newer.expectPublish('to/mover', `${move} ${payload}`, { qos: 1 });
    newer.sendAck('puback', packetId);
    newer.sendPublish('from/mover', `${move} ${payload}`);
    await newer.expectPublish('from/mover', `${move} ${payload}`);
    current = newer;
  }
  await current.disconnect();
}
