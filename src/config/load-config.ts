/**
 * Loads a configuration: files in, settings and messages out. The broker calls nothing else of this folder to read its
 * configuration: at the start, for `--test-config` and on SIGHUP.
 */
import { type ConfigMessage, ConfigMessages } from './config-messages.js';
import type { ConfigSource } from './config-source.js';
import { crossCheck } from './cross-checks.js';
import { type Draft, emptyDraft } from './draft.js';
import { finishSettings } from './finish-settings.js';
import { optionSchema } from './option-schema.js';
import { isEqual, logTypes, type OptionRow, settingName } from './option-types.js';
import { ConfigParser } from './parser.js';
import type { Settings } from './settings.js';

export interface LoadOptions {
  readonly source: ConfigSource;
  /** The main file; without one, defaults and local-only mode. */
  readonly configFile?: string | undefined;
  /** Files that are read before the main one. [mosq: -c] */
  readonly earlierConfigFiles?: readonly string[];
  /** From `-p`: ports of local-only mode, ignored when the file has listeners. */
  readonly ports?: readonly number[];
  /** From `-v`: all log types. */
  readonly verbose?: boolean;
  /** From `-q`: no log types; wins over `verbose`. */
  readonly quiet?: boolean;
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Of this machine; bridges make their client ids of it. */
  readonly hostname?: string;
}

/** `messages` are log lines, to be written in their order also when all went well. */
export type ConfigResult =
  | { readonly ok: true; readonly settings: Settings; readonly messages: readonly ConfigMessage[] }
  | { readonly ok: false; readonly messages: readonly ConfigMessage[] };

/** The exit code if a configuration is refused. [mosq: exit code 3] */
export const configExitCode = 3;

/** Reads, checks and completes a configuration. Reads files through `source` only, and changes nothing. */
export function loadConfig(options: LoadOptions): ConfigResult {
  const { settings, messages } = examineConfig(options);
  if (settings === undefined) return { ok: false, messages: messages.lines };
  return { ok: true, settings, messages: messages.lines };
}

/** A configuration, and where each of its values was given. */
export interface ExaminedConfig {
  /** `undefined` if the configuration is refused. */
  readonly settings: Settings | undefined;
  readonly draft: Draft;
  readonly messages: ConfigMessages;
}

/** The same as `loadConfig`, for those who also want to know the lines. */
export function examineConfig(options: LoadOptions): ExaminedConfig {
  const { source, configFile, earlierConfigFiles = [], ports = [], hostname = 'localhost' } = options;
  const messages = new ConfigMessages();
  const draft = emptyDraft();
  const parser = new ConfigParser(source, messages, draft);
  for (const file of earlierConfigFiles) parser.readFile(file);
  if (configFile !== undefined) parser.readFile(configFile);
  dropDefaultListener(draft, messages);
  crossCheck(draft, hostname, source, messages);
  if (messages.hasErrors) return { settings: undefined, draft, messages };

  const settings = overridden(finishSettings(draft, { configFile, ports, hostname }), options);
  sayWhatIsIgnored(draft, settings, ports, messages);
  sayWhatHasNoEffect(draft, messages);
  return { settings, draft, messages };
}

/**
 * Files that begin with `protocol mqtt`, and define their listeners further down, mean no other one: the line only says
 * what holds anyway. Mosquitto 2.0 takes it so; 2.1 opens port 1883 for it.
 */
function dropDefaultListener(draft: Draft, messages: ConfigMessages): void {
  const { defaultListener, listeners } = draft;
  if (defaultListener === undefined || listeners.length === 1) return;
  const { given, values } = defaultListener;
  if (given.has('port') || given.has('bind_address')) return;
  const names = [...given.keys()];
  if (names.some((name) => !isEqual(values[settingName(name)], optionSchema[name].default))) return;
  listeners.splice(listeners.indexOf(defaultListener), 1);
  draft.defaultListener = undefined;
  messages.say(
    'information',
    `The default listener is not opened: there are others, and it would have nothing but defaults (${names.join(', ')}).`,
  );
}

/** Replaces settings by those of the command line and the environment. */
function overridden(settings: Settings, { verbose, quiet, environment = {} }: LoadOptions): Settings {
  const location = environment.MOSQUITTO_PERSISTENCE_LOCATION;
  return {
    ...settings,
    ...(location !== undefined && { persistenceLocation: location }),
    ...(verbose && { logType: logTypes }),
    ...(quiet && { logType: [] }),
  };
}

function sayWhatIsIgnored(
  draft: Draft,
  settings: Settings,
  ports: readonly number[],
  messages: ConfigMessages,
): void {
  if (!settings.localOnly && ports.length > 0) {
    messages.say('warning', 'Warning: -p is ignored, because the configuration file defines a listener.');
  }
  if (settings.localOnly && draft.defaultListener !== undefined) {
    const names = [...draft.defaultListener.given.keys()].join(', ');
    messages.say('warning', `Warning: Ignored in local only mode, for want of a listener: ${names}.`);
  }
}

/** One line for all options without an effect yet, and one for each that never will have one. */
function sayWhatHasNoEffect(draft: Draft, messages: ConfigMessages): void {
  const pending: string[] = [];
  for (const name of draft.used) {
    const row: OptionRow = optionSchema[name];
    if (row.effective === false) pending.push(name);
    if (row.effective === 'never')
      messages.say('warning', `Warning: '${name}' has no effect: ${row.reason}.`);
  }
  if (pending.length === 0) return;
  messages.say('warning', `Warning: Accepted but not yet effective in this version: ${pending.join(', ')}.`);
}
