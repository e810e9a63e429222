/** `midge status`: what it prints and how it ends. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { writePasswords } from '../support/brokers/access-files.js';
import { isReference, startBroker } from '../support/brokers/broker.js';
import { makeFolder } from '../support/cleanup.js';
import { freePort } from '../support/network/free-port.js';
import { midgeCommand } from '../support/project.js';
import { runCommand } from '../support/run-command.js';

const skip = isReference ? 'a command of Midge' : false;

/** @returns exit code, standard output, standard error */
async function status(
  words: readonly string[],
  env?: Record<string, string>,
): Promise<[number | null, string, string]> {
  const { code, stdout, stderr } = await runCommand([...midgeCommand, 'status', ...words], { env });
  return [code, stdout.toString(), stderr.toString()];
}

test('of a broker that runs, over a unix socket and with a password, and when it has stopped', {
  skip,
}, async (t) => {
  const folder = makeFolder(t);
  const passwords = await writePasswords(folder, { watcher: 'geheim' });
  const broker = await startBroker(t, {
    config: `listener {port} 127.0.0.1
listener 0 {folder}/http.sock
protocol http_api
password_file ${passwords}`,
  });
  const config = join(broker.folder, 'broker.conf');
  assert.deepEqual(await status(['--config', config, '--check']), [0, 'ready\n', '']);

  const [code, , error] = await status(['--config', config]);
  assert.equal(code, 3);
  assert.match(
    error,
    /^Error: listener 0 .*http\.sock does not let anonymous clients read \/api\/v1\/status\. Give --user/,
  );
  const shown = await status(['--config', config, '--user', 'watcher'], { MIDGE_PASSWORD: 'geheim' });
  assert.deepEqual([shown[0], shown[2]], [0, '']);
  assert.match(shown[1], /^state {14}ready\nversion {12}\d+\.\d+\.\d+\nstarted {12}20\d\d-.*Z\n/);
  assert.match(shown[1], /\nclients connected {2}0\n(?:.*\n)*memory {13}\d+ MiB\n$/);

  await broker.stop();
  const gone = await status(['--config', config, '--check']);
  assert.equal(gone[0], 1);
  assert.match(
    gone[1],
    /^not ready: listener 0 .*http\.sock does not answer: No such file or directory\.\n$/,
  );
});

test('of a broker whose store cannot be used', { skip }, async (t) => {
  const broker = await startBroker(t, {
    config: `listener {port}
protocol http_api
allow_anonymous true
persistence true
persistence_mode durable
persistence_location /dev/null/missing/`,
  });
  const config = join(broker.folder, 'broker.conf');
  assert.deepEqual(await status(['--config', config, '--check']), [
    1,
    'not ready: the store cannot be used\n',
    '',
  ]);
  const [code, text] = await status(['--config', config]);
  assert.equal(code, 1);
  assert.match(text, /^state {14}not ready: the store cannot be used\n/);
});

test('wrong use, and files that are of no use', { skip }, async (t) => {
  const folder = makeFolder(t);
  const file = (text: string) => {
    const path = join(folder, 'some.conf');
    writeFileSync(path, text);
    return path;
  };
  for (const words of [[], ['--config'], ['--config', 'x', 'more'], ['--check', '--user']]) {
    const [code, , error] = await status(words);
    assert.equal(code, 3, words.join(' '));
    assert.match(error, /^Usage: midge status --config FILE/);
  }
  const plain = await status(['--config', file(`listener ${await freePort()}`)]);
  assert.equal(plain[0], 3);
  assert.match(plain[2], /has no listener with "protocol http_api" and without TLS/);
  const faulty = await status(['--config', file('listener x')]);
  assert.equal(faulty[0], 3);
  assert.match(faulty[2], /some\.conf:1/);
});
