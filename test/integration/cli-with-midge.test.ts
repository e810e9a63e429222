/** Our commands against our broker: everything that the two have to say to each other, from publishing to wills. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type Broker, withBrokers } from '../support/brokers/broker.js';
import { COMMAND_ENVIRONMENT, ourCommand } from '../support/clients/client-commands.js';
import { Program } from '../support/program.js';
import { runCommand } from '../support/run-command.js';

type Command = 'mosquitto_pub' | 'mosquitto_sub' | 'mosquitto_rr';

async function run(
  broker: Broker,
  program: Command,
  args: string,
  input = '',
): Promise<[string, string, number | null]> {
  const command = [...ourCommand(program), '-h', '127.0.0.1', '-p', String(broker.port), ...args.split(' ')];
  const { stdout, stderr, code } = await runCommand(command, { input, env: COMMAND_ENVIRONMENT });
  return [stdout.toString(), stderr.toString(), code];
}

async function subscribed(t: TestContext, broker: Broker, args: string): Promise<Program> {
  const command = [
    ...ourCommand('mosquitto_sub'),
    '-h',
    '127.0.0.1',
    '-p',
    String(broker.port),
    '-d',
    ...args.split(' '),
  ];
  const program = new Program(t, 'mosquitto_sub', command, { env: COMMAND_ENVIRONMENT });
  await program.waitForLine(/^Subscribed/);
  return program;
}

const printed = (sub: Program) => sub.stdout.filter((line) => !/^(Client|Subscribed)/.test(line));

withBrokers('every version and quality of service', async (t, broker) => {
  for (const version of ['31', '311', '5']) {
    for (const qos of [0, 1, 2]) {
      const topic = `v${version}/q${qos}`;
      const sub = await subscribed(t, broker, `-t ${topic} -q ${qos} -V ${version} -C 2 -F %q:%p`);
      assert.deepEqual(
        await run(broker, 'mosquitto_pub', `-t ${topic} -m x -q ${qos} -V ${version} --repeat 2`),
        ['', '', 0],
      );
      assert.equal((await sub.waitForEnd()).code, 0);
      assert.deepEqual(printed(sub), [`${qos}:x`, `${qos}:x`]);
    }
  }
});

withBrokers('lines, retained messages, responses', async (t, broker) => {
  // No more than the broker queues for a subscriber that is slow.
  const lines = Array.from({ length: 900 }, (_, i) => `${i}\n`).join('');
  const sub = await subscribed(t, broker, '-t lines -q 1 -C 900');
  assert.deepEqual(await run(broker, 'mosquitto_pub', '-t lines -l -q 1', lines), ['', '', 0]);
  assert.equal((await sub.waitForEnd()).code, 0);
  assert.equal(printed(sub).join('\n'), lines.trimEnd());

  await run(broker, 'mosquitto_pub', '-t kept/a -m old -r -q 2');
  assert.deepEqual(await run(broker, 'mosquitto_sub', '-t kept/# -v -C 1'), ['kept/a old\n', '', 0]);
  assert.deepEqual(await run(broker, 'mosquitto_sub', '-t kept/# --remove-retained -C 1'), ['old\n', '', 0]);
  assert.deepEqual(await run(broker, 'mosquitto_sub', '-t kept/# -W 2'), ['', 'Timed out\n', 27]);

  const properties = '-D publish user-property k v -D publish content-type text';
  assert.deepEqual(
    await run(broker, 'mosquitto_rr', `-t rr -e rr -m ping ${properties} -F %p|%R|%C|%P -q 2`),
    ['ping|rr|text|k:v\n', '', 0],
  );
});

withBrokers('a session that waits, a will, a signal', async (t, broker) => {
  assert.deepEqual(await run(broker, 'mosquitto_sub', '-t away -q 1 -c -i reader -E'), ['', '', 0]);
  await run(broker, 'mosquitto_pub', '-t away -m missed -q 1');
  assert.deepEqual(await run(broker, 'mosquitto_sub', '-t away -q 1 -c -i reader -C 1'), ['missed\n', '', 0]);

  const wills = await subscribed(t, broker, '-t wills -C 2');
  const will = '--will-topic wills --will-payload';
  const killed = await subscribed(t, broker, `-t x ${will} killed`);
  killed.signal('SIGKILL');
  await killed.waitForEnd();
  await wills.waitForLine(/^killed$/);
  // MQTT 5: the user took the client away, and the will is asked for.
  const ended = await subscribed(t, broker, `-t x -V 5 ${will} ended`);
  ended.signal('SIGTERM');
  assert.equal((await ended.waitForEnd()).code, 0);
  assert.equal((await wills.waitForEnd()).code, 0);
  assert.deepEqual(printed(wills), ['killed', 'ended']);
});

const withSocket = 'listener {port} 127.0.0.1\nlistener 0 {folder}/socket\nallow_anonymous true';

withBrokers(
  'over a unix socket',
  async (_, broker) => {
    const path = join(broker.folder, 'socket');
    const command = [...ourCommand('mosquitto_rr'), '--unix', path, '-t', 'u', '-e', 'u', '-m', 'x'];
    const { stdout, code } = await runCommand(command, { env: COMMAND_ENVIRONMENT });
    assert.deepEqual([stdout.toString(), code], ['x\n', 0]);
  },
  { config: withSocket },
);
