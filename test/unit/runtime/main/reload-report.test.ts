import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compareSettings } from '../../../../src/config/reload-diff.js';
import { inOrderOf, untilRestart } from '../../../../src/runtime/main/reload-report.js';
import { settingsOf } from '../../config/config-support.js';

test('until a restart, what only a restart can change keeps its value, of each listener its own', () => {
  const listener = (port: number, domain: string, connections: number) =>
    `listener ${port}\nsocket_domain ${domain}\nmax_connections ${connections}\n`;
  const before = settingsOf(`pid_file /a\n${listener(1, 'ipv4', 1)}${listener(2, 'ipv6', 2)}`);
  const read = settingsOf(`pid_file /b\n${listener(2, 'ipv4', 20)}${listener(1, 'ipv4', 10)}`);
  const changes = compareSettings(before, read);
  const { pidFile, listeners } = untilRestart(inOrderOf(before, read), changes);
  assert.equal(pidFile, '/a');
  assert.deepEqual(
    listeners.map(({ port, socketDomain, maxConnections }) => [port, socketDomain, maxConnections]),
    [
      [1, 'ipv4', 10],
      [2, 'ipv6', 20],
    ],
  );
});
