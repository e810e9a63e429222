/** A draft without errors to settings: defaults are filled in, inheritance is resolved. */
import {
  type BridgeSection,
  bridgeClientIds,
  type Draft,
  type ListenerSection,
  type PluginSection,
} from './draft.js';
import {
  type BridgeSettings,
  defaultListener,
  defaultsOf,
  type ListenerSettings,
  type PluginSettings,
  type SecuritySettings,
  type Settings,
} from './settings.js';

/** What a configuration file does not say. */
export interface Surroundings {
  readonly configFile: string | undefined;
  /** Ports from the command line, for local-only mode; none is 1883. */
  readonly ports: readonly number[];
  readonly hostname: string;
}

type GlobalSettings = Omit<Settings, 'configFile' | 'localOnly' | 'listeners' | 'bridges' | 'plugins'>;

export function finishSettings(draft: Draft, surroundings: Surroundings): Settings {
  const localOnly = !draft.listenerDeclared;
  const global = globalSettings(draft, localOnly);
  return {
    ...global,
    configFile: surroundings.configFile,
    localOnly,
    listeners: localOnly
      ? localListeners(global, surroundings.ports)
      : draft.listeners.map((section) => listenerSettings(section, draft, global)),
    bridges: draft.bridges.map((section) => bridgeSettings(section, global, surroundings.hostname)),
    plugins: draft.plugins.map(pluginSettings),
  };
}

/** [mosq: allow_anonymous] Not given, it is what local-only mode needs, and the safe choice otherwise. */
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
    plugins: section.plugins.map((plugin) => draft.plugins.indexOf(plugin)),
  };
  return {
    ...settings,
    allowAnonymous: settings.listenerAllowAnonymous ?? settings.allowAnonymous,
    autoIdPrefix: settings.listenerAutoIdPrefix ?? settings.autoIdPrefix,
  };
}

/** The largest number of packet ids; `max_inflight_messages 0` means as much. */
const receiveMaximumMax = 65535;

function bridgeSettings(section: BridgeSection, global: GlobalSettings, hostname: string): BridgeSettings {
  const settings = { ...defaultsOf('bridge'), ...section.values };
  return {
    ...settings,
    ...bridgeClientIds(section, hostname),
    name: section.name,
    localCleansession: settings.localCleansession ?? settings.cleansession,
    bridgeReceiveMaximum: settings.bridgeReceiveMaximum ?? (global.maxInflightMessages || receiveMaximumMax),
  };
}

function pluginSettings(section: PluginSection): PluginSettings {
  const { name, path, global, options } = section;
  return { ...defaultsOf('plugin'), ...section.values, name, path, global, options };
}
