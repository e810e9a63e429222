/**
 * What `docs/tour.md` shows, with Debian's clients as a user types them: mosquitto_sub in one terminal,
 * mosquitto_pub in another.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type Broker, withBrokers } from '../support/brokers/broker.js';
import { publish, runClient, skipWithout, startClient, subscribe } from '../support/brokers/debian.js';

const versions = ['31', '311', '5'] as const;
const levels = ['0', '1', '2'] as const;

const tour: Record<string, (t: TestContext, broker: Broker) => Promise<void>> = {
  'a message reaches its subscriber': helloWorld,
  'every protocol version talks to every other, at every QoS': versionsAndLevels,
  'a retained message waits for its subscriber': retained,
  'a lost client leaves its will': will,
  'a retained will waits for its subscriber': retainedWill,
  'messages sent while away arrive on return': whileAway,
  'an empty message': emptyMessage,
  'one message a line': lines,
  'a file arrives whole': wholeFile,
  wildcards,
  'a request gets its response': requestResponse,
  'an idle client stays connected': keepAlive,
};

withBrokers(
  'the walk-through',
  async (t, broker) => {
    const runs = Object.entries(tour).map(([name, step]) => t.test(name, (s) => step(s, broker)));
    await Promise.all(runs);
  },
  { skip: skipWithout('/usr/bin/mosquitto_pub', '/usr/bin/mosquitto_sub', '/usr/bin/mosquitto_rr') },
);

async function helloWorld(t: TestContext, broker: Broker): Promise<void> {
  const subscriber = await subscribe(t, broker, '-v', '-t', 'hello');
  await publish(t, broker, '-t', 'hello', '-m', 'world');
  await subscriber.waitForMessages(1);
  await publish(t, broker, '-t', 'hello', '-m', 'again');
  assert.deepEqual(await subscriber.waitForMessage('hello again'), ['hello world', 'hello again']);
}

async function versionsAndLevels(t: TestContext, broker: Broker): Promise<void> {
  for (const level of levels) {
    const topic = `levels/${level}`;
    const subscribers = await Promise.all(
      versions.map((version) => subscribe(t, broker, '-V', version, '-q', level, '-t', topic, '-F', '%q %p')),
    );
    for (const version of versions) {
      await publish(t, broker, '-V', version, '-q', level, '-t', topic, '-m', `from ${version}`);
      for (const subscriber of subscribers) await subscriber.waitForMessage(`${level} from ${version}`);
    }
    for (const subscriber of subscribers) {
      assert.deepEqual(
        subscriber.messages,
        versions.map((version) => `${level} from ${version}`),
      );
    }
  }
}

async function retained(t: TestContext, broker: Broker): Promise<void> {
  const early = await subscribe(t, broker, '-t', 'lamp', '-F', '%r %t %p');
  await publish(t, broker, '-t', 'lamp', '-m', 'on', '-r', '-q', '1');
  assert.deepEqual(await early.waitForMessages(1), ['0 lamp on']);

  const late = await subscribe(t, broker, '-t', 'lamp', '-F', '%r %t %p');
  assert.deepEqual(await late.waitForMessages(1), ['1 lamp on']);

  await publish(t, broker, '-t', 'lamp', '-r', '-n', '-q', '1');
  const tooLate = await subscribe(t, broker, '-v', '-t', 'lamp');
  await publish(t, broker, '-t', 'lamp', '-m', 'dimmed');
  assert.deepEqual(await tooLate.waitForMessages(1), ['lamp dimmed']);
}

async function will(t: TestContext, broker: Broker): Promise<void> {
  const watcher = await subscribe(t, broker, '-q', '2', '-t', 'gone/+', '-F', '%q %t %p');
  const willOf = (name: string) => [
    '--will-topic',
    `gone/${name}`,
    '--will-payload',
    'bye',
    '--will-qos',
    '2',
  ];
  const polite = await subscribe(t, broker, '-t', 'unused', '-i', 'polite', ...willOf('polite'));
  const lost = await subscribe(t, broker, '-t', 'unused', '-i', 'lost', ...willOf('lost'));

  polite.signal('SIGTERM'); // mosquitto_sub answers it with a DISCONNECT.
  await polite.waitForEnd();
  await lost.kill();
  assert.deepEqual(await watcher.waitForMessages(1), ['2 gone/lost bye']);
}

async function retainedWill(t: TestContext, broker: Broker): Promise<void> {
  const watcher = await subscribe(t, broker, '-v', '-t', 'state/device');
  const options = ['--will-topic', 'state/device', '--will-payload', 'offline', '--will-retain'];
  const device = await subscribe(t, broker, '-t', 'unused', ...options);
  await device.kill();
  assert.deepEqual(await watcher.waitForMessages(1), ['state/device offline']);

  const late = await subscribe(t, broker, '-t', 'state/device', '-F', '%r %p');
  assert.deepEqual(await late.waitForMessages(1), ['1 offline']);
}

async function whileAway(t: TestContext, broker: Broker): Promise<void> {
  const sent = ['one', 'two', 'three'];
  await Promise.all(
    versions.flatMap((version) =>
      ['1', '2'].map(async (level) => {
        const topic = `news/${version}/${level}`;
        const who = ['-V', version, '-q', level, '-c', '-i', `reader-${version}-${level}`, '-t', topic];
        const reader = await subscribe(t, broker, ...who);
        reader.signal('SIGTERM');
        await reader.waitForEnd();

        for (const text of sent) await publish(t, broker, '-q', level, '-t', topic, '-m', text);
        const returned = await subscribe(t, broker, ...who);
        await publish(t, broker, '-q', level, '-t', topic, '-m', 'live');
        assert.deepEqual(await returned.waitForMessage('live'), [...sent, 'live']);
      }),
    ),
  );
}

async function emptyMessage(t: TestContext, broker: Broker): Promise<void> {
  const subscriber = await subscribe(t, broker, '-v', '-t', 'empty');
  await publish(t, broker, '-t', 'empty', '-n');
  assert.deepEqual(await subscriber.waitForMessages(1), ['empty (null)']);
}

async function lines(t: TestContext, broker: Broker): Promise<void> {
  const subscriber = await subscribe(t, broker, '-q', '1', '-t', 'lines');
  const sent = Array.from({ length: 50 }, (_, i) => `line ${i}`);
  await runClient(t, broker, 'mosquitto_pub', ['-q', '1', '-t', 'lines', '-l'], {
    input: `${sent.join('\n')}\n`,
  });
  assert.deepEqual(await subscriber.waitForMessages(sent.length), sent);
}

async function wholeFile(t: TestContext, broker: Broker): Promise<void> {
  const text = 'x'.repeat(300_000);
  const file = join(broker.folder, 'payload');
  writeFileSync(file, text);
  const subscriber = await subscribe(t, broker, '-q', '1', '-t', 'file');
  await publish(t, broker, '-q', '1', '-t', 'file', '-f', file);
  assert.deepEqual(await subscriber.waitForMessages(1), [text]);
}

async function wildcards(t: TestContext, broker: Broker): Promise<void> {
  const filters = ['-t', 'house/+/temperature', '-t', 'garden/#', '-t', '+/end'];
  const subscriber = await subscribe(t, broker, '-v', '-q', '1', ...filters);
  const matching = ['house/hall/temperature', 'house//temperature', 'garden', 'garden/pond/level', '/end'];
  const others = [
    'house/temperature',
    'house/hall/upper/temperature',
    'house/hall/humidity',
    'gardens',
    '$own/end',
  ];
  for (const topic of [...others, ...matching]) await publish(t, broker, '-q', '1', '-t', topic, '-m', '!');
  assert.deepEqual(
    await subscriber.waitForMessage('/end !'),
    matching.map((topic) => `${topic} !`),
  );
}

async function requestResponse(t: TestContext, broker: Broker): Promise<void> {
  const responder = await subscribe(t, broker, '-V', '5', '-t', 'ask', '-F', '%R %p');
  const request = ['-t', 'ask', '-e', 'answer', '-m', 'ping', '-W', '10'];
  const asking = startClient(t, broker, 'mosquitto_rr', request);
  assert.deepEqual(await responder.waitForMessages(1), ['answer ping']);
  await publish(t, broker, '-V', '5', '-t', 'answer', '-m', 'pong');
  assert.equal((await asking.waitForEnd()).code, 0);
  assert.deepEqual(asking.messages, ['pong']);
}

async function keepAlive(t: TestContext, broker: Broker): Promise<void> {
  const idle = await subscribe(t, broker, '-k', '5', '-v', '-t', 'idle');
  await idle.waitForLine(/received PINGRESP/);
  await publish(t, broker, '-t', 'idle', '-m', 'awake');
  assert.deepEqual(await idle.waitForMessages(1), ['idle awake']);
}
