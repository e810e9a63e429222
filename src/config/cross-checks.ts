/**
 * Rules between options: those that exclude each other, need each other, or have no effect together. A rule that depends
 * on the configuration alone stands here, so that `--test-config` and a reload know it.
 */
import { adviceAbout, builtInPlugin } from './built-in-plugins.js';
import type { ConfigMessages, Fault, Place } from './config-messages.js';
import { placeText } from './config-messages.js';
import type { ConfigSource } from './config-source.js';
import type { BridgeSection, Context, Draft, ListenerSection, PluginSection, Section } from './draft.js';
import { bridgeClientIds } from './draft.js';
import type { KnownOption, OptionName } from './option-schema.js';
import { settingName } from './option-types.js';

/** Options of a section that are refused after others of the same section. */
interface Exclusion {
  readonly section: 'listener' | 'bridge';
  readonly options: readonly OptionName[];
  readonly after: readonly OptionName[];
  readonly error: (written: string) => string;
}

const listenerEncryption = () =>
  'Error: Cannot use both certificate and psk encryption in a single listener.';

const bridgeCertificates: readonly OptionName[] = [
  'bridge_cafile',
  'bridge_capath',
  'bridge_certfile',
  'bridge_keyfile',
  'bridge_tls_use_os_certs',
];
const bridgeKeys: readonly OptionName[] = ['bridge_identity', 'bridge_psk'];

const exclusions: readonly Exclusion[] = [
  { section: 'listener', options: ['cafile', 'certfile'], after: ['psk_hint'], error: listenerEncryption },
  { section: 'listener', options: ['psk_hint'], after: ['cafile', 'certfile'], error: listenerEncryption },
  { section: 'listener', options: ['psk_file'], after: ['certfile'], error: listenerEncryption },
  {
    section: 'bridge',
    options: bridgeCertificates,
    after: bridgeKeys,
    error: (name) => `Error: '${name}': Cannot use both certificate and psk encryption in a single bridge.`,
  },
  {
    section: 'bridge',
    options: bridgeKeys,
    after: bridgeCertificates,
    error: (name) =>
      `Error: '${name}': Cannot use both certificate and identity encryption in a single bridge.`,
  },
];

/** The fault of an option just read that an earlier one of its section excludes. */
export function conflictWithEarlier(option: KnownOption, context: Context): Fault | undefined {
  for (const { section: kind, options, after, error } of exclusions) {
    const section = context[kind];
    if (section === undefined || !options.includes(option.name)) continue;
    const earlier = after.find((name) => isInUse(section, name));
    if (earlier === undefined) continue;
    const where = placeText(section.given.get(earlier)!);
    return {
      error: error(option.written),
      help: `'${option.written}' does not go with '${earlier}' at ${where}: remove one of them.`,
    };
  }
  return undefined;
}

function isInUse(section: Section, name: OptionName): boolean {
  return section.given.has(name) && section.values[settingName(name)] !== false;
}

/** What can be checked only when all files are read. */
export function crossCheck(
  draft: Draft,
  hostname: string,
  source: ConfigSource,
  messages: ConfigMessages,
): void {
  for (const listener of draft.listeners) {
    checkListener(listener, messages);
    checkHttpDir(listener, source, messages);
  }
  checkDistinct(draft.listeners, messages);
  for (const bridge of draft.bridges) checkBridge(bridge, messages);
  checkLocalClientIds(draft.bridges, hostname, messages);
  for (const plugin of draft.plugins) checkPlugin(plugin, messages);
  checkLoadedOnce(draft.plugins, messages);
}

function checkLoadedOnce(plugins: readonly PluginSection[], messages: ConfigMessages): void {
  const [first, second] = plugins.filter(({ path }) => builtInPlugin(path)?.setting === 'dynamicSecurity');
  if (second === undefined) return;
  messages.error(
    {
      error: 'Error: Dynamic security plugin can currently only be loaded once.',
      help: `It is loaded at ${placeText(first!.place)} already; with 'plugin_load' and 'plugin_use' several listeners can share it.`,
    },
    second.place,
  );
}

function checkPlugin({ path, place, options }: PluginSection, messages: ConfigMessages): void {
  const builtIn = builtInPlugin(path);
  if (builtIn === undefined) {
    messages.error({ error: `Error: Unable to load plugin "${path}".`, help: adviceAbout(path) }, place);
  } else if (!options.some(({ key }) => key === builtIn.optionKey)) {
    const option = `plugin_opt_${builtIn.optionKey}`;
    messages.error(
      {
        error: `Error: The plugin "${path}" has no '${option}'.`,
        help: `A line '${option} FILE' must follow.`,
      },
      place,
    );
  }
}

function checkListener(listener: ListenerSection, messages: ConfigMessages): void {
  const { given, values } = listener;
  const certificate = given.get('certfile');
  const key = given.get('keyfile');
  if ((certificate === undefined) !== (key === undefined)) {
    messages.error(
      {
        error: 'Error: Both certfile and keyfile must be provided to enable a TLS listener.',
        help: `'${certificate === undefined ? 'certfile' : 'keyfile'}' is missing for this listener.`,
      },
      certificate ?? key,
    );
  }
  if (certificate === undefined && key === undefined) checkWithoutTls(listener, messages);
  if (values.enableProxyProtocol === 2) checkBehindProxy(listener, messages);
  else checkWithoutProxy(listener, messages);
  checkWithoutEngine(listener, messages);
  checkTransport(listener, messages);
  checkTlsCombinations(listener, messages);
}

/** The HTTP API reads requests only, and an address has the family that is asked for. */
function checkTransport({ given, values, host }: ListenerSection, messages: ConfigMessages): void {
  if (values.protocol === 'http_api' && values.enableProxyProtocol !== undefined) {
    const error = 'Error: enable_proxy_protocol cannot be used with `protocol http_api`.';
    const help = 'The HTTP API does not read the header of a proxy: remove one of the two lines.';
    messages.error({ error, help }, given.get('enable_proxy_protocol'));
  }
  const family = host === undefined ? undefined : familyOf(host);
  if (family !== undefined && values.socketDomain !== undefined && values.socketDomain !== family) {
    const error = `Error: The address ${host} of a listener does not go with 'socket_domain ${values.socketDomain}'.`;
    const help = "Remove 'socket_domain', or give an address of that family.";
    messages.error({ error, help }, given.get('socket_domain'));
  }
}

/** @returns `undefined` for a host name, which has the addresses that the name service says */
function familyOf(host: string): 'ipv4' | 'ipv6' | undefined {
  if (host.includes(':')) return 'ipv6';
  return /^\d+(\.\d+){3}$/.test(host) ? 'ipv4' : undefined;
}

/** What the system would refuse: a second socket for the same port and address. */
function checkDistinct(listeners: readonly ListenerSection[], messages: ConfigMessages): void {
  const first = new Map<string, ListenerSection>();
  for (const listener of listeners) {
    const { port, host, socketPath, values, place } = listener;
    const { bindInterface, socketDomain } = values as { bindInterface?: string; socketDomain?: string };
    const name = JSON.stringify([port, host, socketPath, bindInterface?.toLowerCase(), socketDomain]);
    const other = first.get(name);
    if (other === undefined) {
      first.set(name, listener);
      continue;
    }
    const where = socketPath === undefined ? ['port', port, host] : ['the unix socket', socketPath];
    const text = where.filter((word) => word !== undefined).join(' ');
    const same = socketPath === undefined ? 'port and address' : 'path';
    const help = `The listener at ${placeText(other.place)} has the same ${same} already.`;
    messages.error({ error: `Error: Two listeners for ${text}.`, help }, place);
  }
}

/** Options that are accepted, each by itself, and together let no client in or have no effect. */
function checkTlsCombinations({ given, values }: ListenerSection, messages: ConfigMessages): void {
  if (given.has('psk_hint') && values.tlsVersion === 'tlsv1.3') {
    const where = placeText(given.get('tls_version')!);
    messages.say(
      'warning',
      `Warning: 'tls_version tlsv1.3' at ${where} lets no client in: 'psk_hint' needs TLS 1.2.`,
    );
  }
  if (!given.has('certfile') || values.requireCertificate !== true) return;
  if (!given.has('cafile') && !given.has('capath')) {
    messages.say(
      'warning',
      'Warning: require_certificate without cafile or capath trusts no authority: no client can connect.',
    );
  }
}

/** A key that is in an engine cannot be had otherwise, so a listener without the engine would not be what was meant. */
function checkWithoutEngine({ given, values }: ListenerSection, messages: ConfigMessages): void {
  for (const name of ['tls_engine', 'tls_engine_kpass_sha1', 'tls_keyform'] as const) {
    const place = given.get(name);
    if (place === undefined || (name === 'tls_keyform' && values.tlsKeyform !== 'engine')) continue;
    const help =
      'Current versions of OpenSSL have no engines: put the key into a file and name it with keyfile.';
    messages.error({ error: `Error: '${name}' is not available.`, help }, place);
  }
}

/** [mosq: http_dir] */
function checkHttpDir(
  { given, values }: ListenerSection,
  source: ConfigSource,
  messages: ConfigMessages,
): void {
  const place = given.get('http_dir');
  const { httpDir } = values as { httpDir?: string };
  if (place === undefined || httpDir === undefined) return;
  const found = source.readFile(httpDir);
  if (found.kind !== 'directory') {
    const reason = found.kind === 'read' ? 'it is a file' : found.reason;
    const error = `Error: Unable to open http_dir '${httpDir}'.`;
    messages.error({ error, help: `'http_dir' names a directory that exists; this one: ${reason}.` }, place);
  } else if (values.protocol !== 'http_api') {
    const text = `Warning: 'http_dir' at ${placeText(place)} has no effect without 'protocol http_api'.`;
    messages.say('warning', text);
  }
}

function checkWithoutTls({ given, values }: ListenerSection, messages: ConfigMessages): void {
  for (const name of ['cafile', 'capath'] as const) {
    const place = given.get(name);
    if (place === undefined) continue;
    const error = `Error: ${name} specified without certfile and keyfile.`;
    messages.error({ error, help: `'${name}' is for a listener with TLS, which has both of them.` }, place);
  }
  const isClear = !given.has('psk_hint') && values.enableProxyProtocol !== 2;
  if (isClear && values.requireCertificate === true) {
    const where = placeText(given.get('require_certificate')!);
    messages.say(
      'warning',
      `Warning: 'require_certificate' at ${where} has no effect: the listener has no TLS.`,
    );
  }
}

function checkBehindProxy({ given, values }: ListenerSection, messages: ConfigMessages): void {
  const help = 'With version 2, the proxy does TLS and says who the client is.';
  if (values.useSubjectAsUsername === true) {
    const error = 'Error: use_subject_as_username cannot be used with `enable_proxy_protocol 2`.';
    messages.error({ error, help }, given.get('use_subject_as_username'));
  }
  const place = given.get('certfile') ?? given.get('keyfile');
  if (place !== undefined) {
    const error = 'Error: certfile and keyfile cannot be used with `enable_proxy_protocol 2`.';
    messages.error({ error, help }, place);
  }
}

function checkWithoutProxy({ given, values }: ListenerSection, messages: ConfigMessages): void {
  if (values.proxyProtocolV2RequireTls !== true) return;
  const where = placeText(given.get('proxy_protocol_v2_require_tls')!);
  messages.say(
    'warning',
    `Warning: 'proxy_protocol_v2_require_tls' at ${where} has no effect without 'enable_proxy_protocol 2'.`,
  );
}

function checkBridge({ name, place, given, values }: BridgeSection, messages: ConfigMessages): void {
  const invalid = (what: string, help: string, at: Place = place) =>
    messages.error({ error: `Error: Invalid bridge configuration: ${what}.`, help }, at);
  if (!given.has('address')) {
    invalid('no remote addresses defined', `Connection '${name}' needs a line 'address HOST[:PORT]'.`);
  }
  if (!given.has('topic')) {
    invalid('no topics defined', `Connection '${name}' needs a line 'topic PATTERN [in|out|both]'.`);
  }
  const identity = given.get('bridge_identity');
  const key = given.get('bridge_psk');
  if (key !== undefined && identity === undefined) {
    invalid(
      'missing bridge_identity',
      `Connection '${name}' has a 'bridge_psk', which goes with an identity.`,
      key,
    );
  }
  if (identity !== undefined && key === undefined) {
    invalid(
      'missing bridge_psk',
      `Connection '${name}' has a 'bridge_identity', which goes with a key.`,
      identity,
    );
  }
  if (values.bridgeInsecure === true)
    messages.say('warning', `Warning: Bridge '${name}' using insecure mode.`);
}

function checkLocalClientIds(
  bridges: readonly BridgeSection[],
  hostname: string,
  messages: ConfigMessages,
): void {
  const first = new Map<string, BridgeSection>();
  for (const bridge of bridges) {
    const { localClientid } = bridgeClientIds(bridge, hostname);
    const other = first.get(localClientid);
    if (other === undefined) {
      first.set(localClientid, bridge);
      continue;
    }
    messages.error(
      {
        error: `Error: Bridge local_clientid '${localClientid}' is not unique. Try changing or setting the local_clientid value for one of the bridges.`,
        help: `Connection '${other.name}' at ${placeText(other.place)} has the same.`,
      },
      bridge.given.get('local_clientid') ?? bridge.place,
    );
  }
}
