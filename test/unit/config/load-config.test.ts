/** What is made of a configuration that is accepted: contexts, inheritance, local-only mode, what is said. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { loadConfig } from '../../../src/config/load-config.js';
import { defaultSettings, type ListenerSettings } from '../../../src/config/settings.js';
import { startingInLocalOnlyMode } from '../../../src/log/mosquitto-lines.js';
import { load, memorySource, settingsOf, texts } from './config-support.js';

describe('lines', () => {
  test('comments, blank lines, spaces and the end of a line are passed over', () => {
    const settings = settingsOf(
      ['#listener 1', '', '   ', '\rlistener 2', '  sys_interval    20  ', 'listener 1883'].join('\n'),
    );
    assert.equal(settings.sysInterval, 20);
    assert.deepEqual(
      settings.listeners.map(({ port }) => port),
      [1883],
    );
  });

  test('a file with CRLF says the same as one with LF', () => {
    const text =
      'listener 1883\nmount_point a/\npersistence_file store.db\nmax_qos 1\nlog_dest file /tmp/x y\n';
    assert.deepEqual(settingsOf(text.replaceAll('\n', '\r\n')), settingsOf(text));
  });

  test('whether max_packet_size is in the file is known, be it the default', () => {
    assert.equal(settingsOf('sys_interval 3').givenPacketSizeMax, undefined);
    assert.equal(settingsOf('max_packet_size 2000000').givenPacketSizeMax, 2_000_000);
  });

  test('the last line needs no end', () => {
    assert.equal(settingsOf('sys_interval 3').sysInterval, 3);
  });

  test('what follows a bool, a number or a keyword is ignored; a string is the rest of the line', () => {
    const settings = settingsOf(
      'persistence true # yes\nsys_interval 5 seconds\nlog_format json # structured\nclientid_prefixes a # b\n',
    );
    assert.equal(settings.persistence, true);
    assert.equal(settings.sysInterval, 5);
    assert.equal(settings.logFormat, 'json');
    assert.equal(settings.clientidPrefixes, 'a # b');
  });

  test('a comment need not be UTF-8', () => {
    const result = load(Buffer.from('# Küche\nsys_interval 3\n', 'latin1'));
    assert.equal(result.ok, true);
  });

  test('of a repeated option the last counts, unless it adds up', () => {
    const settings = settingsOf(
      'sys_interval 1\nsys_interval 2\nuser a\nuser b\nlog_type error\nlog_type debug\nlog_type error\n',
    );
    assert.equal(settings.sysInterval, 2);
    assert.equal(settings.user, 'b');
    assert.deepEqual(settings.logType, ['error', 'debug']);
  });
});

describe('values', () => {
  const cases: readonly (readonly [
    line: string,
    key: keyof ReturnType<typeof settingsOf>,
    value: unknown,
  ])[] = [
    ['sys_interval 0x10', 'sysInterval', 16],
    ['sys_interval 010', 'sysInterval', 8],
    ['sys_interval +7', 'sysInterval', 7],
    ['max_queued_messages -1', 'maxQueuedMessages', 0],
    ['max_inflight_messages -1', 'maxInflightMessages', 0],
    ['autosave_interval -1', 'autosaveInterval', 0],
    ['retain_expiry_interval 10000001', 'retainExpiryInterval', 10000000],
    ['global_max_clients -5', 'globalMaxClients', -5],
    ['memory_limit auto', 'memoryLimit', 'auto'],
    ['memory_limit 4294967296', 'memoryLimit', 4294967296],
    ['persistent_client_expiration 90s', 'persistentClientExpiration', 90],
    ['persistent_client_expiration 2h', 'persistentClientExpiration', 7200],
    ['persistent_client_expiration 14d', 'persistentClientExpiration', 1209600],
    ['persistent_client_expiration 1w', 'persistentClientExpiration', 604800],
    ['persistent_client_expiration 1m', 'persistentClientExpiration', 2592000],
    ['persistent_client_expiration 1y', 'persistentClientExpiration', 31536000],
    ['persistence 1', 'persistence', true],
    ['connection_messages 0', 'connectionMessages', false],
    ['worker_threads auto', 'workerThreads', 'auto'],
    ['worker_threads 32', 'workerThreads', 32],
    ['log_dest none', 'logDest', []],
    ['log_type none', 'logType', []],
    ['log_dest file /var/log/a b.log', 'logDest', [{ kind: 'file', path: '/var/log/a b.log' }]],
    ['websockets_headers_size 1', 'packetBufferSize', 1],
    ['retained_persistence true', 'persistence', true],
  ];
  for (const [line, key, value] of cases) {
    test(line, () => assert.deepEqual(settingsOf(`${line}\n`)[key], value));
  }

  test('"none" drops only what stands before it', () => {
    const settings = settingsOf(
      'log_dest syslog\nlog_dest none\nlog_dest topic\nlog_type all\nlog_type none\nlog_type debug\n',
    );
    assert.deepEqual(settings.logDest, [{ kind: 'topic' }]);
    assert.deepEqual(settings.logType, ['debug']);
  });
});

describe('local-only mode', () => {
  test('without a file: both loopback addresses, anonymous clients, every default', () => {
    const result = loadConfig({ source: memorySource({}) });
    assert.equal(result.ok, true);
    assert.deepEqual(result.messages, []);
    assert.deepEqual(result.ok && result.settings, defaultSettings());
    assert.deepEqual(
      result.ok &&
        result.settings.listeners.map(({ port, host, allowAnonymous }) => ({ port, host, allowAnonymous })),
      [
        { port: 1883, host: '127.0.0.1', allowAnonymous: true },
        { port: 1883, host: '::1', allowAnonymous: true },
      ],
    );
    assert.equal(startingInLocalOnlyMode().length, 3);
  });

  test('ports of the command line take the place of 1883', () => {
    const { localOnly, listeners } = settingsOf('', {}, { ports: [18831, 18832] });
    assert.equal(localOnly, true);
    assert.deepEqual(
      listeners.map(({ port, host }) => `${host} ${port}`),
      ['127.0.0.1 18831', '::1 18831', '127.0.0.1 18832', '::1 18832'],
    );
  });

  test('a configured listener ends it, and ports of the command line are ignored', () => {
    const result = load('listener 1884\n', {}, { ports: [18831] });
    assert.deepEqual(texts(result), [
      'Warning: -p is ignored, because the configuration file defines a listener.',
    ]);
    assert.equal(result.ok && result.settings.localOnly, false);
    assert.deepEqual(result.ok && result.settings.listeners.map(({ port }) => port), [1884]);
  });

  test('a default listener made by another option does not end it, and is discarded', () => {
    const result = load('max_connections 5\n');
    assert.deepEqual(texts(result), [
      "Creating default listener due to 'max_connections' option.",
      "A 'listener' should be defined before 'max_connections' is used.",
      'Warning: Ignored in local only mode, for want of a listener: max_connections.',
    ]);
    assert.equal(result.ok && result.settings.localOnly, true);
    assert.deepEqual(
      result.ok && result.settings.listeners.map(({ maxConnections }) => maxConnections),
      [-1, -1],
    );
  });

  test('security options given without a listener hold for it', () => {
    const { listeners } = settingsOf('allow_anonymous false\npassword_file /p\n');
    assert.deepEqual(
      listeners.map(({ allowAnonymous, passwordFile }) => [allowAnonymous, passwordFile]),
      [
        [false, '/p'],
        [false, '/p'],
      ],
    );
  });
});

describe('the default listener', () => {
  test('is made once, with two lines of information, and keeps what follows', () => {
    const result = load(
      'port 1884\nbind_address 192.0.2.1\nmax_connections 5\ncafile /ca\ncertfile /c\nkeyfile /k\n',
    );
    assert.deepEqual(texts(result, 'information'), [
      "Creating default listener due to 'port' option.",
      "A 'listener' should be defined before 'port' is used.",
    ]);
    assert.ok(result.ok);
    const [listener, ...others] = result.settings.listeners;
    assert.deepEqual(others, []);
    assert.equal(listener?.port, 1884);
    assert.equal(listener?.host, '192.0.2.1');
    assert.equal(listener?.maxConnections, 5);
    assert.equal(listener?.cafile, '/ca');
  });

  test('listens on 1883 when only its address is given', () => {
    const { listeners } = settingsOf('bind_address 192.0.2.1\n');
    assert.deepEqual(
      listeners.map(({ port, host }) => [port, host]),
      [[1883, '192.0.2.1']],
    );
  });

  test('takes the later of two ports, with a warning', () => {
    const result = load('port 1884\nport 1885\n');
    assert.deepEqual(texts(result, 'warning'), [
      'Warning: Default listener port specified multiple times. Only the latest will be used.',
    ]);
    assert.deepEqual(result.ok && result.settings.listeners.map(({ port }) => port), [1885]);
  });

  test('"port" after a listener goes back to it', () => {
    const { listeners } = settingsOf('listener 1884\nmax_qos 1\nport 1885\nmax_qos 0\nlistener 1886\n');
    assert.deepEqual(
      listeners.map(({ port, maxQos }) => [port, maxQos]),
      [
        [1884, 1],
        [1885, 0],
        [1886, 2],
      ],
    );
  });
});

describe('listeners', () => {
  test('each keeps the options that follow it', () => {
    const { listeners } = settingsOf(
      'listener 1884 127.0.0.1\nmax_qos 1\nconnection b\naddress h\ntopic #\nmount_point a/\nlistener 0 /run/m.sock\nlistener 1884 # all\n',
    );
    assert.deepEqual(
      listeners.map(({ port, host, socketPath, maxQos, mountPoint }) => [
        port,
        host,
        socketPath,
        maxQos,
        mountPoint,
      ]),
      [
        [1884, '127.0.0.1', undefined, 1, 'a/'],
        [0, undefined, '/run/m.sock', 2, undefined],
        [1884, undefined, undefined, 2, undefined],
      ],
    );
  });

  test('anonymous clients need a word once there is one', () => {
    assert.equal(settingsOf('listener 1883\n').listeners[0]?.allowAnonymous, false);
    assert.equal(settingsOf('listener 1883\n').allowAnonymous, false);
    assert.equal(settingsOf('listener 1883\nallow_anonymous true\n').listeners[0]?.allowAnonymous, true);
  });

  test('listener_allow_anonymous and listener_auto_id_prefix win over the global options', () => {
    const { listeners } = settingsOf(
      'allow_anonymous true\nauto_id_prefix g-\nlistener 1\nlistener_allow_anonymous false\nlistener 2\nlistener_auto_id_prefix l-\n',
    );
    assert.deepEqual(
      listeners.map(({ allowAnonymous, autoIdPrefix }) => [allowAnonymous, autoIdPrefix]),
      [
        [false, 'g-'],
        [true, 'l-'],
      ],
    );
  });

  test('two listeners of a port are no conflict if their interfaces or families differ', () => {
    settingsOf('listener 1883\nbind_interface eth0\nlistener 1883\nbind_interface lo\n');
    settingsOf('listener 1883\nsocket_domain ipv4\nlistener 1883\nsocket_domain ipv6\n');
    settingsOf('listener 1883 127.0.0.1\nlistener 1883 ::1\nsocket_domain ipv6\n');
  });

  test('what lets no client in, or has no effect, is said before the broker starts', () => {
    assert.deepEqual(texts(load('listener 1\npsk_hint x\ntls_version tlsv1.3\n')), [
      "Warning: 'tls_version tlsv1.3' at mosquitto.conf:3 lets no client in: 'psk_hint' needs TLS 1.2.",
    ]);
    const withTls = 'listener 1\ncertfile /c\nkeyfile /k\nrequire_certificate true\n';
    assert.deepEqual(texts(load(withTls)), [
      'Warning: require_certificate without cafile or capath trusts no authority: no client can connect.',
    ]);
  });

  test('require_certificate without TLS is not silently without effect', () => {
    const [warning] = texts(load('listener 1883\nrequire_certificate true\n'), 'warning');
    assert.equal(
      warning,
      "Warning: 'require_certificate' at mosquitto.conf:2 has no effect: the listener has no TLS.",
    );
  });

  test('what is asked of a proxy is not silently without effect, either', () => {
    const require = 'proxy_protocol_v2_require_tls true\n';
    const warning =
      "Warning: 'proxy_protocol_v2_require_tls' at mosquitto.conf:2 has no effect without 'enable_proxy_protocol 2'.";
    assert.deepEqual(texts(load(`listener 1883\n${require}`), 'warning'), [warning]);
    assert.deepEqual(texts(load(`listener 1883\n${require}enable_proxy_protocol 1\n`), 'warning'), [warning]);
    assert.deepEqual(texts(load(`listener 1883\n${require}enable_proxy_protocol 2\n`)), []);
    assert.deepEqual(texts(load('listener 1883\nproxy_protocol_v2_require_tls false\n')), []);
    assert.deepEqual(texts(load('listener 1883\nenable_proxy_protocol 2\nrequire_certificate true\n')), []);
  });
});

describe('per_listener_settings', () => {
  test('security options belong to the listener before them', () => {
    const result = load(
      'per_listener_settings true\nlistener 1\nallow_anonymous true\npassword_file /p1\nlistener 2\nacl_file /a2\nauto_id_prefix two-\nplugin /x/mosquitto_acl_file.so\nplugin_opt_acl_file /a\n',
    );
    assert.ok(result.ok);
    const { settings } = result;
    assert.equal(settings.perListenerSettings, true);
    assert.equal(settings.passwordFile, undefined);
    assert.deepEqual(
      settings.listeners.map((listener) => [
        listener.allowAnonymous,
        listener.passwordFile,
        listener.aclFile,
        listener.autoIdPrefix,
        listener.plugins,
      ]),
      [
        [true, '/p1', undefined, 'auto-', []],
        [false, undefined, '/a', 'two-', [0]],
      ],
    );
    assert.equal(settings.plugins[0]?.global, false);
    assert.ok(
      texts(result, 'notice').includes(
        'Note: It is recommended to replace `allow_anonymous` with `listener_allow_anonymous`.',
      ),
    );
  });

  test('once true it stays true, and a false one may come late', () => {
    assert.equal(
      settingsOf('per_listener_settings true\nper_listener_settings false\n').perListenerSettings,
      true,
    );
    assert.equal(
      settingsOf('allow_anonymous true\nper_listener_settings false\n').perListenerSettings,
      false,
    );
  });

  test('global_plugin stays global', () => {
    const { plugins, listeners } = settingsOf(
      'per_listener_settings true\nlistener 1\nglobal_plugin /g/mosquitto_acl_file.so\nplugin_opt_acl_file /a\n',
    );
    assert.equal(plugins[0]?.global, true);
    assert.deepEqual(listeners[0]?.plugins, []);
  });
});

describe('plugins', () => {
  test('options go to the one named last', () => {
    const { plugins, listeners } = settingsOf(
      'plugin_load one /1/acl_file.so\nplugin_opt_acl_file a\nplugin_load two /2 b/password-file.so\nplugin_opt_password_file b\nlistener 1\nplugin_use one\nauth_opt_name c\nauth_plugin_deny_special_chars false\nplugin_use one\n',
    );
    assert.deepEqual(plugins, [
      {
        name: 'one',
        path: '/1/acl_file.so',
        global: false,
        options: [
          { key: 'acl_file', value: 'a' },
          { key: 'name', value: 'c' },
        ],
        authPluginDenySpecialChars: false,
      },
      {
        name: 'two',
        path: '/2 b/password-file.so',
        global: false,
        options: [{ key: 'password_file', value: 'b' }],
        authPluginDenySpecialChars: true,
      },
    ]);
    assert.deepEqual(listeners[0]?.plugins, [0]);
    assert.deepEqual(filesOf(listeners), [['a', undefined, false]]);
  });

  const acl = (name: string) => `/usr/lib/mosquitto_acl_file.so\nplugin_opt_acl_file ${name}\n`;
  const passwords = (name: string) =>
    `/usr/lib/mosquitto_password_file.so\nplugin_opt_password_file ${name}\n`;
  const filesOf = (listeners: readonly ListenerSettings[]) =>
    listeners.map(({ aclFile, passwordFile, aclRefusesSpecialChars }) => [
      aclFile,
      passwordFile,
      aclRefusesSpecialChars,
    ]);

  test('stand for the files that they name', () => {
    const { listeners } = settingsOf(`listener 1\nlistener 2\nplugin ${acl('/a')}plugin ${passwords('/p')}`);
    assert.deepEqual(filesOf(listeners), [
      ['/a', '/p', true],
      ['/a', '/p', true],
    ]);
  });

  test('come before the option of the same name', () => {
    const { listeners } = settingsOf(`listener 1\nacl_file /first\nplugin ${acl('/a')}`);
    assert.deepEqual(filesOf(listeners), [['/a', undefined, true]]);
  });

  test('of one listener come after the option for all', () => {
    const { listeners } = settingsOf(
      `acl_file /all\nplugin_load one ${acl('/a')}listener 1\nplugin_use one\nlistener 2\n`,
    );
    assert.deepEqual(filesOf(listeners), [
      ['/all', undefined, false],
      ['/all', undefined, false],
    ]);
  });

  test('belong to their listener under per_listener_settings, unless they are global', () => {
    const { listeners } = settingsOf(
      `per_listener_settings true\nlistener 1\nacl_file /one\nplugin ${acl('/a')}listener 2\nacl_file /two\nglobal_plugin ${passwords('/p')}`,
    );
    assert.deepEqual(filesOf(listeners), [
      ['/a', '/p', true],
      ['/two', '/p', false],
    ]);
  });

  test('work in local only mode', () => {
    const { listeners } = settingsOf(`plugin ${acl('/a')}`);
    assert.deepEqual(filesOf(listeners), [
      ['/a', undefined, true],
      ['/a', undefined, true],
    ]);
  });
});

describe('bridges', () => {
  test('defaults are made of what else is said', () => {
    const { bridges } = settingsOf(
      'max_inflight_messages 7\nconnection a\naddress h\ntopic #\nconnection b\naddress h\ntopic #\ncleansession true\nclientid id\n',
    );
    assert.deepEqual(
      bridges.map((bridge) => [
        bridge.name,
        bridge.remoteClientid,
        bridge.localClientid,
        bridge.localCleansession,
        bridge.bridgeReceiveMaximum,
      ]),
      [
        ['a', 'pi.a', 'local.pi.a', false, 7],
        ['b', 'id', 'local.id', true, 7],
      ],
    );
  });

  const addresses: readonly (readonly [string, readonly string[]])[] = [
    ['one', ['one 1883']],
    ['one:1884 two', ['one 1884', 'two 1883']],
    ['2001:db8::1:1884', ['2001:db8::1 1884']],
    ['one # two', ['one 1883']],
  ];
  for (const [line, expected] of addresses) {
    test(`address ${line}`, () => {
      const [bridge] = settingsOf(`connection a\naddress ${line}\ntopic #\n`).bridges;
      assert.deepEqual(
        bridge?.address.map(({ host, port }) => `${host} ${port}`),
        expected,
      );
    });
  }

  test('an IPv6 address without its port draws a warning', () => {
    const result = load('connection a\naddress ::1\ntopic #\n');
    assert.equal(
      texts(result, 'warning')[0],
      "Warning: '::1' is read as host ':' and port 1: an IPv6 address needs its port.",
    );
  });

  const restarts: readonly (readonly [string, unknown])[] = [
    ['20', { kind: 'constant', seconds: 20 }],
    ['0', { kind: 'constant', seconds: 1 }],
    ['soon', { kind: 'constant', seconds: 1 }],
    ['4000', { kind: 'constant', seconds: 3600 }],
    ['5 30', { kind: 'jitter', baseSeconds: 5, capSeconds: 30, stableSeconds: 0 }],
    ['5 9999 60', { kind: 'jitter', baseSeconds: 5, capSeconds: 7200, stableSeconds: 60 }],
  ];
  for (const [value, expected] of restarts) {
    test(`restart_timeout ${value}`, () => {
      const { bridges } = settingsOf(`connection a\naddress h\ntopic #\nrestart_timeout ${value}\n`);
      assert.deepEqual(bridges[0]?.restartTimeout, expected);
    });
  }
});

describe('what is said', () => {
  test('http_dir says nothing where it is served, and that it has no effect elsewhere', () => {
    const others = { '/srv/index.html': '' };
    const served = load('listener 80\nhttp_dir /srv\nprotocol http_api\n', others);
    assert.deepEqual([served.ok, texts(served)], [true, []]);
    assert.deepEqual(texts(load('listener 80\nhttp_dir /srv\n', others)), [
      "Warning: 'http_dir' at mosquitto.conf:2 has no effect without 'protocol http_api'.",
    ]);
  });

  test('its default is not worth a word', () => {
    assert.deepEqual(texts(load('listener 1883\nprotocol mqtt\n')), []);
  });

  test('a deprecated option is noted once, under the name that was written', () => {
    assert.deepEqual(texts(load('clientid_prefixes a\nclientid_prefixes b\n')), [
      "The 'clientid_prefixes' option is now deprecated and will be removed in version 3.0. ",
    ]);
  });

  test('options of other times are accepted, whatever their value', () => {
    const result = load('retry_interval often\nstore_clean_interval\ntrace_level 1\ndhparamfile /dh\n');
    assert.equal(result.ok, true);
    assert.deepEqual(texts(result), [
      "Warning: The 'retry_interval' option is no longer available.",
      'Warning: store_clean_interval is no longer needed.',
      "Warning: The 'trace_level' option is not supported.",
      'Warning: dhparamfile is no longer required.',
    ]);
  });
});

describe('errors', () => {
  test('all of a file are reported at once, and none for what another one caused', () => {
    const result = load(
      [
        'persistense true',
        'listener mqtt',
        'max_qos 3',
        'cafile /etc/ca.pem',
        'connection far',
        'connection far',
        'address',
        'topic a/# sideways',
      ].join('\n'),
    );
    assert.deepEqual(
      texts(result, 'error').filter((text) => text.startsWith('Error')),
      [
        "Error: Unknown configuration variable 'persistense'.",
        'Error found at mosquitto.conf:1.',
        "Error: 'listener port' value not a number.",
        'Error found at mosquitto.conf:2.',
        "Error: 'max_qos' must be between 0 and 2 inclusive.",
        'Error found at mosquitto.conf:3.',
        "Error: Duplicate bridge name 'far'.",
        'Error found at mosquitto.conf:6.',
        'Error: Empty address value in configuration.',
        'Error found at mosquitto.conf:7.',
        "Error: Invalid bridge topic direction 'sideways'.",
        'Error found at mosquitto.conf:8.',
        'Error: Invalid bridge configuration: no remote addresses defined.',
        'Error found at mosquitto.conf:5.',
        'Error: Invalid bridge configuration: no topics defined.',
        'Error found at mosquitto.conf:5.',
      ],
    );
  });

  test('a misspelled listener does not make its options homeless', () => {
    const result = load('listner 1883\nlistener_allow_anonymous true\nconection b\naddress h\ntopic #\n');
    assert.deepEqual(
      texts(result, 'error').filter((text) => text.startsWith('Error:')),
      [
        "Error: Unknown configuration variable 'listner'.",
        "Error: Unknown configuration variable 'conection'.",
      ],
    );
    assert.deepEqual(texts(result, 'information'), []);
  });

  test('a file that is not there, or a directory', () => {
    const source = memorySource({ 'conf.d/a.conf': '' });
    assert.deepEqual(texts(loadConfig({ source, configFile: 'none.conf' })), [
      "Error: Unable to open config file 'none.conf'.",
      'The system says: no such file.',
    ]);
    assert.deepEqual(texts(loadConfig({ source, configFile: 'conf.d' })), [
      "Error: Config file 'conf.d' is a directory.",
      'To read all files of a directory, name it with include_dir.',
    ]);
  });
});

describe('what wins over the file', () => {
  test('-v is every log type, -q none, and -q wins', () => {
    const text = 'log_type error\n';
    assert.equal(settingsOf(text, {}, { verbose: true }).logType.length, 9);
    assert.deepEqual(settingsOf(text, {}, { quiet: true }).logType, []);
    assert.deepEqual(settingsOf(text, {}, { quiet: true, verbose: true }).logType, []);
  });

  test('MOSQUITTO_PERSISTENCE_LOCATION', () => {
    const environment = { MOSQUITTO_PERSISTENCE_LOCATION: '/data' };
    assert.equal(settingsOf('persistence_location /var\n', {}, { environment }).persistenceLocation, '/data');
  });
});

test('settings are plain data: a worker thread can be given them', () => {
  const settings = settingsOf(
    'listener 1\nconnection a\naddress h\ntopic #\nplugin /x/mosquitto_acl_file.so\nplugin_opt_acl_file /a\n',
  );
  assert.deepEqual(structuredClone(settings), settings);
});
