/**
 * `reloadable` in the table of options says what SIGHUP does. Each option is changed by itself, and the broker's report
 * has to say of it what its row says; those whose effect a client sees in a few packets have to show it, too.
 */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type OptionName, optionSchema } from '../../src/config/option-schema.js';
import type { OptionRow } from '../../src/config/option-types.js';
import type { Packet, ProtocolVersion } from '../../src/mqtt/packets.js';
import { reload, writeSecret } from '../support/brokers/access-files.js';
import { type Broker, startBroker } from '../support/brokers/broker.js';
import { skipWithout } from '../support/brokers/debian.js';
import { connectPacket } from '../support/clients/packet-socket.js';
import { RawClient } from '../support/clients/raw-client.js';
import { makeBadClients, makeCertificates } from '../support/network/certificates.js';
import { freePort } from '../support/network/free-port.js';

/** Values that differ from the default, where the kind of value does not give one. */
const samples: Partial<Record<OptionName, string>> = {
  accept_protocol_versions: '4,5',
  address: '127.0.0.1:2 127.0.0.1:3',
  bridge_bind_address: '127.0.0.2',
  bridge_tcp_keepalive: '10 10 3',
  log_dest: 'stdout',
  log_type: 'all',
  persistent_client_expiration: '2d',
  restart_timeout: '3 20',
  topic: 'other out 1',
  memory_limit: '4294967296',
  worker_threads: '2',
};

/** Rows that this test does not try, and why. */
const left: Partial<Record<OptionName, string>> = {
  auth_plugin_deny_special_chars: 'of a plugin, which is compared as a whole (access-reload.test.ts)',
  tls_engine: 'refused: there are no engines',
  tls_engine_kpass_sha1: 'refused: there are no engines',
  tls_keyform: 'its other value is refused',
};

const options = (Object.entries(optionSchema) as [OptionName, OptionRow][]).filter(
  ([name, { type }]) => type.kind !== 'directive' && type.kind !== 'removed' && left[name] === undefined,
);

/** A line that gives the option another value than its default. */
function changedLine(name: OptionName, { type, default: usual }: OptionRow): string {
  const sample = samples[name];
  if (sample !== undefined) return `${name} ${sample}`;
  switch (type.kind) {
    case 'bool':
      return `${name} ${usual !== true}`;
    case 'int': {
      const { min = 0, max = Number.MAX_SAFE_INTEGER } = type;
      const value = typeof usual === 'number' && usual > min && usual <= max ? usual - 1 : min + 1;
      return `${name} ${value === usual ? value + 1 : value}`;
    }
    case 'enum':
      return `${name} ${type.values.find((value) => value !== usual)}`;
    default:
      return `${name} x`;
  }
}

/** Lines that name files, which have to be there, and what else such an option needs. */
function fileLines(folder: string): Partial<Record<OptionName, string>> {
  const { authority, authorityFolder, server } = makeCertificates(folder);
  const pair = `certfile ${server.certificate}\nkeyfile ${server.key}`;
  return {
    acl_file: `acl_file ${writeSecret(folder, 'acl', 'topic a\n')}`,
    bridge_identity: 'bridge_identity i\nbridge_psk ab',
    bridge_psk: 'bridge_identity i\nbridge_psk ab',
    cafile: `${pair}\ncafile ${authority}`,
    capath: `${pair}\ncapath ${authorityFolder}`,
    certfile: pair,
    'ciphers_tls1.3': 'ciphers_tls1.3 TLS_AES_128_GCM_SHA256',
    crlfile: `${pair}\ncrlfile ${makeBadClients(folder).revocations}`,
    http_dir: `http_dir ${folder}`,
    keyfile: pair,
    password_file: `password_file ${writeSecret(folder, 'passwords', '')}`,
    psk_file: `psk_file ${writeSecret(folder, 'keys', 'i:ab\n')}`,
  };
}

/** The option's line where its scope has it. */
function configWith(template: string, { scope }: OptionRow, line: string): string {
  const place = scope === 'listener' || scope === 'bridge' ? scope : 'global';
  if (line.startsWith('address ')) return template.replace(/^address .*$/m, line); // given once
  return template.replace(`# ${place}`, line);
}

/** Goes back to the defaults: what several options need together is new for each of them. */
async function restore(broker: Broker, file: string, template: string): Promise<void> {
  const from = broker.log.length;
  writeFileSync(file, template);
  broker.program.signal('SIGHUP');
  await broker.waitForLog(/Changed: |No option and no file has changed/, { from });
}

test('SIGHUP applies each reloadable option, and says of each other one that it needs a restart', {
  skip: skipWithout('/usr/bin/openssl'),
}, async (t) => {
  const bridge = `connection b\naddress 127.0.0.1:${await freePort()}\ntopic a`;
  const broker = await startBroker(t, {
    config: `# global\nlistener {port} 127.0.0.1\n# listener\n${bridge}\n# bridge\n`,
  });
  const file = join(broker.folder, 'broker.conf');
  const template = readFileSync(file, 'utf8');
  const lines = fileLines(broker.folder);
  for (const [name, row] of options) {
    const line = lines[name] ?? changedLine(name, row);
    if (line.includes('\n')) await restore(broker, file, template);
    const from = broker.log.length;
    writeFileSync(file, configWith(template, row, line));
    broker.program.signal('SIGHUP');
    const refused = /nothing was changed|No option and no file has changed/;
    const named = new RegExp(`Changed.*: (.*, )?${name.replaceAll('.', '\\.')}( \\(|,|\\.)`);
    const said = await broker.waitForLog(new RegExp(`${refused.source}|${named.source}`), { from });
    assert.doesNotMatch(said, refused, broker.log.slice(from).join('\n'));
    assert.equal(!said.includes('only after a restart'), row.reloadable, said);
  }
});

/** A line that changes what `everythingSeen` sees, and lines that the broker starts with. */
const visible: Partial<Record<OptionName, string>> = {
  accept_protocol_versions: '5',
  acl_file: '{folder}/acl',
  allow_anonymous: 'false',
  allow_duplicate_messages: 'false',
  allow_zero_length_clientid: 'false',
  auto_id_prefix: 'other-',
  clientid_prefixes: 'other',
  listener_allow_anonymous: 'false',
  listener_auto_id_prefix: 'other-',
  max_inflight_messages: '7',
  max_keepalive: '9',
  max_packet_size: '1000',
  max_qos: '0',
  max_topic_alias: '3',
  message_size_limit: '5',
  password_file: '{folder}/passwords',
  retain_available: 'false',
  upgrade_outgoing_qos: 'true',
  use_username_as_clientid: 'true',
};

/** What a few clients get from the broker, as text: the same as long as the options are the same. */
async function everythingSeen(t: TestContext, broker: Broker): Promise<string> {
  const logins: [version: ProtocolVersion, clientId: string, username?: string][] = [
    [4, 'client'],
    [5, ''],
    [5, 'client', 'user'],
  ];
  const seen: unknown[] = [];
  for (const [version, clientId, username] of logins) {
    const client = await RawClient.open(t, broker, version);
    client.send(connectPacket(version, { clientId, ...(username !== undefined && { username }) }));
    client.sendSubscribe('a/#', 1);
    client.sendSubscribe('a/b', 1, { packetId: 2 });
    client.sendPublish('a/b', 'not short', { retain: true });
    client.sendPublish('a/b', 'again', { qos: 1, packetId: 3 });
    client.send({ type: 'unsubscribe', packetId: 4, filters: ['a/#'], properties: {} });
    seen.push(await packetsOf(client));
    client.destroy();
  }
  const text = JSON.stringify(seen, (key, value) => (key === 'packetId' ? undefined : value));
  return text.replaceAll(/[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}/g, 'random');
}

/** All packets, until UNSUBACK or the end of the connection; sorted, because acknowledgements wait for the store. */
async function packetsOf(client: RawClient): Promise<string[]> {
  const packets: string[] = [];
  const isOver = (packet: Packet) =>
    packet.type === 'unsuback' || (packet.type === 'connack' && packet.reasonCode !== 0);
  try {
    for (;;) {
      const packet = await client.next();
      packets.push(JSON.stringify(packet, (key, value) => (key === 'packetId' ? undefined : value)));
      if (isOver(packet)) break;
    }
  } catch (error) {
    if (!/closed the connection|ECONNRESET/.test((error as Error).message)) throw error;
    packets.push('closed');
  }
  return packets.sort();
}

test('SIGHUP brings into force what clients see, and takes it back', async (t) => {
  const broker = await startBroker(t, {
    config: '# global\nlistener {port} 127.0.0.1\nallow_anonymous true\n# listener\n',
  });
  writeSecret(broker.folder, 'acl', 'topic read nothing\n');
  writeSecret(broker.folder, 'passwords', '');
  const file = join(broker.folder, 'broker.conf');
  const template = readFileSync(file, 'utf8');
  await everythingSeen(t, broker); // from here on there is a retained message
  const before = await everythingSeen(t, broker);
  assert.equal(await everythingSeen(t, broker), before, 'the same options, the same answers');
  for (const [name, value] of Object.entries(visible) as [OptionName, string][]) {
    assert.equal(optionSchema[name].reloadable, true, name);
    const line = `${name} ${value.replace('{folder}', broker.folder)}`;
    const place = optionSchema[name].scope === 'listener' ? 'listener' : 'global';
    writeFileSync(
      file,
      name === 'allow_anonymous'
        ? template.replace('allow_anonymous true', line)
        : template.replace(`# ${place}`, line),
    );
    const lines = await reload(broker);
    assert.notEqual(await everythingSeen(t, broker), before, `${line}\n${lines.join('\n')}`);
    writeFileSync(file, template);
    await reload(broker);
    assert.equal(await everythingSeen(t, broker), before, `${name}, taken back`);
  }
});
