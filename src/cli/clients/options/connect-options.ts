/** The CONNECT packet and the address to dial, made from the settings. */
import type { ConnectPacket, Will } from '../../../mqtt/packets.js';
import type { DialTarget } from '../../../net/dial.js';
import { isPacketData, isPacketString } from './argument-text.js';
import { type ClientSettings, IN_FLIGHT_DEFAULT } from './client-settings.js';
import { duplicateProperty, toProperties } from './property-option.js';
import { SetupError } from './usage-error.js';

const SESSION_EXPIRY_NEVER = 0xffffffff;

/** @throws UsageError for properties, SetupError */
export function connectPacket(settings: ClientSettings): ConnectPacket {
  const { version, username, password } = settings;
  if (settings.clientId === '') throw new SetupError('Error: Invalid id.');
  checkCredentials(settings);
  const packet: ConnectPacket = {
    type: 'connect',
    version,
    bridge: false,
    cleanStart: settings.cleanSession,
    keepAlive: settings.keepAlive,
    clientId: clientId(settings),
    properties: connectProperties(settings),
  };
  const will = willOf(settings);
  if (will !== undefined) packet.will = will;
  if (username !== undefined) packet.username = username;
  if (password !== undefined) packet.password = password;
  return packet;
}

function checkCredentials({ version, username, password }: ClientSettings): void {
  // [MQTT-3.1.2-22], which MQTT 5.0 no longer asks for.
  const lacksUsername = password !== undefined && username === undefined && version !== 5;
  const isSendable =
    (username === undefined || isPacketString(username)) &&
    (password === undefined || isPacketData(password));
  if (lacksUsername || !isSendable) {
    throw new SetupError('Error: Problem setting username and/or password.');
  }
}

/** Bytes of process id and separators that may follow the prefix. */
const ID_SUFFIX_MAX = 9;

function clientId({ clientId: id, idPrefix, version }: ClientSettings): string {
  if (id !== undefined) return id;
  if (idPrefix !== undefined) return idPrefix + String(process.pid).slice(0, ID_SUFFIX_MAX);
  // MQTT 3.1 has no ids given by the broker.
  return version === 3 ? `mosq-${randomName(18)}` : '';
}

const NAME_CHARACTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

function randomName(length: number): string {
  let name = '';
  while (name.length < length) {
    name += NAME_CHARACTERS[Math.floor(Math.random() * NAME_CHARACTERS.length)];
  }
  return name;
}

function connectProperties(settings: ClientSettings): ConnectPacket['properties'] {
  const options = settings.properties.connect;
  if (settings.version !== 5) {
    if (options.length > 0) throw new SetupError('Unable to connect (This feature is not supported).');
    return {};
  }
  const properties = toProperties('connect', options);
  const expiry = sessionExpirySeconds(settings, properties.sessionExpiryInterval);
  if (expiry > 0) properties.sessionExpiryInterval = expiry;
  properties.receiveMaximum ??= receiveMaximum(settings);
  return properties;
}

/** @param given the properties of `-D`. 0 = the session ends with the connection, and no property is sent. */
function sessionExpirySeconds({ sessionExpiry, cleanSession }: ClientSettings, given = 0): number {
  if (sessionExpiry !== undefined && given > 0) throw duplicateProperty('connect');
  if (sessionExpiry === 'never') return SESSION_EXPIRY_NEVER;
  if (sessionExpiry !== undefined) return sessionExpiry;
  return given === 0 && !cleanSession ? SESSION_EXPIRY_NEVER : given;
}

/** The receive maximum: no more messages at once than `-C` will print. */
function receiveMaximum({ program, messageCount }: ClientSettings): number {
  return Math.min(IN_FLIGHT_DEFAULT, messageCount ?? (program === 'mosquitto_rr' ? 1 : IN_FLIGHT_DEFAULT));
}

function willOf({ will, version, properties }: ClientSettings): Will | undefined {
  if (will.topic === undefined) return undefined;
  const isSendable = will.payload === undefined || isPacketData(will.payload);
  if (!isSendable || (version !== 5 && properties.will.length > 0))
    throw new SetupError('Error: Problem setting will.');
  return {
    topic: will.topic,
    payload: will.payload ?? Buffer.alloc(0),
    qos: will.qos,
    retain: will.retain,
    properties: toProperties('will', properties.will),
  };
}

const PORT_PLAIN = 1883;
const PORT_TLS = 8883;

/** @throws SetupError for TLS options that cannot be used */
export async function dialTarget(settings: ClientSettings): Promise<DialTarget> {
  const { host, unixSocket, bindAddress, proxy, webSocket } = settings;
  checkWay(settings);
  const port = settings.port ?? (impliesTlsPort(settings) ? PORT_TLS : PORT_PLAIN);
  const noDelay = settings.noDelay || settings.latency;
  const target: DialTarget = { host, port, unixSocket, bindAddress, proxy, webSocket, noDelay };
  if (wantsTls(settings, port)) {
    const { tlsTarget } = await import('./tls-options.js');
    target.tls = tlsTarget(settings.tls);
  }
  return target;
}

/** What cannot be looked up is not left to the resolver, for which an empty name is this machine. */
function checkWay({ host, unixSocket, bindAddress }: ClientSettings): void {
  if (unixSocket === '') throw new SetupError('Unable to connect (Invalid input).');
  if ((host === '' && unixSocket === undefined) || bindAddress === '') {
    throw new SetupError('Unable to connect (Lookup error).');
  }
}

function impliesTlsPort({ tls }: ClientSettings): boolean {
  return !tls.off && (tls.caFile !== undefined || tls.caPath !== undefined || tls.psk !== undefined);
}

/** Whether TLS is wanted. Port 8883 alone selects it, with the system's certificate authorities. */
function wantsTls(settings: ClientSettings, port: number): boolean {
  const { tls, unixSocket } = settings;
  if (tls.off) return false;
  const toTlsPort = port === PORT_TLS && unixSocket === undefined;
  return impliesTlsPort(settings) || tls.useOsCerts || tls.urlWantsTls || toTlsPort;
}
