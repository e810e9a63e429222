/** The configuration in force, as `/api/v1/config` shows it: without its secrets. */
import type { BridgeSettings, Settings } from '../config/settings.js';

const HIDDEN = '(hidden)';

/** Settings of a bridge whose values are secrets. */
const BRIDGE_SECRETS = [
  'localPassword',
  'remotePassword',
  'bridgePsk',
] as const satisfies readonly (keyof BridgeSettings)[];

export function shownSettings(settings: Settings): object {
  return {
    ...settings,
    listeners: settings.listeners.map(({ givenAt, ...listener }) => listener),
    bridges: settings.bridges.map(shownBridge),
    // What a plugin is given may be a password; only the plugin knows.
    plugins: settings.plugins.map((plugin) => ({
      ...plugin,
      options: plugin.options.map(({ key }) => ({ key, value: HIDDEN })),
    })),
  };
}

function shownBridge({ givenAt, ...bridge }: BridgeSettings): object {
  const hidden = BRIDGE_SECRETS.filter((name) => bridge[name] !== undefined);
  return { ...bridge, ...Object.fromEntries(hidden.map((name) => [name, HIDDEN])) };
}
