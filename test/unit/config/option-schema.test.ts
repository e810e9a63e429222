/** The option table as a whole: complete, free of contradictions, and what is generated from it. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { exampleFile } from '../../../scripts/config-docs.js';
import { loadConfig } from '../../../src/config/load-config.js';
import { findOption, optionGroups, optionNames, optionSchema } from '../../../src/config/option-schema.js';
import { type OptionRow, settingName } from '../../../src/config/option-types.js';
import { nodeConfigSource } from '../../../src/runtime/shared/node-config-source.js';
import { fixture, memorySource, settingsOf, texts } from './config-support.js';

/** Every option name of Mosquitto 1.4 to 2.1, aliases and dropped ones included. */
const mosquittoNames = `
  accept_protocol_versions acl_file address addresses allow_anonymous allow_duplicate_messages
  allow_zero_length_clientid auth_opt_key auth_plugin auth_plugin_deny_special_chars auto_id_prefix
  autosave_interval autosave_on_changes bind_address bind_interface bridge_alpn bridge_attempt_unsubscribe
  bridge_bind_address bridge_cafile bridge_capath bridge_certfile bridge_ciphers bridge_ciphers_tls1.3
  bridge_identity bridge_insecure bridge_keyfile bridge_max_packet_size bridge_max_topic_alias
  bridge_outgoing_retain bridge_protocol_version bridge_psk bridge_receive_maximum bridge_reload_type
  bridge_require_ocsp bridge_session_expiry_interval bridge_tcp_keepalive bridge_tcp_user_timeout
  bridge_tls_use_os_certs bridge_tls_version cafile capath certfile check_retain_source ciphers ciphers_tls1.3
  cleansession clientid clientid_prefixes connection connection_messages crlfile dhparamfile
  disable_client_cert_date_checks enable_control_api enable_proxy_protocol ffdc_output global_max_clients
  global_max_connections global_plugin http_dir idle_timeout include_dir keepalive_interval keyfile listener
  listener_allow_anonymous listener_auto_id_prefix local_cleansession local_clientid local_password
  local_username log_dest log_facility log_timestamp log_timestamp_format log_type max_connections
  max_inflight_bytes max_inflight_messages max_keepalive max_log_entries max_packet_size max_qos
  max_queued_bytes max_queued_messages max_topic_alias max_topic_alias_broker maximum_qos memory_limit
  message_size_limit mount_point notification_topic notifications notifications_local_only packet_buffer_size
  password password_file per_listener_settings persistence persistence_file persistence_location
  persistent_client_expiration pid_file plugin plugin_load plugin_opt_key plugin_use port protocol
  proxy_protocol_v2_require_tls psk_file psk_hint queue_qos0_messages remote_clientid remote_password
  remote_username require_certificate restart_timeout retain_available retain_expiry_interval
  retained_persistence retry_interval round_robin set_tcp_nodelay socket_domain start_type
  store_clean_interval sys_interval threshold tls_engine tls_engine_kpass_sha1 tls_keyform tls_version topic
  trace_level trace_output try_private upgrade_outgoing_qos use_identity_as_username use_subject_as_username
  use_username_as_clientid user username websockets_headers_size websockets_log_level websockets_origin
`
  .trim()
  .split(/\s+/);

const rows = Object.entries(optionSchema) as [string, OptionRow][];

describe('the table', () => {
  test('knows every option of Mosquitto, and beyond them only ours', () => {
    assert.deepEqual(
      mosquittoNames.filter((name) => findOption(name) === undefined),
      [],
    );
    const ours = rows.filter(([, row]) => row.since === 'midge').map(([name]) => name);
    assert.deepEqual(
      optionNames.filter((name) => !mosquittoNames.includes(name)),
      ours,
    );
    assert.deepEqual(ours.sort(), [
      'bridge_max_drain_rate',
      'delay_failed_logins',
      'group_commit_interval',
      'log_format',
      'max_subscriptions',
      'persistence_mode',
      'worker_threads',
    ]);
  });

  test('has no name and no name in code twice', () => {
    const all = rows.flatMap(([name, row]) => [name, ...(row.aliases ?? [])]);
    assert.equal(new Set(all).size, all.length);
    const keys = rows.map(([name]) => settingName(name));
    assert.equal(new Set(keys).size, keys.length);
    const grouped = optionGroups.flatMap(({ options }) => Object.keys(options));
    assert.deepEqual(grouped, Object.keys(optionSchema));
  });

  test('has defaults that its own types accept', () => {
    for (const [name, row] of rows) {
      const { type, default: value } = row;
      if (value === undefined) continue;
      if (type.kind === 'bool') assert.equal(typeof value, 'boolean', name);
      if (type.kind === 'enum') assert.ok(type.values.includes(String(value)), name);
      if (type.kind === 'string') assert.equal(typeof value, 'string', name);
      if (type.kind === 'int') {
        assert.ok(Number.isInteger(value), name);
        assert.ok((type.min ?? -Infinity) <= Number(value) && Number(value) <= (type.max ?? Infinity), name);
      }
    }
  });

  test('says why, where an option never will have an effect', () => {
    for (const [name, row] of rows) assert.equal(row.reason !== undefined, row.effective === 'never', name);
  });

  test('makes names in code by one rule', () => {
    assert.equal(settingName('max_inflight_messages'), 'maxInflightMessages');
    assert.equal(settingName('ciphers_tls1.3'), 'ciphersTls13');
    assert.equal(settingName('proxy_protocol_v2_require_tls'), 'proxyProtocolV2RequireTls');
  });
});

describe('files', () => {
  test('one with every option loads', () => {
    const { path, text } = fixture('every-option.conf');
    const given = new Set(text.split('\n').flatMap((line) => findOption(line.split(' ')[0]!)?.name ?? []));
    assert.deepEqual(
      Object.keys(optionSchema).filter((name) => !given.has(name as keyof typeof optionSchema)),
      ['tls_engine', 'tls_engine_kpass_sha1'], // refused
    );

    const directories = { '/etc/mosquitto/conf.d/a.conf': '', '/usr/share/mosquitto/www/index.html': '' };
    const source = memorySource({ [path]: text, ...directories });
    const result = loadConfig({ source, configFile: path, hostname: 'pi' });
    assert.ok(result.ok, texts(result).join('\n'));
    const { settings } = result;
    assert.deepEqual(
      settings.listeners.map(({ port, host, socketPath, protocol }) => [port, host ?? socketPath, protocol]),
      [
        [1884, '192.0.2.1', 'mqtt'],
        [8883, undefined, 'mqtt'],
        [8884, '192.0.2.2', 'mqtt'],
        [9001, undefined, 'websockets'],
        [9883, 'localhost', 'http_api'],
        [0, '/run/mosquitto/mosquitto.sock', 'mqtt'],
      ],
    );
    assert.deepEqual(
      settings.bridges.map(({ name, address }) => [name, address.length]),
      [
        ['far', 3],
        ['near', 1],
      ],
    );
    assert.equal(settings.plugins.length, 4);
    const warnings = texts(result, 'warning');
    const pending = warnings.filter((line) => line.startsWith('Warning: Accepted but not yet effective'));
    const expected = rows.some(([, row]) => row.effective === false) ? 1 : 0;
    assert.equal(pending.length, expected);
  });

  test('one from the days of Mosquitto 1.4.8 loads, and keeps its meaning', () => {
    const { path, text } = fixture('mosquitto-1.4.8.conf');
    const result = loadConfig({ source: memorySource({ [path]: text }), configFile: path });
    assert.ok(result.ok, texts(result).join('\n'));
    const [listener] = result.settings.listeners;
    assert.equal(listener?.port, 8883);
    assert.equal(listener?.host, '192.0.2.1');
    assert.equal(listener?.cafile, '/etc/mosquitto/ca.crt');
    assert.equal(listener?.allowAnonymous, true);
    assert.equal(result.settings.maxInflightMessages, 10);
    assert.equal(result.settings.persistentClientExpiration, 1209600);
    assert.deepEqual(result.settings.bridges[0]?.restartTimeout, { kind: 'constant', seconds: 30 });
    assert.deepEqual(texts(result, 'warning').slice(0, 2), [
      "Warning: The 'retry_interval' option is no longer available.",
      'Warning: store_clean_interval is no longer needed.',
    ]);
  });

  for (const path of ['/usr/share/doc/mosquitto/examples/mosquitto.conf', '/etc/mosquitto/mosquitto.conf']) {
    test(`${path} loads`, { skip: !existsSync(path) && 'not installed here' }, () => {
      const result = loadConfig({ source: nodeConfigSource, configFile: path });
      assert.ok(result.ok, texts(result).join('\n'));
      assert.equal(result.settings.localOnly, true);
    });
  }

  const debianExample = '/usr/share/doc/mosquitto/examples/mosquitto.conf';
  test('each option that the Debian example shows is known', {
    skip: !existsSync(debianExample) && 'not installed here',
  }, () => {
    const shown = readFileSync(debianExample, 'utf8').matchAll(/^#([a-z][a-z0-9_.]+)(?= |$)/gm);
    const unknown = [...shown].flatMap(([, name]) => (findOption(name!) === undefined ? [name] : []));
    assert.deepEqual(unknown, []);
  });
});

describe('deploy/mosquitto.conf.example', () => {
  test('the defaults that the example shows are the defaults', () => {
    const shown = exampleFile()
      .split('\n')
      .flatMap((line) => /^#([a-z][a-z0-9_.]* \S+)$/.exec(line)?.[1] ?? [])
      .filter((line) => !line.endsWith('VALUE') && !line.startsWith('listener'));
    const isGlobal = (line: string) => findOption(line.split(' ')[0]!)?.row.scope === 'global';
    const text = shown.filter(isGlobal).join('\n');
    assert.ok(shown.filter(isGlobal).length > 30);
    // That max_packet_size is in the file means something by itself.
    const { givenPacketSizeMax, ...settings } = settingsOf(text);
    assert.equal(givenPacketSizeMax, settings.maxPacketSize);
    assert.deepEqual({ ...settings, configFile: undefined }, settingsOf('', {}, { configFile: undefined }));
  });
});
