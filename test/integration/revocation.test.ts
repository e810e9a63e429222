/**
 * `crlfile`: the list of the client's own authority decides, as in Mosquitto, whether or not there are lists of the
 * authorities above it [mosq: crlfile].
 */
import assert from 'node:assert/strict';
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type Broker, isReference, startBroker, startMosquitto } from '../support/brokers/broker.js';
import { skipWithout, startClient } from '../support/brokers/debian.js';
import { makeFolder } from '../support/cleanup.js';
import { type KeyPair, makeAuthority, makeRegister, openssl, sign } from '../support/network/certificates.js';

const skip = skipWithout('/usr/bin/openssl', '/usr/bin/mosquitto_pub');

const AUTHORITY = 'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign';

interface Register {
  authority: KeyPair;
  config: string;
}

function register(folder: string, name: string, authority: KeyPair): Register {
  const books = join(folder, `${name}-books`);
  mkdirSync(books);
  return { authority, config: makeRegister(books) };
}

function ca({ authority, config }: Register, ...args: string[]): void {
  openssl('ca', '-config', config, '-cert', authority.certificate, '-keyfile', authority.key, ...args);
}

/** @returns the list in PEM, valid for a day unless the options say otherwise */
function listOf(books: Register, file: string, ...validity: string[]): string {
  ca(books, '-gencrl', ...(validity.length > 0 ? validity : ['-crldays', '1']), '-out', file);
  return readFileSync(file, 'utf8');
}

/** root → intermediate → two clients, of which one is revoked; and root → a third client */
function makeChain(t: TestContext) {
  const folder = makeFolder(t);
  const root = makeAuthority(folder, 'root');
  const intermediate = sign(folder, root, 'intermediate', 'DNS:intermediate', AUTHORITY);
  const clients = {
    good: sign(folder, intermediate, 'good', 'DNS:good'),
    revoked: sign(folder, intermediate, 'revoked', 'DNS:revoked'),
    ofRoot: sign(folder, root, 'of-root', 'DNS:of-root'),
  };
  const books = {
    root: register(folder, 'root', root),
    intermediate: register(folder, 'intermediate', intermediate),
  };
  ca(books.intermediate, '-revoke', clients.revoked.certificate);
  const lists = {
    root: listOf(books.root, join(folder, 'root.crl')),
    intermediate: listOf(books.intermediate, join(folder, 'intermediate.crl')),
    expired: listOf(
      books.intermediate,
      join(folder, 'expired.crl'),
      ...['-crl_lastupdate', '20200101000000Z', '-crl_nextupdate', '20200201000000Z'],
    ),
  };
  ca(books.root, '-revoke', intermediate.certificate);
  const rootRevokes = listOf(books.root, join(folder, 'root-revokes.crl'));
  const trusted = join(folder, 'trusted.crt');
  writeFileSync(trusted, readFileSync(root.certificate));
  appendFileSync(trusted, readFileSync(intermediate.certificate));
  const server = sign(folder, root, 'localhost', 'DNS:localhost,IP:127.0.0.1');
  return { folder, root, trusted, server, clients, lists: { ...lists, rootRevokes } };
}

type Chain = ReturnType<typeof makeChain>;

async function startWith(t: TestContext, chain: Chain, list: string, more = ''): Promise<Broker> {
  const crlfile = join(makeFolder(t), 'lists.crl');
  writeFileSync(crlfile, list);
  const config = [
    'listener {port} 127.0.0.1',
    'allow_anonymous true',
    `cafile ${chain.trusted}`,
    `certfile ${chain.server.certificate}`,
    `keyfile ${chain.server.key}`,
    `crlfile ${crlfile}`,
    'require_certificate true',
    more,
  ].join('\n');
  return isReference ? startMosquitto(t, { config }) : startBroker(t, { config });
}

async function isTaken(
  t: TestContext,
  broker: Broker,
  chain: Chain,
  { certificate, key }: KeyPair,
): Promise<boolean> {
  const client = startClient(t, broker, 'mosquitto_pub', [
    ...['-t', 'a', '-m', 'x', '-q', '1', '--cafile', chain.root.certificate],
    ...['--cert', certificate, '--key', key],
  ]);
  return (await client.waitForEnd()).code === 0;
}

test('crlfile', { skip }, async (t) => {
  const chain = makeChain(t);
  const { clients, lists } = chain;
  const rows: [what: string, list: string, taken: boolean, revokedTaken: boolean, reason: RegExp][] = [
    [
      "the list of the clients' authority only",
      lists.intermediate,
      true,
      false,
      /"CN=revoked" has been revoked/,
    ],
    ['both lists', lists.root + lists.intermediate, true, false, /"CN=revoked" has been revoked/],
    ['an old list and a new one', lists.expired + lists.intermediate, true, false, /has been revoked/],
    [
      'the list of the root only',
      lists.root,
      false,
      false,
      /comes from an authority of which there is no list/,
    ],
    ['a list that has expired', lists.expired, false, false, /the list in crlfile has expired/],
  ];
  await Promise.all(
    rows.map(([what, list, taken, revokedTaken, reason]) =>
      t.test(what, async (t) => {
        const broker = await startWith(t, chain, list);
        assert.equal(await isTaken(t, broker, chain, clients.good), taken);
        assert.equal(await isTaken(t, broker, chain, clients.revoked), revokedTaken);
        if (!isReference) await broker.waitForLog(reason);
      }),
    ),
  );

  await t.test('a client of the root needs the list of the root', async (t) => {
    const without = await startWith(t, chain, lists.intermediate);
    assert.equal(await isTaken(t, without, chain, clients.ofRoot), false);
    const withList = await startWith(t, chain, lists.intermediate + lists.root);
    assert.equal(await isTaken(t, withList, chain, clients.ofRoot), true);
  });

  await t.test(
    'an authority that its own authority has revoked',
    { skip: isReference && 'Mosquitto looks no further' },
    async (t) => {
      const broker = await startWith(t, chain, lists.intermediate + lists.rootRevokes);
      assert.equal(await isTaken(t, broker, chain, clients.good), false);
    },
  );

  await t.test('what is no list', { skip: isReference && "Midge's own words" }, async (t) => {
    const broken = lists.intermediate.replace(/\n[A-Za-z0-9+/]{4}/, '\nAAAA');
    await assert.rejects(startWith(t, chain, broken), /Unable to load certificate revocation file/);
  });
});
