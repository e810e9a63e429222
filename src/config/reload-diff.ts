/**
 * Compares two configurations for a reload: which options have another value, which of them take effect only after a
 * restart, and which settings are in force until then.
 */
import { type OptionName, optionSchema } from './option-schema.js';
import { isEqual, type OptionRow, type OptionScope, settingName } from './option-types.js';
import type { BridgeSettings, ListenerSettings, Settings } from './settings.js';

export interface OptionChange {
  readonly option: OptionName;
  /** The listener or bridge it belongs to; `undefined` for the whole broker. */
  readonly section: string | undefined;
  readonly before: unknown;
  readonly after: unknown;
}

export interface SettingsDiff {
  /** Changed options that a reload applies. */
  readonly applied: readonly OptionChange[];
  /** Changed options whose old value is in force until the next start. */
  readonly needRestart: readonly OptionChange[];
  /** Listeners that only one side has, by `listenerName`. [mosq: reload] Refused: they need a restart. */
  readonly listenersAdded: readonly string[];
  readonly listenersRemoved: readonly string[];
  readonly bridgesAdded: readonly BridgeSettings[];
  readonly bridgesRemoved: readonly BridgeSettings[];
  /** New settings of bridges that both sides have and that are not the same. */
  readonly bridgesChanged: readonly BridgeSettings[];
  /** Plugins, their options and where they are attached differ: that needs a restart. */
  readonly pluginsChanged: boolean;
}

/** Compares the settings in force with those just read. Equal settings give a diff of empty lists. */
export function compareSettings(before: Settings, after: Settings): SettingsDiff {
  const listeners = pair(before.listeners, after.listeners, listenerName);
  const bridges = pair(before.bridges, after.bridges, (bridge) => bridge.name);
  const ofListener: readonly OptionScope[] = after.perListenerSettings
    ? ['listener', 'security']
    : ['listener'];
  const changes = [
    ...changedOptions(before, after, ['global', 'security']),
    ...listeners.both.flatMap(([old, young]) => changedOptions(old, young, ofListener, listenerName(old))),
    ...bridges.both.flatMap(([old, young]) =>
      changedOptions(old, young, ['bridge'], `connection ${old.name}`),
    ),
  ];
  return {
    applied: changes.filter(({ option }) => optionSchema[option].reloadable),
    needRestart: changes.filter(({ option }) => !optionSchema[option].reloadable),
    listenersAdded: listeners.onlyAfter.map(listenerName),
    listenersRemoved: listeners.onlyBefore.map(listenerName),
    bridgesAdded: bridges.onlyAfter,
    bridgesRemoved: bridges.onlyBefore,
    bridgesChanged: bridges.both
      .filter(([old, young]) => !isSameBridge(old, young))
      .map(([, young]) => young),
    pluginsChanged:
      !isEqual(before.plugins, after.plugins) ||
      listeners.both.some(([old, young]) => !isEqual(old.plugins, young.plugins)),
  };
}

/** Whether nothing is different but the lines that the options stand on. */
export function isSameBridge(one: BridgeSettings, other: BridgeSettings): boolean {
  return isEqual({ ...one, givenAt: {} }, { ...other, givenAt: {} });
}

/**
 * The settings that are in force from now on: those just read, with the old values of options that need a restart.
 * @param changes between the two; no listener may have come or gone
 */
export function untilRestart(before: Settings, read: Settings, { needRestart }: SettingsDiff): Settings {
  const oldValues = (of: string | undefined) =>
    Object.fromEntries(
      needRestart
        .filter(({ section }) => section === of)
        .map(({ option, before: value }) => [settingName(option), value]),
    );
  const byName = new Map(read.listeners.map((listener) => [listenerName(listener), listener]));
  // In the old order: a connection knows its listener by the place in the list.
  const listeners = before.listeners.map((listener) => {
    const name = listenerName(listener);
    return { ...byName.get(name)!, ...oldValues(name) };
  });
  return { ...read, ...oldValues(undefined), listeners };
}

function changedOptions(
  before: object,
  after: object,
  scopes: readonly OptionScope[],
  section?: string,
): OptionChange[] {
  const changes: OptionChange[] = [];
  for (const [option, row] of Object.entries(optionSchema) as [OptionName, OptionRow][]) {
    if (!scopes.includes(row.scope)) continue;
    const key = settingName(option);
    const change = { option, section, before: valueAt(before, key), after: valueAt(after, key) };
    if (!isEqual(change.before, change.after)) changes.push(change);
  }
  return changes;
}

/** Options that are stored under no name of their own are `undefined` on both sides. */
function valueAt(settings: object, key: string): unknown {
  return (settings as Record<string, unknown>)[key];
}

/** Identifies a listener by what it listens on. [mosq: reload] */
export function listenerName({ port, host, socketPath }: ListenerSettings): string {
  if (socketPath !== undefined) return `listener 0 ${socketPath}`;
  return host === undefined ? `listener ${port}` : `listener ${port} ${host}`;
}

interface Pairs<Item> {
  readonly both: readonly (readonly [Item, Item])[];
  readonly onlyBefore: readonly Item[];
  readonly onlyAfter: readonly Item[];
}

function pair<Item>(
  before: readonly Item[],
  after: readonly Item[],
  nameOf: (item: Item) => string,
): Pairs<Item> {
  const young = new Map(after.map((item) => [nameOf(item), item]));
  const oldNames = new Set(before.map(nameOf));
  const both: [Item, Item][] = [];
  const onlyBefore: Item[] = [];
  for (const item of before) {
    const match = young.get(nameOf(item));
    if (match === undefined) onlyBefore.push(item);
    else both.push([item, match]);
  }
  return { both, onlyBefore, onlyAfter: after.filter((item) => !oldNames.has(nameOf(item))) };
}
