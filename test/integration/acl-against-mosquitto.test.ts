/** Our access decisions beside those of Debian's Mosquitto: random ACL files, asked over the wire. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { compileAcl } from '../../src/auth/acl-check.js';
import { parseAclFile } from '../../src/auth/acl-file.js';
import type { Broker } from '../support/brokers/broker.js';
import { startMosquitto } from '../support/brokers/broker.js';
import { skipWithout } from '../support/brokers/debian.js';
import { makeFolder } from '../support/cleanup.js';
import { RawClient } from '../support/clients/raw-client.js';
import { Random } from '../support/random.js';

/** Names, and clients, in which nothing is treated otherwise on purpose: no `/`, no leading `$`. */
const clients = [
  { username: undefined, clientId: 'a' },
  { username: undefined, clientId: '%u' },
  { username: 'a', clientId: 'b' },
  { username: 'b', clientId: 'a' },
  { username: 'c', clientId: 'ab' },
  { username: 'a#', clientId: 'c' },
];

const topics = [
  'a',
  'b',
  'a/a',
  'a/b',
  'b/a/c',
  '/a',
  'a/',
  'ab/c',
  '$x/a',
  '$x',
  '$SYS/a',
  '$SYS/broker/connection/a/state',
  'c/ab',
  'a/b/a/b',
];

function randomFile(random: Random): string {
  const lines: string[] = [];
  for (let i = 0; i < 14; i += 1) {
    const kind = random.pick(['user', 'topic', 'topic', 'topic', 'pattern', 'pattern']);
    if (kind === 'user') {
      lines.push(`user ${random.pick(['a', 'b', 'a#'])}`);
      continue;
    }
    const levels = Array.from({ length: 1 + random.below(3) }, () =>
      random.pick(['a', 'a', 'b', 'c', '+', '', ...(kind === 'pattern' ? ['%c', '%u', 'a%c'] : [])]),
    );
    if (random.below(4) === 0) levels.push('#');
    if (random.below(8) === 0) levels.unshift('$x');
    const filter = levels.join('/');
    const access = random.pick(['read', 'write', 'readwrite', 'readwrite', 'deny']);
    if (filter !== '') lines.push(`${kind} ${access} ${filter}`);
  }
  return `${lines.join('\n')}\n`;
}

const skip = skipWithout('/usr/sbin/mosquitto');

test('writing', { skip }, async (t) => {
  const tally = new Tally();
  for (let seed = 1; seed <= 12; seed += 1) {
    const acl = randomFile(new Random(seed));
    const broker = await brokerWith(t, acl);
    const checker = checkerOf(acl);
    for (const login of clients) {
      const ours = checker.forClient(login.username, login.clientId);
      const theirs = await writable(t, broker, login);
      for (const topic of topics) {
        tally.compare(ours.canWrite(topic), theirs.has(topic), { seed, topic, ...login, acl });
      }
    }
    await broker.stop();
  }
  tally.assertBothCommon();
});

test('reading', { skip }, async (t) => {
  const tally = new Tally();
  const asked = topics.filter((topic) => !topic.startsWith('$SYS'));
  const rights = asked.map((topic) => `topic write ${topic}\n`).join('');
  for (let seed = 101; seed <= 108; seed += 1) {
    const acl = `${randomFile(new Random(seed))}user writer\n${rights}`;
    const broker = await brokerWith(t, acl);
    const checker = checkerOf(acl);
    const writer = await RawClient.connect(t, broker, 4, { username: 'writer' });
    for (const login of clients) {
      const ours = checker.forClient(login.username, login.clientId);
      const theirs = await readable(t, broker, { ...login, writer, asked });
      for (const topic of asked) {
        tally.compare(ours.canRead(topic), theirs.has(topic), { seed, topic, ...login, acl });
      }
    }
    await broker.stop();
  }
  tally.assertBothCommon();
});

class Tally {
  #allowed = 0;
  #denied = 0;

  compare(ours: boolean, theirs: boolean, question: object): void {
    assert.equal(ours, theirs, JSON.stringify(question, null, 2));
    if (theirs) this.#allowed += 1;
    else this.#denied += 1;
  }

  /** The comparison says something only if both answers are. */
  assertBothCommon(): void {
    assert.ok(this.#allowed > 50 && this.#denied > 50, `${this.#allowed} allowed, ${this.#denied} denied`);
  }
}

async function brokerWith(t: TestContext, acl: string): Promise<Broker> {
  const file = join(makeFolder(t), 'acl');
  writeFileSync(file, acl);
  const config = `user root\nlistener {port} 127.0.0.1\nallow_anonymous true\nacl_file ${file}`;
  return startMosquitto(t, { config });
}

function checkerOf(acl: string) {
  const result = parseAclFile('acl', acl);
  if (!result.ok) assert.fail(JSON.stringify(result.errors));
  return compileAcl(result.rules);
}

interface Login {
  username: string | undefined;
  clientId: string;
}

function connect(t: TestContext, broker: Broker, { username, clientId }: Login): Promise<RawClient> {
  return RawClient.connect(t, broker, 5, username === undefined ? { clientId } : { clientId, username });
}

const NOT_AUTHORIZED = 0x87;

async function writable(t: TestContext, broker: Broker, login: Login): Promise<Set<string>> {
  const client = await connect(t, broker, login);
  const writable = new Set<string>();
  for (const topic of topics) {
    client.sendPublish(topic, 'x', { qos: 1 });
    const { reasonCode } = await client.expectPacket('puback');
    if (reasonCode !== NOT_AUTHORIZED) writable.add(topic);
  }
  await client.disconnect();
  return writable;
}

async function readable(
  t: TestContext,
  broker: Broker,
  { writer, asked, ...login }: Login & { writer: RawClient; asked: string[] },
): Promise<Set<string>> {
  const client = await connect(t, broker, login);
  for (const topic of asked) await client.subscribe(topic);
  for (const topic of asked) writer.sendPublish(topic, 'x');
  // After the writer's round trip everything has been taken, after the reader's everything has been delivered.
  await writer.expectSilence();
  client.send({ type: 'pingreq' });
  const readable = new Set<string>();
  for (let packet = await client.next(); packet.type === 'publish'; packet = await client.next()) {
    readable.add(packet.topic);
  }
  await client.disconnect();
  return readable;
}
