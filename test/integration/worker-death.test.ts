/** A worker thread dies: its clients' wills are sent, another takes its place, and nobody else notices. */
import assert from 'node:assert/strict';
import { readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Broker } from '../support/brokers/broker.js';
import { startFallible } from '../support/brokers/fallible-broker.js';
import { RawClient } from '../support/clients/raw-client.js';
import { SessionClient } from '../support/clients/session-client.js';
import { patienceMs, until, within } from '../support/within.js';

const memberCount = 12;

/** One of the clients: it publishes its own stream, receives everybody's, and leaves a will. */
class Member {
  readonly index: number;
  client!: SessionClient;
  /** Wills received, by the index of their client. */
  readonly wills: number[] = [];
  /** Numbers received, by the index of the publisher. */
  readonly streams: number[][];
  published = 0;
  #arrived: () => void = () => {};

  private constructor(index: number, members: number) {
    this.index = index;
    this.streams = Array.from({ length: members }, () => []);
  }

  static async connect(t: TestContext, broker: Broker, index: number, members: number): Promise<Member> {
    const member = new Member(index, members);
    member.client = await SessionClient.connect(t, broker, 4, {
      clientId: `member-${index}`,
      will: { topic: `will/${index}`, payload: Buffer.of(), qos: 1, retain: false, properties: {} },
      onMessage: ({ topic, payload }) => member.#receive(topic, payload),
    });
    await member.client.subscribe('will/+', 1);
    await member.client.subscribe('stream/+', 1);
    return member;
  }

  #receive(topic: string, payload: Uint8Array): void {
    const [kind, index] = topic.split('/');
    if (kind === 'will') this.wills.push(Number(index));
    else this.streams[Number(index)]!.push(Number(Buffer.from(payload).toString()));
    this.#arrived();
  }

  /** Publishes numbers one after the other. @returns true, or false when the connection is lost. */
  async stream(isOver: () => boolean): Promise<boolean> {
    try {
      while (!isOver()) {
        await this.client.publish(`stream/${this.index}`, Buffer.from(`${this.published}`), 1);
        this.published++;
      }
      return true;
    } catch {
      return false;
    }
  }

  /** @throws with what it has received when the condition is not met in time. */
  waitFor(what: string, isMet: () => boolean): Promise<void> {
    const met = new Promise<void>((resolve) => {
      this.#arrived = () => {
        if (isMet()) resolve();
      };
      this.#arrived();
    });
    const state = () => `wills of ${this.wills}, streams of ${this.streams.map((stream) => stream.length)}`;
    return within(patienceMs, met, () => `member ${this.index} waited for ${what}; it has ${state()}`);
  }
}

test('of three workers one dies: its clients leave wills, the others notice nothing', async (t) => {
  const { broker, fallOne } = await startFallible(t, 3);
  for (let round = 0; round < 3; round++) {
    const members: Member[] = [];
    for (let index = 0; index < memberCount; index++) {
      members.push(await Member.connect(t, broker, index, memberCount));
    }
    let over = false;
    const streams = Promise.all(members.map((member) => member.stream(() => over)));
    await members[0]!.waitFor('some traffic', () =>
      members[0]!.streams.every((stream) => stream.length > 20),
    );
    await fallOne();
    const newcomer = await RawClient.connect(t, broker, 4);
    await newcomer.disconnect();
    over = true;
    const survived = await streams;

    const survivors = members.filter((_, index) => survived[index]);
    const lost = members.filter((_, index) => !survived[index]).map(({ index }) => index);
    assert.ok(lost.length > 0 && lost.length < memberCount, `members ${lost} were cut off`);
    for (const survivor of survivors) await expectNothingMissed(survivor, survivors, lost);
    for (const { client } of survivors) client.destroy();
    await expectWhole(t, broker);
  }
});

async function expectNothingMissed(survivor: Member, survivors: Member[], lost: number[]): Promise<void> {
  await survivor.waitFor(`the wills of ${lost}`, () => survivor.wills.length >= lost.length);
  assert.deepEqual(survivor.wills.toSorted(ascending), lost);
  for (const { index, published } of survivors) {
    await survivor.waitFor(
      `${published} messages of ${index}`,
      () => survivor.streams[index]!.length >= published,
    );
    assert.deepEqual(
      survivor.streams[index],
      Array.from({ length: published }, (_, number) => number),
    );
  }
  // What the lost ones published has no end that we know, but it has no gaps either.
  for (const index of lost) {
    assert.deepEqual(
      survivor.streams[index],
      survivor.streams[index]!.map((_, number) => number),
    );
  }
}

/** The place of the dead worker is filled: wherever clients are, they reach each other. */
async function expectWhole(t: TestContext, broker: Broker): Promise<void> {
  const clients: RawClient[] = [];
  for (let index = 0; index < memberCount; index++) clients.push(await RawClient.connect(t, broker, 4));
  for (const client of clients) await client.subscribe('whole', 0);
  for (const [index, client] of clients.entries()) {
    client.sendPublish('whole', `${index}`);
    for (const receiver of clients) await receiver.expectPublish('whole', `${index}`);
  }
  for (const client of clients) await client.disconnect();
}

test('the only worker dies: the broker goes on with another one', async (t) => {
  const { broker, fallOne } = await startFallible(t, 1);
  for (let round = 0; round < 2; round++) {
    const client = await RawClient.connect(t, broker, 4, { clientId: 'member' });
    await fallOne();
    await client.expectClosed();
    // Straight away, while the place is still empty.
    await expectWhole(t, broker);
  }
  const client = await RawClient.connect(t, broker, 4);
  await client.subscribe('$SYS/broker/version', 0);
  assert.equal((await client.next()).type, 'publish');
});

test('a fault in the midst of the broker closes the connections of its worker, too', async (t) => {
  const { broker, fallOne } = await startFallible(t, 2, { env: { FALL_IN: 'broker' } });
  const clients = [await RawClient.connect(t, broker, 4), await RawClient.connect(t, broker, 4)];
  await fallOne();
  const served = await Promise.all(clients.map(isServed));
  assert.deepEqual(served.toSorted(), [false, true]);
  await expectWhole(t, broker);
});

test('sessions that stay are taken up by the worker that comes after: messages of any worker reach them', async (t) => {
  const { broker, fallOne } = await startFallible(t, 3);
  const ids = Array.from({ length: memberCount }, (_, index) => `stays-${index}`);
  for (const clientId of ids) {
    const client = await RawClient.connect(t, broker, 4, { clientId, cleanStart: false });
    await client.subscribe(`to/${clientId}`, 1);
    await client.disconnect();
  }
  const publishers: RawClient[] = [];
  for (let index = 0; index < 6; index++) publishers.push(await RawClient.connect(t, broker, 4));
  await fallOne();
  const served = await Promise.all(publishers.map(isServed));
  const survivors = publishers.filter((_, index) => served[index]);
  for (const clientId of ids) {
    const client = await RawClient.connect(t, broker, 4, { clientId, cleanStart: false });
    assert.ok(client.connack?.sessionPresent, clientId);
    await client.disconnect();
  }
  for (const [index, publisher] of survivors.entries())
    await publishToAll(publisher, ids, `message ${index}`);
  for (const clientId of ids) {
    const client = await RawClient.connect(t, broker, 4, { clientId, cleanStart: false });
    assert.ok(client.connack?.sessionPresent, clientId);
    for (const index of survivors.keys()) {
      const { packetId } = await client.expectPublish(`to/${clientId}`, `message ${index}`);
      client.sendAck('puback', packetId);
    }
    await client.disconnect();
  }
});

test('connections that a worker had not taken up when it died are served by the next one', async (t) => {
  const { broker, standStill, fallNow } = await startFallible(t, 1, { env: { FALL_IN: 'arrivals' } });
  const sockets = socketsOf(broker);
  await RawClient.connect(t, broker, 4);
  await standStill();
  let from = broker.log.length;
  const connecting = Array.from({ length: memberCount }, () => RawClient.connect(t, broker, 4));
  for (const _ of connecting) {
    const line = await broker.waitForLog(/New connection from/, { from });
    from = broker.log.indexOf(line, from) + 1;
  }
  fallNow();
  for (const client of await Promise.all(connecting)) await client.disconnect();
  await until(() => socketsOf(broker) === sockets, `${sockets} sockets in the broker`);
});

function socketsOf({ pid }: Broker): number {
  const folder = `/proc/${pid}/fd`;
  const targets = readdirSync(folder).map((fd) => {
    try {
      return readlinkSync(join(folder, fd));
    } catch {
      return ''; // closed meanwhile
    }
  });
  return targets.filter((target) => target.startsWith('socket:')).length;
}

/** Whether the broker still answers; else it has closed the connection. */
function isServed(client: RawClient): Promise<boolean> {
  return client.expectSilence().then(
    () => true,
    () => false,
  );
}

async function publishToAll(publisher: RawClient, ids: string[], payload: string): Promise<void> {
  for (const [index, clientId] of ids.entries()) {
    const packetId = index + 1;
    publisher.sendPublish(`to/${clientId}`, payload, { qos: 1, packetId });
    await publisher.expectPacket('puback', { packetId });
  }
}

function ascending(a: number, b: number): number {
  return a - b;
}
