/**
 * The shape of a row of the option table, and how TypeScript types of settings follow from rows.
 *
 * A row says everything there is to know about one option of `mosquitto.conf`. Parser, defaults, types, reload
 * comparison, documentation and the list of what is not yet effective all walk the table; nothing else knows an
 * option by itself, but for the few whose value has a grammar of its own (`CustomValues`) or that steer the
 * reading (`directive`).
 */

/**
 * Where an option applies.
 *
 * - `global`: the whole broker.
 * - `security`: the whole broker, or the current listener under `per_listener_settings true`.
 * - `listener`, `bridge`, `plugin`: the section begun last.
 */
export type OptionScope = 'global' | 'security' | 'listener' | 'bridge' | 'plugin';

/** Values whose text has a grammar of its own; `custom-values.ts` has the parsers. */
export interface CustomValues {
  readonly acceptedProtocols: readonly ProtocolVersion[];
  readonly bridgeAddresses: readonly BridgeAddress[];
  readonly bridgeTopics: readonly BridgeTopic[];
  /** Seconds. */
  readonly duration: number;
  readonly logDestinations: readonly LogDestination[];
  readonly logTypes: readonly LogType[];
  readonly restartTimeout: RestartTimeout;
  readonly tcpKeepAlive: TcpKeepAlive;
  /** Bytes. */
  readonly memoryLimit: 'auto' | number;
  readonly workerThreads: 'auto' | number;
}

/** The version number in CONNECT: 3 is MQTT 3.1, 4 is 3.1.1. */
export type ProtocolVersion = 3 | 4 | 5;

export type LogDestination =
  | { readonly kind: 'stdout' | 'stderr' | 'syslog' | 'topic' | 'dlt' | 'android' }
  | { readonly kind: 'file'; readonly path: string };

export const logTypes = [
  'error',
  'warning',
  'notice',
  'information',
  'debug',
  'subscribe',
  'unsubscribe',
  'websockets',
  'internal',
] as const;

export type LogType = (typeof logTypes)[number];

export interface BridgeAddress {
  readonly host: string;
  readonly port: number;
}

export type BridgeDirection = 'in' | 'out' | 'both';

/** One `topic` line of a bridge. Prefixes are put before the pattern as they are, without a `/` between. */
export interface BridgeTopic {
  /** Empty only when both prefixes are given: then one local topic is mapped to one remote topic. */
  readonly pattern: string;
  readonly direction: BridgeDirection;
  readonly qos: 0 | 1 | 2;
  readonly localPrefix: string | undefined;
  readonly remotePrefix: string | undefined;
}

/** Wait between two attempts of a bridge. */
export type RestartTimeout =
  | { readonly kind: 'constant'; readonly seconds: number }
  | {
      readonly kind: 'jitter';
      readonly baseSeconds: number;
      readonly capSeconds: number;
      /** How long a connection must have stood before the next wait starts at the base again. */
      readonly stableSeconds: number;
    };

export interface TcpKeepAlive {
  readonly idleSeconds: number;
  readonly intervalSeconds: number;
  readonly probes: number;
}

/**
 * What becomes of a number out of range: an error with this text (`{value}` stands for the number), or another
 * number in its place, with or without a line that says so.
 */
export type OutOfRange =
  | { readonly error: string }
  | { readonly use: number; readonly notice?: string; readonly warning?: string };

export interface IntType {
  readonly kind: 'int';
  readonly min?: number;
  readonly max?: number;
  /** Without it: `Error: Invalid 'NAME' value (N).` */
  readonly tooSmall?: OutOfRange;
  readonly tooLarge?: OutOfRange;
}

export interface EnumType {
  readonly kind: 'enum';
  readonly values: readonly string[];
  /** The whole rest of the line is compared, not its first word. */
  readonly wholeLine?: true;
  /** Error instead of `Error: Invalid 'NAME' value (V).`; `{value}` stands for the word. */
  readonly invalid?: string;
  /** Words with an error of their own. */
  readonly refused?: Readonly<Record<string, string>>;
  /** Allowed words that bring a warning. */
  readonly discouraged?: Readonly<Record<string, string>>;
  /** What any other word means, for options that take every word. */
  readonly otherwise?: string;
}

export interface StringType {
  readonly kind: 'string';
  /** What the string stands for, in capitals, for documentation and help: FILE, DIR, TEXT, ... */
  readonly syntax: string;
  readonly bytesMax?: number;
  /** Error for a longer one instead of `Error: 'NAME' length must be <= N.` */
  readonly tooLong?: string;
  /** It is put before topics: wildcards are refused. */
  readonly topicPrefix?: true;
}

export interface CustomType {
  readonly kind: 'custom';
  readonly value: keyof CustomValues;
  readonly syntax: string;
  /** Error for a missing value instead of `Error: Empty 'NAME' value in configuration.` */
  readonly empty?: string;
  /** TABs separate words, instead of making the value malformed. */
  readonly tabsSeparate?: true;
}

export type OptionType =
  | { readonly kind: 'bool' }
  | IntType
  | EnumType
  | StringType
  /** One string a line, lines add up. */
  | { readonly kind: 'strings'; readonly syntax: string }
  | CustomType
  /** Steers the reading, and is stored under no name of its own. */
  | { readonly kind: 'directive'; readonly syntax: string }
  /** Known to earlier versions: accepted with a warning, its value is not looked at. */
  | { readonly kind: 'removed'; readonly warning: string };

/** A row of the table; its name is the key. */
export interface OptionRow {
  readonly type: OptionType;
  /** The value when the option is not given; `undefined` when that means "none". */
  readonly default: unknown;
  /** How the documentation puts a default that depends on something else. */
  readonly defaultText?: string;
  readonly scope: OptionScope;
  /**
   * For listener options met before any `listener` line: `listener` is an error then, `declaredListener` too and
   * also refuses the default listener. Without it, a default listener is created.
   */
  readonly requires?: 'listener' | 'declaredListener';
  readonly repeat: 'error' | 'last' | 'add';
  /** Error for a second use instead of `Error: Duplicate 'NAME' value in configuration.` */
  readonly duplicate?: string;
  /** Whether SIGHUP applies a change. */
  readonly reloadable: boolean;
  /** First Mosquitto version that knows it; `1.4` stands for 1.4 or earlier, `midge` for an option of ours. */
  readonly since: string;
  readonly aliases?: readonly string[];
  /** Mosquitto's advice after the deprecation notice; the option still works. */
  readonly deprecated?: string;
  /** The name in Mosquitto's error lines if it is not the option's. */
  readonly printedName?: string;
  /** Logged, at level notice, whenever the option is used. */
  readonly notice?: string;
  /** The same, when it is used under `per_listener_settings`. */
  readonly perListenerNotice?: string;
  /**
   * Whether what the option asks for happens already. `never`: Midge ignores it, `reason` says why, and so does a
   * log line at the start.
   */
  readonly effective: boolean | 'never';
  readonly reason?: string;
  readonly doc: string;
}

export type OptionTable = Readonly<Record<string, OptionRow>>;

/** An option's name as it is written in code: `max_qos` is `maxQos`, `ciphers_tls1.3` is `ciphersTls13`. */
export function settingName(optionName: string): string {
  return optionName.replaceAll('.', '').replace(/_(.)/g, (_, letter: string) => letter.toUpperCase());
}

/** Whether two values of an option, or two sections, are the same. They are plain data in a fixed order of keys. */
export function isEqual(one: unknown, other: unknown): boolean {
  return one === other || JSON.stringify(one) === JSON.stringify(other);
}

/** The type of what `settingName` returns. */
export type SettingName<Name extends string> = Name extends `${infer Head}.${infer Tail}`
  ? SettingName<`${Head}${Tail}`>
  : Name extends `${infer Head}_${infer Tail}`
    ? `${Head}${Capitalize<SettingName<Tail>>}`
    : Name;

/** The value that a type of option stores. */
type ValueOf<Type extends OptionType> = Type extends { kind: 'bool' }
  ? boolean
  : Type extends { kind: 'int' }
    ? number
    : Type extends { kind: 'enum'; values: readonly (infer Word)[] }
      ? Word
      : Type extends { kind: 'string' }
        ? string
        : Type extends { kind: 'strings' }
          ? readonly string[]
          : Type extends { kind: 'custom'; value: infer Name extends keyof CustomValues }
            ? CustomValues[Name]
            : never;

type SettingOf<Row extends OptionRow> = Row['default'] extends undefined
  ? ValueOf<Row['type']> | undefined
  : ValueOf<Row['type']>;

type StoredNames<Table extends OptionTable> = {
  [Name in keyof Table]: Table[Name]['type']['kind'] extends 'directive' | 'removed' ? never : Name;
}[keyof Table] &
  string;

/** The settings that a table's rows store, each under the option's name in code. */
export type SettingsOf<Table extends OptionTable> = {
  readonly [Name in StoredNames<Table> as SettingName<Name>]: SettingOf<Table[Name]>;
};
