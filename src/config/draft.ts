/**
 * A configuration while it is being read: sections with the values given in them and where, no defaults yet.
 *
 * A section whose first line is wrong is `broken`: the lines after it are read and checked as its own, so that one
 * mistake is reported once, but it is not part of the result.
 */
import type { Place } from './config-messages.js';
import type { OptionName } from './option-schema.js';
import type { PluginOption } from './settings.js';

/** Values of options, and where each was last given (even if its value was refused). */
export interface Section {
  /** By the options' names in code. */
  readonly values: Record<string, unknown>;
  readonly given: Map<OptionName, Place>;
}

/** A section that a line begins. */
interface BegunSection extends Section {
  readonly place: Place;
}

export interface ListenerSection extends BegunSection {
  port: number;
  host: string | undefined;
  readonly socketPath: string | undefined;
  readonly isDefault: boolean;
  readonly plugins: PluginSection[];
}

export interface BridgeSection extends BegunSection {
  readonly name: string;
}

export interface PluginSection extends BegunSection {
  readonly name: string | undefined;
  readonly path: string;
  readonly global: boolean;
  readonly options: PluginOption[];
}

export interface Draft {
  readonly global: Section;
  readonly listeners: ListenerSection[];
  readonly bridges: BridgeSection[];
  readonly plugins: PluginSection[];
  defaultListener: ListenerSection | undefined;
  /** Security options belong to listeners. */
  perListenerSettings: boolean;
  /** A `listener`, `port` or `bind_address` line was read: no local-only mode. */
  listenerDeclared: boolean;
  /** A security option was read, so `per_listener_settings` comes too late. */
  securityGiven: boolean;
  /** Options used with another value than their default, in the order of their first use. */
  readonly used: Set<OptionName>;
}

/** The sections that the next lines of a file belong to; each file begins with none. */
export interface Context {
  listener: ListenerSection | undefined;
  bridge: BridgeSection | undefined;
  plugin: PluginSection | undefined;
}

export function emptyDraft(): Draft {
  return {
    global: emptySection(),
    listeners: [],
    bridges: [],
    plugins: [],
    defaultListener: undefined,
    perListenerSettings: false,
    listenerDeclared: false,
    securityGiven: false,
    used: new Set(),
  };
}

export function emptyContext(): Context {
  return { listener: undefined, bridge: undefined, plugin: undefined };
}

function emptySection(): Section {
  return { values: {}, given: new Map() };
}

export interface ListenerHead {
  readonly port: number;
  readonly host?: string | undefined;
  readonly socketPath?: string | undefined;
  readonly isDefault?: boolean;
}

export function listenerSection(place: Place, head: ListenerHead): ListenerSection {
  const { port, host, socketPath, isDefault = false } = head;
  return { ...emptySection(), place, port, host, socketPath, isDefault, plugins: [] };
}

export function bridgeSection(place: Place, name: string): BridgeSection {
  return { ...emptySection(), place, name };
}

export interface PluginHead {
  readonly name: string | undefined;
  readonly path: string;
  readonly global: boolean;
}

export function pluginSection(place: Place, head: PluginHead): PluginSection {
  return { ...emptySection(), place, ...head, options: [] };
}

/** The client ids of a bridge. [mosq: remote_clientid, local_clientid] Defaults are made from host and name. */
export function bridgeClientIds(
  bridge: BridgeSection,
  hostname: string,
): { readonly remoteClientid: string; readonly localClientid: string } {
  const given = bridge.values as { remoteClientid?: string; localClientid?: string };
  const remoteClientid = given.remoteClientid ?? `${hostname}.${bridge.name}`;
  return { remoteClientid, localClientid: given.localClientid ?? `local.${remoteClientid}` };
}
