/** Cases for our commands and Debian's, run against one broker of Debian's, which has a listener for each way to it. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { connectAsync } from 'mqtt';
import { startMosquitto } from '../brokers/broker.js';
import { skipWithout } from '../brokers/debian.js';
import { afterTest, makeFolder } from '../cleanup.js';
import { makeCertificates } from '../network/certificates.js';
import { freePort } from '../network/free-port.js';
import { SocksProxy } from '../network/socks-proxy.js';
import { type Case, compareWithDebian, type Surroundings } from './differential.js';

/** Why none of it can run here, if so. */
export const skip = skipWithout('/usr/sbin/mosquitto', '/usr/bin/mosquitto_pub', '/usr/bin/openssl');

/** A case of `compareAll`. */
export type NamedCase = Case & { name: string };

const rootOnly = process.getuid?.() === 0 ? 'user root' : '';

async function surroundings(t: TestContext): Promise<Surroundings> {
  const folder = makeFolder(t);
  const certificates = makeCertificates(folder);
  const [tlsPort, pskPort] = [await freePort(), await freePort()];
  writeFileSync(join(folder, 'psk'), 'name:0123456789abcdef\n');
  writeFileSync(join(folder, 'payload'), 'from\0file');
  writeFileSync(join(folder, 'nothing'), '');
  mkdirSync(join(folder, '.config'));
  writeFileSync(join(folder, '.config', 'mosquitto_pub'), '# comment\n-m from file\n-q 1\n');
  const broker = await startMosquitto(t, {
    config: `${rootOnly}
      allow_anonymous true
      listener {port} 127.0.0.1
      listener 0 ${folder}/socket
      listener ${tlsPort} 127.0.0.1
      cafile ${certificates.authority}
      certfile ${certificates.server.certificate}
      keyfile ${certificates.server.key}
      listener ${pskPort} 127.0.0.1
      psk_hint hint
      psk_file ${folder}/psk`.replace(/^ +/gm, ''),
  });
  const socks = await SocksProxy.start(t);
  const strictSocks = await SocksProxy.start(t, { user: { name: 'us:er', password: 'pa%ss' } });
  const brokenSocks = await SocksProxy.start(t, { reply: 5 });
  const client = await connectAsync(`mqtt://127.0.0.1:${broker.port}`);
  afterTest(t, () => client.endAsync(true));
  const publish = async (topic: string, payload: string | Uint8Array, retain: boolean) => {
    await client.publishAsync(topic, Buffer.from(payload as string), { qos: 2, retain });
  };
  return {
    brokerPort: broker.port,
    publish,
    clear: (topic) => publish(topic, '', true),
    words: {
      folder,
      ca: certificates.authority,
      cadir: certificates.authorityFolder,
      cert: certificates.client.certificate,
      key: certificates.client.key,
      otherCa: certificates.otherAuthority,
      tls: String(tlsPort),
      psk: String(pskPort),
      socks: String(socks.port),
      strictSocks: String(strictSocks.port),
      brokenSocks: String(brokenSocks.port),
    },
  };
}

/** Runs the cases at the same time as far as the machine's processors allow. */
export function compareAll(name: string, cases: readonly NamedCase[]): void {
  test(name, { skip, concurrency: 3 }, async (t) => {
    const around = await surroundings(t);
    const named = cases.map((it) => t.test(it.name, (t) => compareWithDebian(t, around, it)));
    await Promise.all(named);
  });
}
