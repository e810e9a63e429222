/** Makes settings of a draft without errors: fills in defaults, resolves inheritance. */
import { builtInPlugin } from './built-in-plugins.js';
import { placeText } from './config-messages.js';
import {
  type BridgeSection,
  bridgeClientIds,
  type Draft,
  type ListenerSection,
  type PluginSection,
  type Section,
} from './draft.js';
import {
  type BridgeSettings,
  type DynamicSecuritySettings,
  defaultListener,
  defaultsOf,
  type ListenerSettings,
  type Places,
  type PluginSettings,
  type SecuritySettings,
  type Settings,
} from './settings.js';

/** Facts that are not in a configuration file. */
export interface Surroundings {
  readonly configFile: string | undefined;
  /** Ports from the command line, for local-only mode; none is 1883. */
  readonly ports: readonly number[];
  readonly hostname: string;
}

type GlobalSettings = Omit<
  Settings,
  'configFile' | 'localOnly' | 'listeners' | 'bridges' | 'plugins' | 'dynamicSecurity'
>;

export function finishSettings(draft: Draft, surroundings: Surroundings): Settings {
  const localOnly = !draft.listenerDeclared;
  const global = globalSettings(draft, localOnly);
  const plugins = draft.plugins.map(pluginSettings);
  const listeners = localOnly
    ? localListeners(global, surroundings.ports)
    : draft.listeners.map((section) => listenerSettings(section, draft, global));
  return {
    ...global,
    configFile: surroundings.configFile,
    localOnly,
    listeners: listeners.map((listener) => withPlugins(listener, plugins, draft.perListenerSettings)),
    bridges: draft.bridges.map((section) => bridgeSettings(section, global, surroundings.hostname)),
    plugins,
    dynamicSecurity: dynamicSecurityIn(plugins),
    ...(draft.global.given.has('max_packet_size') && { givenPacketSizeMax: global.maxPacketSize }),
  };
}

/**
 * The files that plugins name. The first that can decide does: plugins for all listeners, then the file that is an
 * option of the same scope, then what belongs to the listener [mosq: global_plugin].
 */
function withPlugins(
  listener: ListenerSettings,
  plugins: readonly PluginSettings[],
  perListenerSettings: boolean,
): ListenerSettings {
  const forAll = plugins.filter(({ global }) => global);
  const own = listener.plugins.map((index) => plugins[index]!).filter(({ global }) => !global);
  const order = (setting: 'aclFile' | 'passwordFile'): PluginFile | undefined => {
    const option = listener[setting];
    const fromOption = option === undefined ? undefined : { file: option, refusesSpecialChars: false };
    const fromOwn = pluginFile(own, setting);
    return (
      pluginFile(forAll, setting) ?? (perListenerSettings ? (fromOwn ?? fromOption) : (fromOption ?? fromOwn))
    );
  };
  const acl = order('aclFile');
  return {
    ...listener,
    aclFile: acl?.file,
    passwordFile: order('passwordFile')?.file,
    aclRefusesSpecialChars: acl?.refusesSpecialChars ?? false,
    usesDynamicSecurity: [...forAll, ...own].some(isDynamicSecurity),
  };
}

function isDynamicSecurity({ path }: PluginSettings): boolean {
  return builtInPlugin(path)?.setting === 'dynamicSecurity';
}

function dynamicSecurityIn(plugins: readonly PluginSettings[]): DynamicSecuritySettings | undefined {
  const plugin = plugins.find(isDynamicSecurity);
  if (plugin === undefined) return undefined;
  const optionValue = (name: string) => plugin.options.findLast(({ key }) => key === name)?.value;
  return { file: optionValue('config_file')!, passwordInitFile: optionValue('password_init_file') };
}

interface PluginFile {
  readonly file: string;
  readonly refusesSpecialChars: boolean;
}

function pluginFile(
  plugins: readonly PluginSettings[],
  setting: 'aclFile' | 'passwordFile',
): PluginFile | undefined {
  const plugin = plugins.find(({ path }) => builtInPlugin(path)?.setting === setting);
  if (plugin === undefined) return undefined;
  const { optionKey } = builtInPlugin(plugin.path)!;
  const option = plugin.options.findLast(({ key }) => key === optionKey)!;
  return { file: option.value, refusesSpecialChars: plugin.authPluginDenySpecialChars };
}

/** [mosq: allow_anonymous] The default: `true` in local-only mode, `false` otherwise. */
function globalSettings(draft: Draft, localOnly: boolean): GlobalSettings {
  return {
    ...defaultsOf('global'),
    ...defaultsOf('security'),
    allowAnonymous: localOnly,
    ...draft.global.values,
    perListenerSettings: draft.perListenerSettings,
  };
}

function securitySettings(global: SecuritySettings): SecuritySettings {
  const { aclFile, allowAnonymous, allowZeroLengthClientid, autoIdPrefix, passwordFile, pskFile } = global;
  return { aclFile, allowAnonymous, allowZeroLengthClientid, autoIdPrefix, passwordFile, pskFile };
}

/** [mosq: local only mode] */
function localListeners(global: GlobalSettings, ports: readonly number[]): ListenerSettings[] {
  const security = securitySettings(global);
  const open = ports.length > 0 ? ports : [1883];
  return open.flatMap((port) =>
    ['127.0.0.1', '::1'].map((host) => ({ ...defaultListener(port, host), ...security })),
  );
}

function listenerSettings(section: ListenerSection, draft: Draft, global: GlobalSettings): ListenerSettings {
  const security = draft.perListenerSettings
    ? { ...defaultsOf('security'), allowAnonymous: false }
    : securitySettings(global);
  const settings: ListenerSettings = {
    ...defaultsOf('listener'),
    ...security,
    ...section.values,
    port: section.port,
    host: section.host,
    socketPath: section.socketPath,
    aclRefusesSpecialChars: false,
    usesDynamicSecurity: false,
    foundAt: foundAt(section),
    givenAt: placesOf(section),
    plugins: section.plugins.map((plugin) => draft.plugins.indexOf(plugin)),
  };
  return {
    ...settings,
    allowAnonymous: settings.listenerAllowAnonymous ?? settings.allowAnonymous,
    autoIdPrefix: settings.listenerAutoIdPrefix ?? settings.autoIdPrefix,
  };
}

function foundAt({ place, isDefault, given }: ListenerSection): string {
  const [option] = given.keys();
  return isDefault ? `${placeText(place)} ('${option}' opens the default listener)` : placeText(place);
}

function placesOf({ given }: Section): Places {
  return Object.fromEntries([...given].map(([name, place]) => [name, placeText(place)]));
}

/** The largest number of packet ids; `max_inflight_messages 0` means as much. */
const receiveMaximumMax = 65535;

function bridgeSettings(section: BridgeSection, global: GlobalSettings, hostname: string): BridgeSettings {
  const settings = { ...defaultsOf('bridge'), ...section.values };
  return {
    ...settings,
    ...bridgeClientIds(section, hostname),
    name: section.name,
    givenAt: placesOf(section),
    localCleansession: settings.localCleansession ?? settings.cleansession,
    bridgeReceiveMaximum: settings.bridgeReceiveMaximum ?? (global.maxInflightMessages || receiveMaximumMax),
  };
}

function pluginSettings(section: PluginSection): PluginSettings {
  const { name, path, global, options } = section;
  return { ...defaultsOf('plugin'), ...section.values, name, path, global, options };
}
