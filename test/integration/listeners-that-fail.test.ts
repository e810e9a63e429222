/**
 * Listeners that cannot be opened: the broker ends with 1, in Mosquitto's words. Where it is the file's own fault, the
 * log names both lines.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { brokerCommand, isReference } from '../support/brokers/broker.js';
import { afterTest, makeFolder } from '../support/cleanup.js';
import { freePort } from '../support/network/free-port.js';
import { runCommand } from '../support/run-command.js';

const concurrency = 3;

interface Failure {
  code: number | null;
  /** From the first error on, without the time. */
  errors: string[];
}

/** @param config `{folder}` and `{port}` are replaced */
async function startFailing(
  t: TestContext,
  config: string,
  args: string[] = [],
): Promise<Failure & { port: number; file: string }> {
  const folder = makeFolder(t);
  const port = await freePort();
  const file = join(folder, 'broker.conf');
  const text = config.replaceAll('{folder}', folder).replaceAll('{port}', String(port));
  writeFileSync(file, `user root\n${text}\n`);
  const { code, stderr } = await runCommand([...brokerCommand(), '-c', file, ...args]);
  const log = stderr.toString().trimEnd().split('\n');
  const lines = log.map((line) => line.replace(/^\d+: /, '').replaceAll(folder, 'FOLDER'));
  const first = lines.findIndex((line) => line.startsWith('Error'));
  const errors = lines.slice(first).filter((line) => !/ version .* terminating$/.test(line));
  return { code, errors, port, file: 'FOLDER/broker.conf' };
}

const rows: [what: string, config: string, error: string][] = [
  [
    'a name that nobody knows',
    'listener {port} nobody.invalid',
    'Error creating listener: Name or service not known.',
  ],
  ["another machine's address", 'listener {port} 192.0.2.1', 'Error: Cannot assign requested address'],
  [
    "another machine's address as bind_address",
    'bind_address 192.0.2.1',
    'Error: Cannot assign requested address',
  ],
  ['a scope that is missing', 'listener {port} fe80::1', 'Error: Invalid argument'],
  [
    'a unix socket in no folder',
    'listener 0 {folder}/none/socket',
    'Error binding unix socket: No such file or directory',
  ],
  [
    'a unix socket in a file',
    'listener 0 /etc/hostname/socket',
    'Error binding unix socket: Not a directory',
  ],
];

test('a listener that cannot be opened', { concurrency }, async (t) => {
  await Promise.all(
    rows.map(([what, config, error]) =>
      t.test(what, async (t) => {
        const { code, errors } = await startFailing(t, config);
        assert.deepEqual([errors[0], code], [error, 1]);
      }),
    ),
  );
});

test('an interface that does not exist', { skip: isReference && '2.0 has other words' }, async (t) => {
  const { code, errors } = await startFailing(t, 'listener {port}\nbind_interface eth77');
  assert.deepEqual({ code, errors }, { code: 1, errors: ['Error: Interface eth77 does not exist.'] });
});

test('a unix socket where a folder is', { skip: isReference && "Midge's own advice" }, async (t) => {
  const { errors, code } = await startFailing(t, 'listener 0 {folder}');
  assert.deepEqual([errors, code], [['Error binding unix socket: Address already in use'], 1]);
});

test('one port twice in one file', { concurrency, skip: isReference && "Midge's own advice" }, async (t) => {
  // What the file alone does not tell: addresses that cover each other.
  const overlaps: [what: string, config: string, first: string, second: string][] = [
    ['an address and all addresses', 'listener {port} 127.0.0.1\nmax_qos 1\nlistener {port}', '2', '4'],
    ['a name and its address', 'listener {port} localhost\nlistener {port} 127.0.0.1', '2', '3'],
    [
      'the default listener and an address',
      'port {port}\nmax_connections 5\nlistener {port} 127.0.0.1',
      "2 ('port' opens the default listener)",
      '4',
    ],
    ['HTTP and MQTT', 'listener {port}\nlistener {port} 127.0.0.1\nprotocol http_api', '2', '3'],
  ];
  for (const [what, config, first, second] of overlaps) {
    await t.test(what, async (t) => {
      const { code, errors, port, file } = await startFailing(t, config);
      assert.equal(code, 1);
      assert.deepEqual(errors, [
        'Error: Address already in use',
        `Port ${port} is to be opened twice by this broker itself: at ${file}:${first} and at ${file}:${second}. Remove one of them, or give it another port or address.`,
      ]);
    });
  }

  const same: [what: string, config: string, first: RegExp][] = [
    ['the same line twice', 'listener {port}\nlistener {port}', /^Error: Two listeners for port \d+\.$/],
    [
      'an option that opens the default listener',
      'port {port}\nmax_connections 5\nlistener {port}',
      /^Error: Two listeners for port \d+\.$/,
    ],
    // Mosquitto opens it twice, and nobody can connect to the first.
    [
      'a unix socket',
      'listener 0 {folder}/s\nlistener 0 {folder}/s',
      /^Error: Two listeners for the unix socket FOLDER\/s\.$/,
    ],
  ];
  for (const [what, config, first] of same) {
    await t.test(what, async (t) => {
      const { code, errors, file } = await startFailing(t, config);
      assert.equal(code, 3);
      assert.match(errors[0]!, first);
      const lines = config.split('\n').length + 1;
      assert.ok(errors.includes(`Error found at ${file}:${lines}.`));
      assert.ok(errors.some((line) => line.includes(`The listener at ${file}:2 has the same`)));
    });
  }
});

test('a port that somebody else has', { skip: isReference && "Midge's own advice" }, async (t) => {
  const server = createServer().listen(0, '127.0.0.1');
  afterTest(t, () => void server.close());
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as { port: number };
  const { code, errors } = await startFailing(t, `listener ${port} 127.0.0.1`);
  assert.equal(code, 1);
  assert.deepEqual(errors, [
    'Error: Address already in use',
    `Another program is using port ${port}, to listen on or for a connection: \`ss -tanp 'sport = :${port}'\` shows which.`,
  ]);
});
