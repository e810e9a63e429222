/** Bridges over TLS, with certificates and with pre-shared keys, between Midge and Debian's Mosquitto. */
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { type BridgePair, type Kind, Listener, startPair } from '../support/brokers/bridge-pair.js';
import { skipWithout } from '../support/brokers/debian.js';
import { makeFolder } from '../support/cleanup.js';
import { type Certificates, makeCertificates } from '../support/network/certificates.js';
import { freePort } from '../support/network/free-port.js';

const pairs: readonly (readonly [near: Kind, far: Kind])[] = [
  ['Midge', 'Midge'],
  ['Midge', 'Mosquitto'],
  ['Mosquitto', 'Midge'],
];
const stateTopic = '$SYS/broker/connection/gateway/state';
const lastError = '$SYS/broker/bridge/up/last_error';

const skipFor = (...kinds: Kind[]) =>
  skipWithout('/usr/bin/openssl', ...(kinds.includes('Mosquitto') ? ['/usr/sbin/mosquitto'] : []));

interface Way {
  /** Lines of the far broker's listener for bridges. */
  listener: string;
  bridge: string;
}

async function startSecured(
  t: TestContext,
  [near, far]: readonly [Kind, Kind],
  { listener, bridge }: Way,
): Promise<BridgePair> {
  const farPort = await freePort();
  return startPair(t, {
    near,
    far,
    farPort,
    farConfig: `allow_anonymous true\nlistener {port} 127.0.0.1\nlistener ${farPort} 127.0.0.1\n${listener}`,
    bridge: `remote_clientid gateway\ntopic there out 1\ntopic back in 1\n${bridge}`,
  });
}

/** A message in each direction, a cut, and again. */
async function expectTraffic(t: TestContext, { near, far, proxy }: BridgePair): Promise<void> {
  const nearEnd = await Listener.connect(t, near, [stateTopic, 'back']);
  const farEnd = await Listener.connect(t, far, ['there']);
  for (const round of ['first', 'second']) {
    await nearEnd.untilLast(stateTopic, '1');
    await nearEnd.client.publish('there', Buffer.from(round), 1);
    await farEnd.untilLast('there', round);
    await farEnd.client.publish('back', Buffer.from(round), 1);
    await nearEnd.untilLast('back', round);
    if (round === 'second') return;
    proxy.cut();
    await nearEnd.untilLast(stateTopic, '0');
  }
}

const server = ({ server: { certificate, key } }: Certificates) => `certfile ${certificate}\nkeyfile ${key}`;

describe('TLS', { concurrency: 4 }, () => {
  for (const kinds of pairs) {
    const [near, far] = kinds;
    test(`${near} bridges to ${far}, with a certificate of its own`, {
      skip: skipFor(near, far),
    }, async (t) => {
      const made = makeCertificates(makeFolder(t));
      const { certificate, key } = made.client;
      const way = {
        listener: `${server(made)}\ncafile ${made.authority}\nrequire_certificate true`,
        bridge: `bridge_capath ${made.authorityFolder}\nbridge_certfile ${certificate}\nbridge_keyfile ${key}
bridge_tls_version tlsv1.3`,
      };
      await expectTraffic(t, await startSecured(t, kinds, way));
    });

    test(`${near} bridges to ${far}, pre-shared key`, { skip: skipFor(near, far) }, async (t) => {
      const keys = join(makeFolder(t), 'keys');
      writeFileSync(keys, 'gateway:0123456789abcdef\n');
      chmodSync(keys, 0o600);
      const way = {
        listener: `psk_file ${keys}\npsk_hint hint`,
        bridge: 'bridge_identity gateway\nbridge_psk 0123456789abcdef',
      };
      await expectTraffic(t, await startSecured(t, kinds, way));
    });
  }
});

describe('TLS that must not come about', { concurrency: 4 }, () => {
  const rows: readonly (readonly [name: string, way: (made: Certificates) => Way, why: RegExp])[] = [
    [
      'an authority that is not trusted',
      (made) => ({ listener: server(made), bridge: `bridge_cafile ${made.otherAuthority}` }),
      /no authority in bridge_cafile vouches for its certificate/,
    ],
    [
      'a certificate for another host',
      ({ otherHost: { certificate, key }, authority }) => ({
        listener: `certfile ${certificate}\nkeyfile ${key}`,
        bridge: `bridge_cafile ${authority}`,
      }),
      /its certificate is for another name/,
    ],
    [
      'a file that is not there',
      (made) => ({ listener: server(made), bridge: 'bridge_cafile /nowhere/ca.crt' }),
      /bridge_cafile \/nowhere\/ca.crt cannot be read: No such file/,
    ],
  ];
  for (const [name, way, why] of rows) {
    test(name, { skip: skipFor() }, async (t) => {
      const { near } = await startSecured(t, ['Midge', 'Midge'], way(makeCertificates(makeFolder(t))));
      const listener = await Listener.connect(t, near, [lastError]);
      await listener.until('the reason', () => why.test(listener.on(lastError).at(-1) ?? ''));
    });
  }

  test('bridge_insecure takes the certificate of another host', { skip: skipFor() }, async (t) => {
    const made = makeCertificates(makeFolder(t));
    const { certificate, key } = made.otherHost;
    const way = {
      listener: `certfile ${certificate}\nkeyfile ${key}`,
      bridge: `bridge_cafile ${made.authority}\nbridge_insecure true`,
    };
    await expectTraffic(t, await startSecured(t, ['Midge', 'Midge'], way));
  });
});
