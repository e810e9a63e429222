/**
 * `midge check`: faults planted into files as people have them are found, each with its line and alone; the files that
 * distributions ship have none but what is said of them here.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { before, describe, test } from 'node:test';
import { checkConfig, parseCheckArguments, runCheckCommand } from '../../../../src/cli/midge/check/check.js';
import type { FileLook, Finding, MosquittoVersion } from '../../../../src/cli/midge/check/finding.js';
import { makeFolder } from '../../../support/cleanup.js';
import { makeAuthority } from '../../../support/network/certificates.js';
import { type Files, fixture, memorySource } from '../../config/config-support.js';

const CONF = '/etc/mosquitto/mosquitto.conf';

/** A gateway: TLS, users, rules, a bridge, a store. Nothing is to be said of it. */
const SOUND = `persistence true
persistence_location /var/lib/mosquitto/
log_dest file /var/log/mosquitto/mosquitto.log
listener 8883
certfile /etc/mosquitto/server.crt
keyfile /etc/mosquitto/server.key
allow_anonymous false
password_file /etc/mosquitto/passwd
acl_file /etc/mosquitto/acl
connection cloud
address broker.example.org:8883
bridge_cafile /etc/mosquitto/ca.crt
remote_username gateway
remote_password secret
topic sensors/# out 1
`;

const HASH =
  '$7$101$y+wSlAV4hWSzSN/e$bNBxzUEcPRxIQ3ck8HKqVvw4dvSGZHO8hKnJ/ofQuLBkLNSeIQ9nBCfQ1A1kw8iVVoGXRNNBRMkOzVLf4B2ZqQ==';
const PASSWORDS = `alice:${HASH}\nbob:${HASH}\n`;
const RULES = 'user alice\ntopic readwrite #\nuser bob\ntopic read sensors/#\n';

type World = Record<string, { text: string; mode?: number; isLink?: boolean } | 'folder' | 'hidden'>;

let pems: Record<'ca' | 'certificate' | 'key' | 'otherKey', string>;
/** When the certificates, which are made today, are sound. */
const now = new Date();
const later = (days: number) => new Date(now.getTime() + days * 24 * 3600 * 1000);

const YEAR_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '365'];

before((t) => {
  const folder = makeFolder(t as never);
  const text = (path: string) => readFileSync(path, 'utf8');
  const server = makeAuthority(folder, 'server', YEAR_KEY, 'localhost');
  const authority = makeAuthority(folder, 'authority', YEAR_KEY);
  pems = {
    ca: text(authority.certificate),
    certificate: text(server.certificate),
    key: text(server.key),
    otherKey: text(authority.key),
  };
});

function soundFiles(): World {
  return {
    '/etc/mosquitto/passwd': { text: PASSWORDS, mode: 0o640 },
    '/etc/mosquitto/acl': { text: RULES, mode: 0o640 },
    '/etc/mosquitto/server.crt': { text: pems.certificate },
    '/etc/mosquitto/server.key': { text: pems.key, mode: 0o600 },
    '/etc/mosquitto/ca.crt': { text: pems.ca },
    '/var/log/mosquitto': 'folder',
    '/var/lib/mosquitto/': 'folder',
  };
}

interface Check {
  text: string;
  files?: World;
  configs?: Files;
  mode?: number;
  from?: MosquittoVersion;
  at?: Date;
}

function findings({
  text,
  files = {},
  configs = {},
  mode = 0o640,
  from,
  at = now,
}: Check): readonly Finding[] {
  const world: World = { ...soundFiles(), [CONF]: { text, mode }, ...files };
  const look = (path: string): FileLook => {
    const found = world[path];
    if (found === undefined)
      return { kind: 'unreadable', isHidden: false, reason: 'No such file or directory' };
    if (found === 'hidden') return { kind: 'unreadable', isHidden: true, reason: 'Permission denied' };
    if (found === 'folder') return { kind: 'folder' };
    return {
      kind: 'file',
      bytes: Buffer.from(found.text),
      mode: found.mode ?? 0o644,
      isLink: found.isLink ?? false,
    };
  };
  const source = memorySource({ ...configs, [CONF]: text });
  return checkConfig({ config: CONF, from, isJson: false }, { source, look, now: at }).findings;
}

const shown = ({ kind, place, text }: Finding) =>
  `${kind} ${place === undefined ? '-' : `${place.file.split('/').at(-1)}:${place.line}`} ${text}`;

/** The sound file with a line replaced (or, without `by`, taken out), and lines added at the end. */
function sound(change: { line?: RegExp; by?: string; add?: string } = {}): string {
  const { line, by, add = '' } = change;
  const lines = SOUND.split('\n');
  const changed = lines.flatMap((text) => (line?.test(text) ? (by === undefined ? [] : [by]) : [text]));
  if (line !== undefined) assert.notDeepEqual(changed, lines, `${line} is in the file`);
  return changed.join('\n') + add;
}

const listener = (...lines: string[]) => `${['listener 1883', ...lines].join('\n')}\n`;
const withUsers = ['allow_anonymous false', 'password_file /etc/mosquitto/passwd'];

/** Name of the fault, what is checked, and all that is found. */
const planted: [name: string, check: () => Check, found: RegExp[]][] = [
  // ---------------------------------------------------------------- the configuration's own errors
  [
    'a misspelled option',
    () => ({ text: sound({ add: 'keepalive_intervall 30\n' }) }),
    [/^error mosquitto.conf:16 Unknown configuration variable 'keepalive_intervall'/],
  ],
  [
    'a certificate without its key',
    () => ({ text: sound({ line: /^keyfile/ }) }),
    [/^error mosquitto.conf:5 Both certfile and keyfile/],
  ],
  [
    'one port twice',
    () => ({ text: `listener 8883\n${SOUND}` }),
    [/^error mosquitto.conf:5 Two listeners for port 8883/],
  ],
  [
    'a bridge without topics',
    () => ({ text: sound({ line: /^topic/ }) }),
    [/^error mosquitto.conf:10 Invalid bridge configuration: no topics/],
  ],
  [
    'a bridge without an address',
    () => ({ text: sound({ line: /^address/ }) }),
    [/^error mosquitto.conf:10 Invalid bridge configuration: no remote addresses/],
  ],
  [
    'a plugin that Midge has not',
    () => ({ text: `plugin /usr/lib/go-auth.so\n${SOUND}` }),
    [/^error mosquitto.conf:1 Unable to load plugin/],
  ],
  [
    'a folder of files that is not there',
    () => ({ text: `${SOUND}include_dir /etc/mosquitto/conf.d\n` }),
    [/^error mosquitto.conf:16 Unable to open include_dir/],
  ],
  [
    'a number out of its range',
    () => ({ text: `max_qos 3\n${SOUND}` }),
    [/^error mosquitto.conf:1 .*max_qos/],
  ],
  // ---------------------------------------------------------------- files
  [
    'a password file that is not there',
    () => ({ text: sound({ line: /^password_file/, by: 'password_file /etc/mosquitto/pwfile' }) }),
    [
      /^error mosquitto.conf:8 'password_file': \/etc\/mosquitto\/pwfile cannot be read: No such file or directory/,
    ],
  ],
  [
    'a password that is not hashed',
    () => ({
      text: SOUND,
      files: { '/etc/mosquitto/passwd': { text: `${PASSWORDS}carol:secret\n`, mode: 0o640 } },
    }),
    [/^error passwd:3 /],
  ],
  [
    'a password file for everybody',
    () => ({ text: SOUND, files: { '/etc/mosquitto/passwd': { text: PASSWORDS, mode: 0o644 } } }),
    [/^weak mosquitto.conf:8 'password_file': every user of this machine can read/],
  ],
  [
    'a password file that may not be looked at',
    () => ({ text: SOUND, files: { '/etc/mosquitto/passwd': 'hidden' } }),
    [/^doubtful mosquitto.conf:8 'password_file': .* was not looked at/],
  ],
  [
    'a password file that is a link',
    () => ({
      text: SOUND,
      files: { '/etc/mosquitto/passwd': { text: PASSWORDS, mode: 0o640, isLink: true } },
    }),
    [/^error mosquitto.conf:8 .* symbolic link/],
  ],
  [
    'an ACL file that is not there',
    () => ({ text: sound({ line: /^acl_file/, by: 'acl_file /etc/mosquitto/rules' }) }),
    [/^error mosquitto.conf:9 'acl_file'/],
  ],
  [
    'an ACL file that anybody may change',
    () => ({ text: SOUND, files: { '/etc/mosquitto/acl': { text: RULES, mode: 0o666 } } }),
    [/^weak mosquitto.conf:9 'acl_file': every user of this machine can change/],
  ],
  [
    'a wrong word in the ACL file',
    () => ({ text: SOUND, files: { '/etc/mosquitto/acl': { text: 'user alice\ntopic readonly a\n' } } }),
    [/^error acl:2 Invalid topic access type "readonly"/],
  ],
  [
    'rights for a user who is not there',
    () => ({ text: SOUND, files: { '/etc/mosquitto/acl': { text: `${RULES}user carol\ntopic read a\n` } } }),
    [/^no effect acl:6 The user 'carol' is not in/],
  ],
  [
    'rights for anonymous clients, who are refused',
    () => ({ text: SOUND, files: { '/etc/mosquitto/acl': { text: `topic readwrite public/#\n${RULES}` } } }),
    [/^no effect acl:1 Lines before the first 'user'/],
  ],
  [
    'an ACL file in UTF-16',
    () => ({ text: SOUND, files: { '/etc/mosquitto/acl': { text: '\ufeffu\0s\0e\0r\0 \0a\0\n\0' } } }),
    [/^error (mosquitto.conf:9|acl:1) /],
  ],
  [
    'a certificate that is not there',
    () => ({ text: sound({ line: /^certfile/, by: 'certfile /etc/ssl/server.crt' }) }),
    [/^error mosquitto.conf:5 'certfile': \/etc\/ssl\/server.crt cannot be read/],
  ],
  [
    'a certificate that has ended',
    () => ({ text: sound({ line: /^bridge_cafile/, by: 'bridge_tls_use_os_certs true' }), at: later(4000) }),
    [/^error mosquitto.conf:5 'certfile': the certificate CN=localhost .* ended on/],
  ],
  [
    'a certificate that ends soon',
    () => ({ text: sound({ line: /^bridge_cafile/, by: 'bridge_tls_use_os_certs true' }), at: later(350) }),
    [/^doubtful mosquitto.conf:5 'certfile': .* ends in \d+ days/],
  ],
  [
    'a clock before the certificate',
    () => ({ text: sound({ line: /^bridge_cafile/, by: 'bridge_tls_use_os_certs true' }), at: new Date(0) }),
    [/^error mosquitto.conf:5 'certfile': .* begins on/],
  ],
  [
    'a key of another certificate',
    () => ({ text: SOUND, files: { '/etc/mosquitto/server.key': { text: pems.otherKey, mode: 0o600 } } }),
    [/^error mosquitto.conf:6 The key in .* does not belong to the certificate/],
  ],
  [
    'a key for everybody',
    () => ({ text: SOUND, files: { '/etc/mosquitto/server.key': { text: pems.key, mode: 0o644 } } }),
    [/^weak mosquitto.conf:6 'keyfile': every user/],
  ],
  [
    'an authority that is no certificate',
    () => ({ text: SOUND, files: { '/etc/mosquitto/ca.crt': { text: 'hello\n' } } }),
    [/^error mosquitto.conf:12 'bridge_cafile': .* has no certificate/],
  ],
  [
    "a bridge's password in a file for everybody",
    () => ({ text: SOUND, mode: 0o644 }),
    [/^weak mosquitto.conf:14 The password of bridge cloud/],
  ],
  [
    'a log in a folder that is not there',
    () => ({ text: sound({ line: /^log_dest/, by: 'log_dest file /var/log/midge/log' }) }),
    [/^error mosquitto.conf:3 'log_dest file': the folder \/var\/log\/midge is not there/],
  ],
  [
    'a store in the folder of the start',
    () => ({ text: sound({ line: /^persistence_location/, by: 'persistence_location data/' }) }),
    [/^doubtful mosquitto.conf:2 'persistence_location data\/' depends/],
  ],
  [
    'keys for TLS that are no numbers',
    () => ({
      text: listener('psk_hint home', 'use_identity_as_username true', 'psk_file /etc/mosquitto/psk'),
      files: { '/etc/mosquitto/psk': { text: 'sensor:xyz\n', mode: 0o600 } },
    }),
    [/^error psk:1 psk for identity "sensor" contains non-hexadecimal/],
  ],
  // ---------------------------------------------------------------- weak
  [
    'anybody from anywhere',
    () => ({ text: listener('allow_anonymous true') }),
    [
      /^weak mosquitto.conf:2 Whoever reaches port 1883 connects without a password and publishes and reads every topic/,
    ],
  ],
  [
    'anybody from anywhere, with rules',
    () => ({ text: listener('allow_anonymous true', 'acl_file /etc/mosquitto/acl') }),
    [/^weak mosquitto.conf:2 .* has the rights of anonymous clients in/],
  ],
  [
    'the HTTP API for everybody',
    () => ({
      text:
        listener(...withUsers).replace('1883', '1883 127.0.0.1') +
        'listener 8080\nprotocol http_api\nlistener_allow_anonymous true\n',
    }),
    [
      /^weak mosquitto.conf:6 Whoever reaches port 8080 .* sees clients/,
      /^weak mosquitto.conf:3 Clients send their passwords to port 8080/,
    ],
  ],
  [
    'passwords in the clear',
    () => ({ text: listener(...withUsers) }),
    [/^weak mosquitto.conf:3 Clients send their passwords to port 1883 without TLS/],
  ],
  [
    'users, and anybody beside them',
    () => ({
      text: listener('allow_anonymous true', 'password_file /etc/mosquitto/passwd').replace(
        '1883',
        '1883 127.0.0.1',
      ),
    }),
    [/^doubtful mosquitto.conf:2 Port 1883 of 127.0.0.1 has a password_file, but/],
  ],
  [
    'nobody at all',
    () => ({ text: listener() }),
    [/^error mosquitto.conf:1 No client can log in on port 1883: anonymous clients are refused/],
  ],
  [
    'a user name from a certificate that nobody shows',
    () => ({ text: sound({ line: /^password_file/, by: 'use_identity_as_username true' }) }),
    [/^error mosquitto.conf:8 .* and none is asked for/],
  ],
  [
    "a bridge's password in the clear",
    () => ({ text: sound({ line: /^bridge_cafile/ }) }),
    [/^weak mosquitto.conf:13 Bridge cloud sends its password without TLS/],
  ],
  [
    'a queue without a limit',
    () => ({ text: `max_queued_messages 0\n${SOUND}` }),
    [/^weak mosquitto.conf:1 The queue of a client that is away has no limit/],
  ],
  [
    'a bridge that takes any certificate',
    () => ({ text: `${SOUND}bridge_insecure true\n` }),
    [/^doubtful - Bridge 'cloud' using insecure mode/],
  ],
  // ---------------------------------------------------------------- without effect, or not what was meant
  [
    'saving without a store',
    () => ({ text: sound({ line: /^persistence true/, by: 'autosave_interval 60' }) }),
    [
      /^no effect mosquitto.conf:1 'autosave_interval' has no effect/,
      /^no effect mosquitto.conf:2 'persistence_location'/,
    ],
  ],
  [
    'a format of times that are not shown',
    () => ({ text: `log_timestamp false\nlog_timestamp_format %H\n${SOUND}` }),
    [/^no effect mosquitto.conf:2 'log_timestamp_format'/],
  ],
  [
    'a facility without the system log',
    () => ({ text: `log_facility 3\n${SOUND}` }),
    [/^no effect mosquitto.conf:1 'log_facility'/],
  ],
  [
    'revoked certificates that nobody shows',
    () => ({
      text: sound({
        line: /^keyfile/,
        by: 'keyfile /etc/mosquitto/server.key\ncrlfile /etc/mosquitto/ca.crt',
      }),
    }),
    [/^no effect mosquitto.conf:7 'crlfile'/],
  ],
  [
    'keys without TLS',
    () => ({
      text: `psk_file /etc/mosquitto/psk\n${SOUND}`,
      files: { '/etc/mosquitto/psk': { text: 'sensor:12ab\n', mode: 0o600 } },
    }),
    [/^no effect mosquitto.conf:1 'psk_file'/],
  ],
  [
    'TLS with keys that are nowhere',
    () => ({ text: listener('psk_hint home', 'use_identity_as_username true') }),
    [/^error mosquitto.conf:2 No client can connect to port 1883/],
  ],
  [
    'origins of a listener without WebSockets',
    () => ({
      text: sound({
        line: /^certfile/,
        by: 'websockets_origin https://example.org\ncertfile /etc/mosquitto/server.crt',
      }),
    }),
    [/^no effect mosquitto.conf:5 'websockets_origin'/],
  ],
  [
    'a certificate for a bridge without TLS',
    () => ({
      text: sound({ line: /^(bridge_cafile|remote_password)/, by: 'bridge_alpn mqtt' }).replace(
        'bridge_alpn mqtt\n',
        '',
      ),
    }),
    [/^no effect mosquitto.conf:13 'bridge_alpn'/],
  ],
  [
    'an expiry that the protocol has not',
    () => ({ text: `${SOUND}bridge_session_expiry_interval 60\n` }),
    [/^no effect mosquitto.conf:16 'bridge_session_expiry_interval'/],
  ],
  [
    'a threshold of a bridge that is not lazy',
    () => ({ text: `${SOUND}threshold 20\n` }),
    [/^no effect mosquitto.conf:16 'threshold'/],
  ],
  [
    'notices that are off',
    () => ({ text: `${SOUND}notifications false\nnotification_topic a/b\n` }),
    [/^no effect mosquitto.conf:17 'notification_topic'/],
  ],
  [
    'one address in turn',
    () => ({ text: `${SOUND}round_robin true\n` }),
    [/^no effect mosquitto.conf:16 'round_robin'/],
  ],
  [
    'QoS 1 that is forgotten',
    () => ({ text: `${SOUND}cleansession true\n` }),
    [/^doubtful mosquitto.conf:16 Bridge cloud begins anew/],
  ],
  [
    'a prefix without its slash',
    () => ({ text: sound({ line: /^topic/, by: 'topic sensors/# out 1 "" site' }) }),
    [/^doubtful mosquitto.conf:15 Bridge cloud puts the prefix 'site' before 'sensors\/#'/],
  ],
  [
    'a mount point without its slash',
    () => ({
      text: sound({ line: /^certfile/, by: 'mount_point site\ncertfile /etc/mosquitto/server.crt' }),
    }),
    [/^doubtful mosquitto.conf:5 The mount point 'site'/],
  ],
  [
    'a deprecated option',
    () => ({
      text: `port 1884\nallow_anonymous false\npassword_file /etc/mosquitto/passwd\nbind_address 127.0.0.1\n`,
    }),
    [/^deprecated mosquitto.conf:1 .*'port'/, /^deprecated mosquitto.conf:4 .*'bind_address'/],
  ],
  [
    'an option that went away',
    () => ({ text: `store_clean_interval 10\n${SOUND}` }),
    [/^doubtful - .*store_clean_interval/],
  ],
];

describe('midge check', () => {
  test('has nothing to say of a sound file', () => {
    assert.deepEqual(findings({ text: SOUND }).map(shown), []);
  });

  for (const [name, check, expected] of planted) {
    test(`finds ${name}`, () => {
      const found = findings(check()).map(shown);
      assert.equal(found.length, expected.length, found.join('\n'));
      for (const pattern of expected)
        assert.ok(
          found.some((text) => pattern.test(text)),
          `${pattern}:\n${found.join('\n')}`,
        );
    });
  }

  test('every finding of an error, a weakness or a doubt of ours says what to do', () => {
    for (const [name, check] of planted) {
      for (const { kind, place, advice } of findings(check())) {
        if (place !== undefined)
          assert.ok(advice !== undefined || kind === 'error' || kind === 'doubtful', name);
      }
    }
  });
});

describe('midge check --from', () => {
  const changed = (text: string, from: MosquittoVersion) =>
    findings({ text, from })
      .filter(({ kind }) => kind === 'changed')
      .map(({ text: found }) => found.replace(/:.*/s, ''));
  const defaults20 = ["'max_packet_size' is not given", "'allow_duplicate_messages' is not given"];

  test('2.1: nothing', () => assert.deepEqual(changed('', '2.1'), []));
  test('2.0: limits and copies', () =>
    assert.deepEqual(changed('', '2.0'), [...defaults20, "'max_keepalive' is not given"]));
  test('1.6: a file without a listener was open to all', () => {
    assert.match(
      changed('', '1.6')[0]!,
      /^Without a listener the broker was open on port 1883 of all addresses/,
    );
  });
  test('1.6: who is let in if nothing is said', () => {
    const said = "'allow_anonymous' is not given";
    assert.ok(changed('listener 1883\n', '1.6').includes(said));
    assert.ok(!changed('listener 1883\npassword_file /etc/mosquitto/passwd\n', '1.6').includes(said));
    assert.ok(changed('listener 1883\npassword_file /etc/mosquitto/passwd\n', '1.4').includes(said));
    assert.ok(!changed('listener 1883\nallow_anonymous true\n', '1.4').includes(said));
  });
  test('1.4: bridges', () => {
    const bridge = 'connection b\naddress h\ntopic a out\n';
    assert.deepEqual(
      changed(bridge, '1.4').filter((text) => text.includes('bridge')),
      ["'bridge_protocol_version' is not given for bridge b", "'restart_timeout' is not given for bridge b"],
    );
  });
  test('what is given is not told of', () => {
    const given =
      'max_packet_size 1000\nallow_duplicate_messages false\nmax_keepalive 60\nmax_queued_messages 5\n';
    assert.deepEqual(changed(given, '2.0'), []);
  });
});

describe('the files that are shipped', () => {
  const emptyFolder = (path: string): Files => ({ [`${path}/README`]: '' });
  test("Debian's has nothing", () => {
    const { text } = fixture('known/debian.conf');
    const files: World = { '/var/log/mosquitto': 'folder', '/var/lib/mosquitto/': 'folder' };
    assert.deepEqual(findings({ text, files, configs: emptyFolder('/etc/mosquitto/conf.d') }).map(shown), []);
  });
  test("the Docker image's has nothing", () => {
    assert.deepEqual(findings({ text: fixture('known/docker-image.conf').text }).map(shown), []);
  });
});

describe('the command', () => {
  const run = (args: string[], text: string) => {
    const output = { stdout: '', stderr: '' };
    const look = (): FileLook => ({
      kind: 'unreadable',
      isHidden: false,
      reason: 'No such file or directory',
    });
    const source = memorySource({ [CONF]: text });
    const to = {
      stdout: (part: string) => (output.stdout += part),
      stderr: (part: string) => (output.stderr += part),
    };
    return { code: runCheckCommand(args, to, { source, look, now }), ...output };
  };

  test('says what is in force, and ends with 0 if that is all', () => {
    const { code, stdout } = run(['--config', CONF], 'log_dest stdout\n');
    assert.equal(code, 0);
    assert.deepEqual(stdout.split('\n'), [
      'Listener port 1883 of 127.0.0.1: mqtt, this machine only, no TLS, anonymous clients, every topic for everybody',
      'Listener port 1883 of ::1: mqtt, this machine only, no TLS, anonymous clients, every topic for everybody',
      'Store: none, retained messages and queues end with the process',
      'Log: stdout',
      '',
      'Nothing was found.',
      '',
    ]);
  });

  test('ends with 1 for a weakness, 2 for an error, 3 for wrong use', () => {
    assert.equal(run(['--config', CONF], listener('allow_anonymous true')).code, 1);
    assert.equal(run(['--config', CONF], listener()).code, 2);
    assert.equal(run(['--config', CONF], 'nonsense 1\n').code, 2);
    for (const args of [
      [],
      ['--config'],
      ['--config', CONF, '--from', '3.0'],
      ['--config', CONF, '--write'],
    ]) {
      const { code, stderr } = run(args, '');
      assert.equal(code, 3, args.join(' '));
      assert.match(stderr, /^Usage: midge check /);
    }
  });

  test('--json: the same, for programs', () => {
    const { stdout } = run(['--json', '--config', CONF], listener('allow_anonymous true'));
    const said = JSON.parse(stdout);
    assert.equal(said.file, CONF);
    assert.deepEqual(said.inForce.listeners[0], {
      name: 'port 1883',
      protocol: 'mqtt',
      reachable: true,
      tls: 'none',
      clientCertificate: false,
      anonymous: true,
    });
    const [finding] = said.findings;
    assert.deepEqual([finding.kind, finding.place], ['weak', { file: CONF, line: 2 }]);
    assert.match(finding.advice, /allow_anonymous false/);
  });

  test('-c is --config', () => {
    assert.deepEqual(parseCheckArguments(['-c', 'f', '--from', '1.5']), {
      config: 'f',
      from: '1.5',
      isJson: false,
    });
  });
});
