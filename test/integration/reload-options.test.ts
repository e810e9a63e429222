/**
 * `reloadable` in the table of options is what SIGHUP does: each option is changed by itself, and the broker's report
 * says of it what its row says. What a change then does is tested with the option; here none is left out.
 */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type OptionName, optionSchema } from '../../src/config/option-schema.js';
import type { OptionRow } from '../../src/config/option-types.js';
import { writeSecret } from '../support/brokers/access-files.js';
import { type Broker, startBroker } from '../support/brokers/broker.js';
import { skipWithout } from '../support/brokers/debian.js';
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
