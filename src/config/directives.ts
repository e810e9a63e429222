/**
 * Lines that steer the reading: those that begin a section, and the few that are not stored under their own name.
 *
 * A handler that refuses its line still opens the section it would have opened, but leaves it out of the draft:
 * the lines after it are read as that section's, and one mistake is reported once.
 */
import { type Fault, type Place, placeText } from './config-messages.js';
import {
  bridgeSection,
  type Context,
  type Draft,
  type ListenerHead,
  listenerSection,
  type PluginHead,
  type PluginSection,
  pluginSection,
} from './draft.js';
import { parseInteger } from './integer.js';
import { words } from './lexer.js';
import { nearestWord } from './nearest-word.js';
import type { OptionName, OptionSchema } from './option-schema.js';
import { accepted, type Parsed, refused } from './parsed-value.js';

export type DirectiveName = {
  [Name in OptionName]: OptionSchema[Name]['type']['kind'] extends 'directive' ? Name : never;
}[OptionName];

/** A line of an option of kind `directive`. */
export interface DirectiveLine {
  /** The option as it was written. */
  readonly written: string;
  /** Its name in error lines. */
  readonly name: string;
  /** Never empty, without the white space around it. */
  readonly value: string;
  readonly place: Place;
  /** Where the option was given before in its section. */
  readonly first: Place | undefined;
}

/** What a directive works on. */
export interface Reading {
  readonly draft: Draft;
  /** Of the file that the line stands in. */
  readonly context: Context;
  warn(text: string): void;
  /** Reads the files of a directory here. */
  includeDirectory(path: string, place: Place): Fault | undefined;
}

/** Carries out a line. @returns a fault if the line is refused */
type Directive = (line: DirectiveLine, reading: Reading) => Fault | undefined;

export const directives: Readonly<Record<DirectiveName, Directive>> = {
  bind_address: bindAddress,
  connection,
  global_plugin: (line, reading) =>
    addPlugin(line, reading, { name: undefined, path: line.value, global: true }),
  include_dir: (line, reading) => reading.includeDirectory(line.value, line.place),
  listener,
  plugin,
  plugin_load: pluginLoad,
  'plugin_opt_*': pluginOption,
  plugin_use: pluginUse,
  port,
};

export const defaultPort = 1883;

function listener(line: DirectiveLine, { draft, context }: Reading): Fault | undefined {
  draft.listenerDeclared = true;
  const head = listenerHead(line);
  if (!head.ok) {
    context.listener = listenerSection(line.place, { port: defaultPort });
    return head.fault;
  }
  context.listener = listenerSection(line.place, head.value);
  draft.listeners.push(context.listener);
  return undefined;
}

/** Bytes of `sockaddr_un.sun_path`, less the one that ends it. */
const socketPathBytesMax = 107;

/** [mosq: listener] `PORT [ADDRESS]`; a second word that begins with `#` is a comment, a third is not looked at. */
function listenerHead(line: DirectiveLine): Parsed<ListenerHead> {
  const [portWord = '', second] = words(line.value);
  const address = second?.startsWith('#') ? undefined : second;
  const port = parsePort(line, portWord, 0);
  if (!port.ok) return port;
  if (port.value > 0) return accepted({ port: port.value, host: address });
  if (address === undefined) {
    return refused(
      'Error: A listener with port 0 must provide a Unix socket path.',
      "Write 'listener 0 PATH' for a Unix socket, or a port from 1 to 65535.",
    );
  }
  const bytes = Buffer.byteLength(address);
  if (bytes > socketPathBytesMax) {
    return refused(
      `Error: Path to unix socket is too long "${address}".`,
      `The path is ${bytes} bytes long; the system allows ${socketPathBytesMax}.`,
    );
  }
  return accepted({ port: 0, socketPath: address });
}

function parsePort(line: DirectiveLine, word: string, min: number): Parsed<number> {
  const help = `'${word}' is not allowed: a port is from ${min} to 65535.`;
  const port = parseInteger(word);
  if (typeof port === 'string') return refused(`Error: '${line.name}' value ${port}.`, help);
  if (port < min || port > 65535) return refused(`Error: Invalid 'port' value (${port}).`, help);
  return accepted(port);
}

/** [mosq: port] The parser has made the default listener the current one. */
function port(line: DirectiveLine, { draft, context, warn }: Reading): Fault | undefined {
  draft.listenerDeclared = true;
  const word = words(line.value)[0]!;
  const number = parsePort(line, word, 1);
  if (!number.ok) return number.fault;
  if (line.first !== undefined) {
    warn('Warning: Default listener port specified multiple times. Only the latest will be used.');
  }
  context.listener!.port = number.value;
  return undefined;
}

function bindAddress(line: DirectiveLine, { draft, context }: Reading): undefined {
  draft.listenerDeclared = true;
  context.listener!.host = line.value;
}

function connection(line: DirectiveLine, { draft, context }: Reading): Fault | undefined {
  const name = words(line.value)[0]!;
  const first = draft.bridges.find((bridge) => bridge.name === name);
  context.bridge = bridgeSection(line.place, name);
  if (first !== undefined) {
    return {
      error: `Error: Duplicate bridge name '${name}'.`,
      help: `Each connection has a name of its own; '${name}' is the one at ${placeText(first.place)}.`,
    };
  }
  draft.bridges.push(context.bridge);
  return undefined;
}

/** [mosq: plugin] Global, unless security options belong to listeners. */
function plugin(line: DirectiveLine, reading: Reading): undefined {
  const { draft, context } = reading;
  addPlugin(line, reading, { name: undefined, path: line.value, global: !draft.perListenerSettings });
  if (draft.perListenerSettings) context.listener!.plugins.push(context.plugin!);
}

function addPlugin(line: DirectiveLine, { draft, context }: Reading, head: PluginHead): undefined {
  context.plugin = pluginSection(line.place, head);
  draft.plugins.push(context.plugin);
}

function pluginLoad(line: DirectiveLine, reading: Reading): Fault | undefined {
  const name = words(line.value)[0]!;
  const path = line.value.slice(name.length).trim();
  const head = { name, path, global: false };
  const first = reading.draft.plugins.find((loaded) => loaded.name === name);
  if (first === undefined && path !== '') return addPlugin(line, reading, head);
  reading.context.plugin = pluginSection(line.place, head);
  if (first !== undefined) {
    return {
      error: `Error: Duplicate plugin name '${name}'.`,
      help: `Each plugin has a name of its own; '${name}' is the one at ${placeText(first.place)}.`,
    };
  }
  return {
    error: `Error: Missing plugin path for plugin name '${name}'.`,
    help: `'${line.name}' takes a name and a path.`,
  };
}

function pluginUse(line: DirectiveLine, { draft, context }: Reading): Fault | undefined {
  const name = words(line.value)[0]!;
  const loaded = draft.plugins.find((candidate) => candidate.name === name);
  if (loaded === undefined) {
    context.plugin = pluginSection(line.place, { name, path: '', global: false });
    return {
      error: `Error: Plugin '${name}' not previously loaded.`,
      help: missingPluginHelp(name, draft.plugins),
    };
  }
  context.plugin = loaded;
  if (!context.listener!.plugins.includes(loaded)) context.listener!.plugins.push(loaded);
  return undefined;
}

function missingPluginHelp(name: string, plugins: readonly PluginSection[]): string {
  const names = plugins.flatMap((candidate) => candidate.name ?? []);
  const meant = nearestWord(name, names);
  return `A line 'plugin_load ${name} PATH' must come before it.${meant === undefined ? '' : ` Did you mean '${meant}'?`}`;
}

const pluginKeyLengthMin = 3;

function pluginOption(line: DirectiveLine, { context }: Reading): undefined {
  context.plugin!.options.push({ key: pluginKey(line.written).key, value: line.value });
}

/** @param written `plugin_opt_KEY` or `auth_opt_KEY` */
export function pluginKey(written: string): { prefix: string; key: string } {
  const [prefix = ''] = /^(plugin|auth)_opt_/.exec(written) ?? [];
  return { prefix, key: written.slice(prefix.length) };
}

/** Looked for before the value. */
export function pluginKeyFault(written: string): Fault | undefined {
  const { prefix, key } = pluginKey(written);
  if (key.length >= pluginKeyLengthMin) return undefined;
  return {
    error: `Error: Invalid '${prefix}' config option.`,
    help: `What follows '${prefix}' has at least ${pluginKeyLengthMin} characters; '${key}' has ${key.length}.`,
  };
}
