/** The ways from a bridge to the other broker: what both sides are configured with for each. */
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { makeFolder } from '../cleanup.js';
import { makeCertificates } from '../network/certificates.js';
import { freePort } from '../network/free-port.js';
import type { BridgePairOptions } from './bridge-pair.js';

export type Way = 'TCP' | 'TLS' | 'PSK';

/** The options of a pair for that way; other clients connect to the far broker over TCP in any case. */
export async function optionsFor(
  t: TestContext,
  way: Way,
  options: BridgePairOptions,
): Promise<BridgePairOptions> {
  if (way === 'TCP') return options;
  const farPort = await freePort();
  const { listener, bridge } = way === 'TLS' ? tls(t) : preSharedKey(t);
  return {
    ...options,
    farPort,
    farConfig: `${options.farConfig}\nlistener ${farPort} 127.0.0.1\n${listener}`,
    bridge: `${options.bridge}\n${bridge}`,
  };
}

function tls(t: TestContext): { listener: string; bridge: string } {
  const { server, authority } = makeCertificates(makeFolder(t));
  return {
    listener: `certfile ${server.certificate}\nkeyfile ${server.key}`,
    bridge: `bridge_cafile ${authority}`,
  };
}

function preSharedKey(t: TestContext): { listener: string; bridge: string } {
  const keys = join(makeFolder(t), 'keys');
  writeFileSync(keys, 'gateway:0123456789abcdef\n');
  chmodSync(keys, 0o600);
  return {
    listener: `psk_file ${keys}\npsk_hint hint`,
    bridge: 'bridge_identity gateway\nbridge_psk 0123456789abcdef',
  };
}
