/** What a configuration means, listener by listener: plain data for `--json`, and the lines of it for a reader. */
import { isTls } from '../../../config/listener-tls.js';
import type { BridgeSettings, ListenerSettings, Settings } from '../../../config/settings.js';
import { type Examined, isReachable, listenersOf } from './finding.js';

export interface ListenerInForce {
  readonly name: string;
  readonly protocol: string;
  /** Whether other machines can reach it. */
  readonly reachable: boolean;
  readonly tls: 'none' | 'certificate' | 'psk' | 'proxy';
  readonly clientCertificate: boolean;
  readonly anonymous: boolean;
  readonly passwordFile: string | undefined;
  readonly aclFile: string | undefined;
}

export interface BridgeInForce {
  readonly name: string;
  readonly addresses: readonly string[];
  readonly tls: boolean;
  readonly topics: readonly string[];
}

export interface InForce {
  readonly listeners: readonly ListenerInForce[];
  readonly bridges: readonly BridgeInForce[];
  /** The path of the stored state; `undefined`: nothing outlives the process. */
  readonly storedAt: string | undefined;
  readonly log: readonly string[];
}

export function inForce(examined: Examined): InForce {
  const { settings } = examined;
  return {
    listeners: listenersOf(examined).map(({ settings: listener, name }) => listenerInForce(listener, name)),
    bridges: settings.bridges.map(bridgeInForce),
    storedAt: storedAt(settings),
    log: settings.logDest.map((destination) =>
      destination.kind === 'file' ? `file ${destination.path}` : destination.kind,
    ),
  };
}

function listenerInForce(listener: ListenerSettings, name: string): ListenerInForce {
  const { protocol, requireCertificate, allowAnonymous, passwordFile, aclFile, certfile } = listener;
  const byProxy = listener.enableProxyProtocol === 2 ? 'proxy' : 'none';
  return {
    name,
    protocol,
    reachable: isReachable(listener),
    tls: isTls(listener) ? (certfile === undefined ? 'psk' : 'certificate') : byProxy,
    clientCertificate: requireCertificate && certfile !== undefined,
    anonymous: allowAnonymous,
    passwordFile,
    aclFile,
  };
}

function bridgeInForce(bridge: BridgeSettings): BridgeInForce {
  return {
    name: bridge.name,
    addresses: bridge.address.map(({ host, port }) => `${host}:${port}`),
    tls: isBridgeTls(bridge),
    topics: bridge.topic.map(({ pattern, direction, qos, localPrefix = '', remotePrefix = '' }) =>
      [`${localPrefix}${pattern}`, arrows[direction], `${remotePrefix}${pattern}`, `(QoS ${qos})`].join(' '),
    ),
  };
}

const arrows = { in: '<-', out: '->', both: '<->' } as const;

export function isBridgeTls(bridge: BridgeSettings): boolean {
  const { bridgeCafile, bridgeCapath, bridgeTlsUseOsCerts, bridgePsk } = bridge;
  return (
    bridgeCafile !== undefined || bridgeCapath !== undefined || bridgeTlsUseOsCerts || bridgePsk !== undefined
  );
}

function storedAt({ persistence, persistenceLocation = '', persistenceFile }: Settings): string | undefined {
  if (!persistence) return undefined;
  const isJoined = persistenceLocation === '' || persistenceLocation.endsWith('/');
  return isJoined ? `${persistenceLocation}${persistenceFile}` : `${persistenceLocation}/${persistenceFile}`;
}

/** One line for each listener and bridge, then what holds for the whole broker. */
export function inForceLines({ listeners, bridges, storedAt: file, log }: InForce): string[] {
  return [
    ...listeners.map(listenerLine),
    ...bridges.flatMap((bridge) => [bridgeLine(bridge), ...bridge.topics.map((topic) => `  ${topic}`)]),
    file === undefined ? 'Store: none, retained messages and queues end with the process' : `Store: ${file}`,
    `Log: ${log.length === 0 ? 'none' : log.join(', ')}`,
  ];
}

const tlsWords = {
  none: 'no TLS',
  certificate: 'TLS',
  psk: 'TLS with keys',
  proxy: 'TLS by the proxy',
} as const;

function listenerLine(listener: ListenerInForce): string {
  const { name, protocol, reachable, tls, clientCertificate, anonymous, passwordFile, aclFile } = listener;
  const words = [
    protocol,
    reachable ? 'open to other machines' : 'this machine only',
    tlsWords[tls],
    ...(clientCertificate ? ['clients show a certificate'] : []),
    anonymous ? 'anonymous clients' : 'no anonymous clients',
    ...(passwordFile === undefined ? [] : [`users from ${passwordFile}`]),
    aclFile === undefined ? 'every topic for everybody' : `rights from ${aclFile}`,
  ];
  return `Listener ${name}: ${words.join(', ')}`;
}

function bridgeLine({ name, addresses, tls }: BridgeInForce): string {
  return `Bridge ${name}: ${addresses.join(' ')}, ${tls ? 'TLS' : 'no TLS'}`;
}
