/**
 * What a configuration says, with every default filled in and every inheritance resolved.
 *
 * Plain data without functions: it is cloned to the worker threads. Keys are the options' names in camelCase
 * (`settingName`), values have the types of the option table.
 */

import { type OptionName, type OptionSchema, optionSchema } from './option-schema.js';
import type { BridgeAddress, BridgeTopic } from './option-types.js';
import { type OptionRow, type OptionScope, type SettingsOf, settingName } from './option-types.js';

type RowsOf<Scope extends OptionScope> = {
  readonly [Name in keyof OptionSchema as OptionSchema[Name]['scope'] extends Scope
    ? Name
    : never]: OptionSchema[Name];
};

/** Where the options of a section are given, as `file:line`; for error lines. */
export type Places = Readonly<Partial<Record<OptionName, string>>>;

/** Values that apply to the whole broker, or to a listener under `per_listener_settings`. */
export type SecuritySettings = Omit<SettingsOf<RowsOf<'security'>>, 'allowAnonymous'> & {
  readonly allowAnonymous: boolean;
};

/**
 * A listener. The security values are those that hold for its clients, wherever they were given:
 * `allowAnonymous` and `autoIdPrefix` have `listener_allow_anonymous` and `listener_auto_id_prefix` worked in,
 * and without `per_listener_settings` the others are the global ones.
 */
export type ListenerSettings = SettingsOf<RowsOf<'listener'>> &
  SecuritySettings & {
    /** 1 to 65535, or 0 for a Unix socket. */
    readonly port: number;
    /** Address or name to listen on; without it, all addresses. */
    readonly host: string | undefined;
    /** Path of the Unix socket when `port` is 0. */
    readonly socketPath: string | undefined;
    /** Clients with `+`, `#` or `/` in their names have no rights [mosq: auth_plugin_deny_special_chars]. */
    readonly aclRefusesSpecialChars: boolean;
    /** Dynamic security decides about its clients. */
    readonly usesDynamicSecurity: boolean;
    /** The line of the configuration that opens it, for the log; `undefined` without one. */
    readonly foundAt: string | undefined;
    readonly givenAt: Places;
    /** Plugins attached to this listener only: their places in `Settings.plugins`. */
    readonly plugins: readonly number[];
  };

/** A bridge. Client ids, `localCleansession` and `bridgeReceiveMaximum` are never left open: defaults are worked in. */
export type BridgeSettings = Omit<
  SettingsOf<RowsOf<'bridge'>>,
  'remoteClientid' | 'localClientid' | 'localCleansession' | 'bridgeReceiveMaximum'
> & {
  /** What `connection` calls it. */
  readonly name: string;
  readonly address: readonly BridgeAddress[];
  readonly topic: readonly BridgeTopic[];
  readonly remoteClientid: string;
  readonly localClientid: string;
  readonly localCleansession: boolean;
  readonly bridgeReceiveMaximum: number;
  readonly givenAt: Places;
};

/** [mosq: dynamic security] */
export interface DynamicSecuritySettings {
  /** `plugin_opt_config_file` */
  readonly file: string;
  /** `plugin_opt_password_init_file`: holds the first password of `admin`. */
  readonly passwordInitFile: string | undefined;
}

export interface PluginOption {
  /** What follows `plugin_opt_`. */
  readonly key: string;
  readonly value: string;
}

export type PluginSettings = SettingsOf<RowsOf<'plugin'>> & {
  /** The name that `plugin_load` gave it. */
  readonly name: string | undefined;
  readonly path: string;
  /** Whether it serves all listeners; else those that list it. */
  readonly global: boolean;
  readonly options: readonly PluginOption[];
};

export type Settings = SettingsOf<RowsOf<'global'>> &
  SecuritySettings & {
    /** The main file as it was named, or none. */
    readonly configFile: string | undefined;
    /**
     * No listener was configured: `listeners` are the loopback addresses, and the broker runs if one of them can
     * be opened.
     */
    readonly localOnly: boolean;
    readonly listeners: readonly ListenerSettings[];
    readonly bridges: readonly BridgeSettings[];
    readonly plugins: readonly PluginSettings[];
    /** `undefined` if no plugin line asks for it. */
    readonly dynamicSecurity: DynamicSecuritySettings | undefined;
    /** `max_packet_size` if the file sets it: bridges announce no default to other brokers. */
    readonly givenPacketSizeMax?: number | undefined;
  };

/** The default of every option of a scope, under its name in code; options left open are there as `undefined`. */
export function defaultsOf<Scope extends OptionScope>(scope: Scope): SettingsOf<RowsOf<Scope>> {
  const defaults: Record<string, unknown> = {};
  for (const [name, row] of Object.entries(optionSchema) as [OptionName, OptionRow][]) {
    if (row.scope !== scope || row.type.kind === 'directive' || row.type.kind === 'removed') continue;
    defaults[settingName(name)] = row.default;
  }
  return defaults as SettingsOf<RowsOf<Scope>>;
}

/** A listener with nothing but a port (and address): anonymous clients are allowed, as in local-only mode. */
export function defaultListener(port: number, host?: string): ListenerSettings {
  return {
    ...defaultsOf('listener'),
    ...defaultsOf('security'),
    allowAnonymous: true,
    port,
    host,
    socketPath: undefined,
    aclRefusesSpecialChars: false,
    usesDynamicSecurity: false,
    foundAt: undefined,
    givenAt: {},
    plugins: [],
  };
}

/**
 * Settings without a configuration file: local-only mode on the given ports.
 *
 * @param ports From `-p`; 1883 when there are none.
 */
export function defaultSettings(ports: readonly number[] = []): Settings {
  const open = ports.length > 0 ? ports : [1883];
  return {
    ...defaultsOf('global'),
    ...defaultsOf('security'),
    allowAnonymous: true,
    configFile: undefined,
    localOnly: true,
    listeners: open.flatMap((port) => [defaultListener(port, '127.0.0.1'), defaultListener(port, '::1')]),
    bridges: [],
    plugins: [],
    dynamicSecurity: undefined,
  };
}
