/** Contexts are made anew when their files change, and only then. */
import assert from 'node:assert/strict';
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { bridgeTlsTarget } from '../../../src/bridge/bridge-tls.js';
import { type BridgeSettings, defaultsOf } from '../../../src/config/settings.js';
import { skipWithout } from '../../support/brokers/debian.js';
import { makeFolder } from '../../support/cleanup.js';
import { makeCertificates } from '../../support/network/certificates.js';

test('a bridge that tries again reads its files, and makes a context only of new ones', {
  skip: skipWithout('/usr/bin/openssl'),
}, async (t) => {
  const folder = makeFolder(t);
  const made = makeCertificates(folder);
  const bridgeCafile = join(folder, 'trusted.crt');
  const settings = { ...defaultsOf('bridge'), name: 'up', bridgeCafile } as BridgeSettings;
  const contextNow = async () => (await bridgeTlsTarget(settings))!.options.secureContext;
  copyFileSync(made.authority, bridgeCafile);
  const first = await contextNow();
  assert.equal(await contextNow(), first);
  copyFileSync(made.otherAuthority, bridgeCafile);
  const second = await contextNow();
  assert.notEqual(second, first);
  copyFileSync(made.authority, bridgeCafile);
  assert.equal(await contextNow(), first);
  const stricter = await bridgeTlsTarget({ ...settings, bridgeTlsVersion: 'tlsv1.3' });
  assert.notEqual(stricter!.options.secureContext, first);
});
