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
  const listeners = pairListeners(before, after);
  const bridges = pair(before.bridges, after.bridges, [(bridge) => bridge.name]);
  const changes = [
    ...changedOptions(before, after, ['global', 'security']),
    ...listeners.both.flatMap(([old, young]) =>
      changedOptions(old, young, listenerScopes(after), nameAmong(before.listeners, old)),
    ),
    ...bridges.both.flatMap(([old, young]) =>
      changedOptions(old, young, ['bridge'], `connection ${old.name}`),
    ),
  ];
  return {
    applied: changes.filter(({ option }) => optionSchema[option].reloadable),
    needRestart: changes.filter(({ option }) => !optionSchema[option].reloadable),
    listenersAdded: listeners.onlyAfter.map((listener) => nameAmong(after.listeners, listener)),
    listenersRemoved: listeners.onlyBefore.map((listener) => nameAmong(before.listeners, listener)),
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
  const ofBroker = needRestart.filter(({ section }) => section === undefined);
  // In the old order: a connection knows its listener by the place in the list.
  const listeners = pairListeners(before, read).both.map(([old, young]) => {
    const changes = changedOptions(old, young, listenerScopes(read));
    const { usesDynamicSecurity } = old;
    const unchanged = oldValues(changes.filter(({ option }) => !optionSchema[option].reloadable));
    return { ...young, ...unchanged, usesDynamicSecurity };
  });
  return { ...read, ...oldValues(ofBroker), listeners, dynamicSecurity: before.dynamicSecurity };
}

function oldValues(changes: readonly OptionChange[]): object {
  return Object.fromEntries(changes.map(({ option, before }) => [settingName(option), before]));
}

function listenerScopes({ perListenerSettings }: Settings): readonly OptionScope[] {
  return perListenerSettings ? ['listener', 'security'] : ['listener'];
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

/** What a listener listens on, as its `listener` line says it. [mosq: reload] */
export function listenerName({ port, host, socketPath }: ListenerSettings): string {
  if (socketPath !== undefined) return `listener 0 ${socketPath}`;
  return host === undefined ? `listener ${port}` : `listener ${port} ${host}`;
}

/** The same with the options that tell listeners of one port apart. */
function fullName(listener: ListenerSettings): string {
  const { bindInterface, socketDomain } = listener;
  const parts = [listenerName(listener)];
  if (bindInterface !== undefined) parts.push(`bind_interface ${bindInterface}`);
  if (socketDomain !== undefined) parts.push(`socket_domain ${socketDomain}`);
  return parts.join(', ');
}

function nameAmong(listeners: readonly ListenerSettings[], listener: ListenerSettings): string {
  const name = listenerName(listener);
  const isOnlyOne = listeners.filter((other) => listenerName(other) === name).length < 2;
  return isOnlyOne ? name : fullName(listener);
}

/** Those of one port by their interface or family; one whose interface or family is new is the one that is left. */
function pairListeners(before: Settings, after: Settings): Pairs<ListenerSettings> {
  return pair(before.listeners, after.listeners, [fullName, listenerName]);
}

interface Pairs<Item> {
  readonly both: readonly (readonly [Item, Item])[];
  readonly onlyBefore: readonly Item[];
  readonly onlyAfter: readonly Item[];
}

/**
 * @param namings the first gives the pairs of the same name; the next ones those among what is left, in their order
 * @returns pairs and single items in the order of `before`
 */
function pair<Item>(
  before: readonly Item[],
  after: readonly Item[],
  namings: readonly ((item: Item) => string)[],
): Pairs<Item> {
  const left = new Set(after);
  const matches = new Map<Item, Item>();
  for (const nameOf of namings) {
    for (const old of before) {
      if (matches.has(old)) continue;
      const name = nameOf(old);
      const match = [...left].find((young) => nameOf(young) === name);
      if (match === undefined) continue;
      matches.set(old, match);
      left.delete(match);
    }
  }
  return {
    both: before.flatMap((old) => (matches.has(old) ? [[old, matches.get(old)!] as const] : [])),
    onlyBefore: before.filter((old) => !matches.has(old)),
    onlyAfter: [...left],
  };
}
