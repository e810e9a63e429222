/** Bridges that want proof that the other broker's certificate was not revoked [mosq: bridge_require_ocsp]. */
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Listener } from '../support/brokers/bridge-pair.js';
import { startBridges, startTlsPeer } from '../support/brokers/bridge-peer.js';
import { startBroker } from '../support/brokers/broker.js';
import { skipWithout } from '../support/brokers/debian.js';
import { makeFolder } from '../support/cleanup.js';
import { freePort } from '../support/network/free-port.js';
import { OcspAuthority } from '../support/network/ocsp-responder.js';
import { patienceMs } from '../support/within.js';

const skip = skipWithout('/usr/bin/openssl');

test('the certificate has to be proved good', { skip }, async (t) => {
  const made = new OcspAuthority(makeFolder(t));
  const delegate = made.delegate('responder', 'extendedKeyUsage=OCSPSigning');
  const rows: readonly (readonly [name: string, staple: Buffer | null, why: RegExp | null])[] = [
    ['good', made.respond(), null],
    ['good, by a delegate', made.respond({ signer: delegate }), null],
    ['revoked', made.respond({ status: 'revoked' }), /its certificate has been revoked/],
    ['unknown', made.respond({ status: 'unknown' }), /does not know its certificate/],
    ['expired', made.respondLongAgo(), /its OCSP response has expired/],
    ['no staple', null, /it shows no OCSP response/],
    ['wrong signer', made.respond({ signer: made.namesake() }), /is not signed by the authority/],
    ['nonsense', Buffer.from('nonsense'), /its OCSP response cannot be used/],
  ];
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const options = { minVersion: version, maxVersion: version };
    const peers = await Promise.all(rows.map(([, staple]) => startTlsPeer(t, made.server, options, staple)));
    const lines = `bridge_cafile ${made.authority.certificate}\nbridge_require_ocsp true`;
    const near = await startBridges(
      t,
      peers.map(({ port }) => ({ port, lines })),
    );
    const listener = await Listener.connect(t, near, ['$SYS/broker/bridge/+/last_error']);
    for (const [i, [name, , why]] of rows.entries()) {
      await t.test(`${name}, ${version}`, { timeout: patienceMs }, async () => {
        if (why === null) return void (await peers[i]!.connected());
        const topic = `$SYS/broker/bridge/${i}/last_error`;
        await listener.until(`${why}`, () => why.test(listener.on(topic).at(-1) ?? ''));
      });
    }
  }
});

test('a peer with a pre-shared key has no certificate to prove anything of', { skip }, async (t) => {
  const keys = join(makeFolder(t), 'keys');
  writeFileSync(keys, 'gateway:0123456789abcdef\n');
  chmodSync(keys, 0o600);
  const port = await freePort();
  await startBroker(t, { config: `listener ${port} 127.0.0.1\npsk_file ${keys}\npsk_hint hint` });
  const lines = 'bridge_identity gateway\nbridge_psk 0123456789abcdef\nbridge_require_ocsp true';
  const near = await startBridges(t, [{ port, lines }]);
  await near.waitForLog(/is not connected: .*it shows no OCSP response/);
});
