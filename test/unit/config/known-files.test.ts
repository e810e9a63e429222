/**
 * Configuration files as people have them load, mean what they meant, and are warned of what has changed: those that
 * distributions and images ship, and those of tutorials, with names changed. All load in Mosquitto 2.1.2, too, but for
 * the one that says otherwise.
 */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { describe, test } from 'node:test';
import type { BridgeSettings, ListenerSettings, Settings } from '../../../src/config/settings.js';
import { type Files, fixture, load, texts } from './config-support.js';

interface KnownFile {
  /** Files of its `include_dir`. */
  others?: Files;
  settings: Partial<Settings>;
  /** In the order of the file. */
  listeners: Partial<ListenerSettings>[];
  bridges?: Partial<BridgeSettings>[];
  /** All lines that are said, with their type. */
  messages?: string[];
}

const emptyFolder = (path: string): Files => ({ [`${path}/README`]: '' });

const localOnly = ['127.0.0.1', '::1'].map((host) => ({ port: 1883, host, allowAnonymous: true }));

const tls = { tlsVersion: undefined, requireCertificate: false };

const known: Record<string, KnownFile> = {
  'debian.conf': {
    others: emptyFolder('/etc/mosquitto/conf.d'),
    settings: {
      localOnly: true,
      persistence: true,
      persistenceLocation: '/var/lib/mosquitto/',
      pidFile: '/run/mosquitto/mosquitto.pid',
      allowAnonymous: true,
    },
    listeners: localOnly,
  },
  'docker-image.conf': {
    settings: { localOnly: true, persistence: false, allowAnonymous: true },
    listeners: localOnly,
  },
  'docker-mounted.conf': {
    settings: {
      localOnly: false,
      persistence: true,
      persistenceLocation: '/mosquitto/data/',
      allowAnonymous: false,
      passwordFile: '/mosquitto/config/passwd',
    },
    listeners: [
      { port: 1883, host: undefined, protocol: 'mqtt', allowAnonymous: false },
      { port: 9001, protocol: 'websockets', allowAnonymous: false },
    ],
  },
  'home-assistant.conf': {
    others: emptyFolder('/share/mosquitto'),
    settings: {
      user: 'root',
      persistence: true,
      persistenceLocation: '/data/',
      maxQueuedMessages: 8192,
      allowAnonymous: false,
    },
    // Port 1883 once, although `protocol` stands before the first listener.
    listeners: [
      { port: 1883, protocol: 'mqtt', certfile: undefined },
      { port: 1884, protocol: 'websockets', certfile: undefined },
      { port: 8883, protocol: 'mqtt', certfile: '/ssl/fullchain.pem', ...tls },
      { port: 8884, protocol: 'websockets', keyfile: '/ssl/privkey.pem', ...tls },
    ],
    messages: [
      "information: Creating default listener due to 'protocol' option.",
      "information: A 'listener' should be defined before 'protocol' is used.",
      'information: The default listener is not opened: there are others, and it would have nothing but defaults (protocol).',
    ],
  },
  'openwrt.conf': {
    settings: {
      allowAnonymous: true,
      persistenceLocation: '/tmp/',
      autosaveInterval: 900,
      maxInflightMessages: 10,
    },
    listeners: [
      { port: 1883, host: undefined },
      {
        port: 8883,
        host: '192.168.1.1',
        certfile: '/etc/mosquitto/router.crt',
        cafile: '/etc/mosquitto/ca.crt',
      },
    ],
    bridges: [
      {
        name: 'upstream',
        address: [{ host: 'mqtt.example.org', port: 1883 }],
        topic: [
          { pattern: '#', direction: 'in', qos: 0, localPrefix: 'remote/', remotePrefix: 'up/' },
          { pattern: 'status/#', direction: 'out', qos: 1, localPrefix: undefined, remotePrefix: 'router/' },
        ],
        tryPrivate: true,
        cleansession: true,
        keepaliveInterval: 120,
        notifications: true,
      },
    ],
  },
  'users.conf': {
    settings: { allowAnonymous: false, passwordFile: '/etc/mosquitto/passwd', aclFile: '/etc/mosquitto/acl' },
    listeners: [
      { port: 1883, host: 'localhost', allowAnonymous: false, passwordFile: '/etc/mosquitto/passwd' },
    ],
    messages: [
      "notice: The 'per_listener_settings' option is now deprecated and will be removed in version 3.0. ",
    ],
  },
  'letsencrypt.conf': {
    settings: { allowAnonymous: false, localOnly: false },
    listeners: [
      { port: 1883, host: 'localhost', certfile: undefined },
      { port: 8883, certfile: '/etc/letsencrypt/live/mqtt.example.com/cert.pem', ...tls },
      { port: 8083, protocol: 'websockets', keyfile: '/etc/letsencrypt/live/mqtt.example.com/privkey.pem' },
    ],
  },
  'client-certificates.conf': {
    settings: { allowAnonymous: false },
    listeners: [
      {
        port: 8883,
        host: '0.0.0.0',
        requireCertificate: true,
        useIdentityAsUsername: true,
        crlfile: '/etc/mosquitto/certs/ca.crl',
        tlsVersion: 'tlsv1.2',
        allowAnonymous: false,
      },
    ],
  },
  // Mosquitto 2.1 no longer knows store_clean_interval; 2.0 does.
  'before-2.0.conf': {
    settings: { allowAnonymous: true, localOnly: false },
    listeners: [{ port: 1883, host: '0.0.0.0', allowAnonymous: true }],
    messages: [
      "warning: Warning: The 'retry_interval' option is no longer available.",
      'warning: Warning: store_clean_interval is no longer needed.',
      "notice: The 'port' option is now deprecated and will be removed in version 3.0. Use 'listener' instead.",
      "information: Creating default listener due to 'port' option.",
      "information: A 'listener' should be defined before 'port' is used.",
      "notice: The 'bind_address' option is now deprecated and will be removed in version 3.0. Use 'listener' instead.",
    ],
  },
  'bridge-aws-iot.conf': {
    settings: { localOnly: true },
    listeners: localOnly,
    bridges: [
      {
        name: 'awsiot',
        address: [{ host: 'a1b2c3d4e5f6g7-ats.iot.eu-central-1.amazonaws.com', port: 8883 }],
        remoteClientid: 'bridgeawsiot',
        bridgeProtocolVersion: 'mqttv311',
        bridgeInsecure: false,
        bridgeCafile: '/etc/mosquitto/certs/rootCA.pem',
        bridgeCertfile: '/etc/mosquitto/certs/cert.crt',
        bridgeKeyfile: '/etc/mosquitto/certs/private.key',
        cleansession: true,
        notifications: false,
        startType: 'automatic',
        topic: [
          {
            pattern: 'awsiot_to_localgateway',
            direction: 'in',
            qos: 1,
            localPrefix: undefined,
            remotePrefix: undefined,
          },
          {
            pattern: 'localgateway_to_awsiot',
            direction: 'out',
            qos: 1,
            localPrefix: undefined,
            remotePrefix: undefined,
          },
          {
            pattern: 'both_directions',
            direction: 'both',
            qos: 1,
            localPrefix: undefined,
            remotePrefix: undefined,
          },
          { pattern: '#', direction: 'out', qos: 1, localPrefix: 'local/', remotePrefix: 'gateways/one/' },
        ],
      },
    ],
  },
  'bridge-azure-iot-hub.conf': {
    settings: { localOnly: true },
    listeners: localOnly,
    bridges: [
      {
        name: 'azureiot',
        address: [{ host: 'example-hub.azure-devices.net', port: 8883 }],
        remoteClientid: 'gateway-1',
        remoteUsername: 'example-hub.azure-devices.net/gateway-1/?api-version=2021-04-12',
        remotePassword:
          'SharedAccessSignature sr=example-hub.azure-devices.net%2Fdevices%2Fgateway-1&sig=c2lnbmF0dXJl%3D&se=1893456000',
        bridgeCafile: '/etc/ssl/certs/ca-certificates.crt',
        bridgeTlsVersion: 'tlsv1.2',
        tryPrivate: false,
        cleansession: true,
        notifications: false,
        bridgeAttemptUnsubscribe: false,
      },
    ],
  },
  'bridge-hivemq-cloud.conf': {
    settings: { localOnly: true },
    listeners: localOnly,
    bridges: [
      {
        name: 'hivemq',
        address: [{ host: '0123456789abcdef.s1.eu.hivemq.cloud', port: 8883 }],
        remoteClientid: 'house-bridge',
        remoteUsername: 'bridge-user',
        remotePassword: 'correct horse battery staple',
        bridgeCapath: '/etc/ssl/certs/',
        bridgeTlsVersion: 'tlsv1.2',
        bridgeProtocolVersion: 'mqttv50',
        cleansession: false,
        localCleansession: false,
        notificationsLocalOnly: true,
        topic: [
          { pattern: 'house/#', direction: 'both', qos: 1, localPrefix: undefined, remotePrefix: undefined },
        ],
      },
    ],
  },
};

function assertHas(actual: object | undefined, expected: object, what: string): void {
  for (const [key, value] of Object.entries(expected)) {
    assert.deepEqual((actual as Record<string, unknown> | undefined)?.[key], value, `${what} ${key}`);
  }
}

describe('known files', () => {
  for (const [name, { others = {}, settings, listeners, bridges = [], messages = [] }] of Object.entries(
    known,
  )) {
    test(name, () => {
      const result = load(fixture(`known/${name}`).text, others);
      assert.deepEqual(
        result.messages.map(({ type, text }) => `${type}: ${text}`),
        messages,
      );
      assert.ok(result.ok, texts(result).join('\n'));
      assertHas(result.settings, settings, 'settings');
      assert.equal(result.settings.listeners.length, listeners.length);
      listeners.forEach((listener, i) => {
        assertHas(result.settings.listeners[i], listener, `listener ${i}`);
      });
      assert.equal(result.settings.bridges.length, bridges.length);
      bridges.forEach((bridge, i) => {
        assertHas(result.settings.bridges[i], bridge, `bridge ${i}`);
      });
    });
  }

  test('each has its expectations', () => {
    const folder = dirname(fixture('known/debian.conf').path);
    assert.deepEqual(readdirSync(folder).sort(), Object.keys(known).sort());
  });
});

test('an option of the default listener that only says what holds anyway opens no port', () => {
  const portsOf = (text: string) => {
    const result = load(text);
    assert.ok(result.ok);
    return result.settings.listeners.map(({ port }) => port);
  };
  assert.deepEqual(portsOf('protocol mqtt\nmax_qos 2\nlistener 1884\n'), [1884]);
  assert.deepEqual(portsOf('max_connections 5\nlistener 1884\n'), [1883, 1884]);
  assert.deepEqual(portsOf('port 1883\nlistener 1884\n'), [1883, 1884]);
  assert.deepEqual(portsOf('protocol mqtt\nport 1883\nlistener 1884\n'), [1883, 1884]);
});
