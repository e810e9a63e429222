/** `--test-config` finds lists of ciphers that OpenSSL refuses, without a certificate or a connection. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeFolder } from '../support/cleanup.js';
import { midgeCommand } from '../support/project.js';
import { runCommand } from '../support/run-command.js';

const listener = 'listener 18883\ncertfile none.crt\nkeyfile none.key';
const bridge = 'connection b\naddress 127.0.0.1:8883\ntopic #\nbridge_cafile none.crt';

for (const [lines, complaint] of [
  [
    `${listener}\nciphers NOTHING`,
    /Error: Unable to set TLS ciphers\. Check cipher list "NOTHING"\. \(no cipher match\)\n.*Error found at \S+broker\.conf:4\.\n.*'ciphers' takes names that 'openssl ciphers' shows/,
  ],
  [
    `${listener}\nciphers_tls1.3 NOTHING`,
    /Error: Unable to set TLS 1\.3 ciphersuites\. Check cipher_tls13 list "NOTHING"\. \(no cipher match\)\n.*Error found at \S+broker\.conf:4\.\n.*'ciphers_tls1\.3' takes cipher suites of TLS 1\.3/,
  ],
  [
    `${bridge}\nbridge_ciphers NOTHING`,
    /Error: Bridge b cannot connect: OpenSSL refuses the ciphers "\S+NOTHING": .*\(bridge_ciphers at \S+broker\.conf:5\)\.\n.*'bridge_ciphers' takes names/,
  ],
  [`${listener}\nciphers ECDHE-RSA-AES256-GCM-SHA384`, null],
  [`${bridge}\nbridge_ciphers ECDHE-RSA-AES256-GCM-SHA384`, null],
] as const) {
  const last = lines.slice(lines.lastIndexOf('\n') + 1);
  test(`${last}: ${complaint === null ? 'taken' : 'found'}`, async (t) => {
    const file = join(makeFolder(t), 'broker.conf');
    writeFileSync(file, `${lines}\n`);
    const { code, stderr } = await runCommand([...midgeCommand, '-c', file, '--test-config']);
    const said = stderr.toString();
    assert.equal(code, complaint === null ? 0 : 3, said);
    if (complaint !== null) assert.match(said, complaint);
  });
}
