/**
 * Parses files into a draft: finds the option of each line and the section it belongs to, checks repetition, and
 * stores the parsed value. Goes on after an error.
 */

import { encodingFault } from '../base/foreign-encoding.js';
import { type ConfigMessages, type Fault, type Place, placeText } from './config-messages.js';
import type { ConfigSource } from './config-source.js';
import { conflictWithEarlier } from './cross-checks.js';
import {
  type DirectiveName,
  defaultPort,
  directives,
  pluginKey,
  pluginKeyFault,
  type Reading,
} from './directives.js';
import {
  bridgeSection,
  type Context,
  type Draft,
  emptyContext,
  type ListenerSection,
  listenerSection,
  type Section,
} from './draft.js';
import { includedFiles } from './include-dir.js';
import { type ConfigLine, configLines } from './lexer.js';
import { nearestWord } from './nearest-word.js';
import { findOption, type KnownOption, optionNames } from './option-schema.js';
import { isEqual, settingName } from './option-types.js';
import { parseValue } from './value-parser.js';

export class ConfigParser {
  readonly #source: ConfigSource;
  readonly #messages: ConfigMessages;
  readonly #draft: Draft;

  constructor(source: ConfigSource, messages: ConfigMessages, draft: Draft) {
    this.#source = source;
    this.#messages = messages;
    this.#draft = draft;
  }

  /** Reads a file, the main one unless `includedAt` says which line includes it. */
  readFile(path: string, includedAt?: Place): void {
    const file = this.#source.readFile(path);
    if (file.kind === 'directory') {
      const error = `Error: Config file '${path}' is a directory.`;
      this.#messages.error(
        { error, help: 'To read all files of a directory, name it with include_dir.' },
        includedAt,
      );
      return;
    }
    if (file.kind === 'unreadable') {
      const error = `Error: Unable to open config file '${path}'.`;
      this.#messages.error({ error, help: `The system says: ${file.reason}.` }, includedAt);
      return;
    }
    const encodedOtherwise = encodingFault('Config file', path, file.bytes);
    if (encodedOtherwise !== null) {
      this.#messages.error(encodedOtherwise, includedAt);
      return;
    }
    const context = emptyContext();
    for (const line of configLines(file.bytes)) {
      const place: Place = { file: path, line: line.number, ...(includedAt && { includedAt }) };
      const fault = this.#readLine(line, context, place);
      if (fault !== undefined) this.#messages.error(fault, place);
    }
  }

  #readLine(line: ConfigLine, context: Context, place: Place): Fault | undefined {
    const option = findOption(line.name);
    if (option === undefined) return unknownOption(line.name, context, place);
    const { row, name } = option;
    if (row.type.kind === 'removed') {
      this.#messages.sayOnce('warning', row.type.warning);
      return undefined;
    }
    this.#sayNotices(option);
    if (row.scope === 'security' || name === 'plugin_opt_*') this.#draft.securityGiven = true;

    const section = this.#sectionOf(option, context, place);
    if ('error' in section) return section;
    const first = section.given.get(name);
    section.given.set(name, first ?? place);
    if (first !== undefined && row.repeat === 'error') return repeated(option, first);
    return this.#readValue({ option, line, section, place, first }, context);
  }

  #sayNotices({ written, row }: KnownOption): void {
    const { perListenerSettings } = this.#draft;
    if (row.deprecated !== undefined) this.#messages.sayOnce('notice', deprecation(written, row.deprecated));
    if (row.notice !== undefined) this.#messages.sayOnce('notice', row.notice);
    if (row.perListenerNotice !== undefined && perListenerSettings) {
      this.#messages.sayOnce('notice', row.perListenerNotice);
    }
  }

  /** The section that an option belongs to, or why there is none. */
  #sectionOf(option: KnownOption, context: Context, place: Place): Section | Fault {
    const { row, name } = option;
    if (name === 'listener' || name === 'connection') return this.#draft.global;
    if (name === 'port' || name === 'bind_address') return this.#useDefaultListener(option, context, place);
    switch (row.scope) {
      case 'global':
        return this.#draft.global;
      case 'security':
        if (!this.#draft.perListenerSettings) return this.#draft.global;
        return context.listener ?? sectionMissing(option, 'a listener', "'listener PORT'");
      case 'listener':
        return this.#listenerOf(option, context, place);
      case 'bridge':
        return context.bridge ?? sectionMissing(option, 'a bridge', "'connection NAME'");
      case 'plugin':
        return context.plugin ?? sectionMissing(option, 'plugin/global_plugin/plugin_load', "'plugin PATH'");
    }
  }

  #listenerOf(option: KnownOption, context: Context, place: Place): Section | Fault {
    const { requires } = option.row;
    const current = context.listener;
    const refusesCurrent = requires === 'declaredListener' && current?.isDefault === true;
    if (current !== undefined && !refusesCurrent) return current;
    if (requires !== undefined) return sectionMissing(option, 'a listener', "'listener PORT'");
    return this.#useDefaultListener(option, context, place);
  }

  #useDefaultListener(option: KnownOption, context: Context, place: Place): ListenerSection {
    context.listener = this.#draft.defaultListener ?? this.#createDefaultListener(option, place);
    return context.listener;
  }

  #createDefaultListener({ written }: KnownOption, place: Place): ListenerSection {
    this.#messages.say('information', `Creating default listener due to '${written}' option.`);
    this.#messages.say('information', `A 'listener' should be defined before '${written}' is used.`);
    const section = listenerSection(place, { port: defaultPort, isDefault: true });
    this.#draft.defaultListener = section;
    this.#draft.listeners.push(section);
    return section;
  }

  #readValue(found: FoundOption, context: Context): Fault | undefined {
    const { option, line, section, place, first } = found;
    const { row, name } = option;
    const key = settingName(name);
    if (name === 'plugin_opt_*') {
      const fault = pluginKeyFault(option.written);
      if (fault !== undefined) return fault;
    }
    const printedName =
      name === 'plugin_opt_*' ? pluginKey(option.written).key : (row.printedName ?? option.written);
    const result = parseValue({
      name: printedName,
      written: option.written,
      row,
      rest: line.rest,
      malformed: line.malformed,
      previous: section.values[key],
    });
    if (!result.ok) return result.fault;
    for (const { type, text } of result.remarks) this.#messages.say(type, text);
    if (!isEqual(result.value, row.default)) this.#draft.used.add(name);

    if (row.type.kind === 'directive') {
      const value = result.value as string;
      const directive = { written: option.written, name: printedName, value, place, first };
      return directives[name as DirectiveName](directive, this.#reading(context));
    }
    if (name === 'per_listener_settings') return this.#separateListeners(result.value as boolean);
    section.values[key] = result.value;
    return conflictWithEarlier(option, context);
  }

  #reading(context: Context): Reading {
    return {
      draft: this.#draft,
      context,
      warn: (text) => this.#messages.say('warning', text),
      includeDirectory: (path, place) => this.#includeDirectory(path, place),
    };
  }

  /** [mosq: per_listener_settings] Once true it stays true. */
  #separateListeners(separate: boolean): Fault | undefined {
    if (!separate || this.#draft.perListenerSettings) return undefined;
    if (this.#draft.securityGiven) {
      return {
        error: 'Error: per_listener_settings must be set before any other security settings.',
        help: 'Move the line to the beginning of the file.',
      };
    }
    this.#draft.perListenerSettings = true;
    return undefined;
  }

  /** [mosq: include_dir] Each file begins with no section of its own; only the main file may include. */
  #includeDirectory(directory: string, place: Place): Fault | undefined {
    if (place.includedAt !== undefined) {
      return {
        error: 'Error: The include_dir option is only valid in the main configuration file.',
        help: `Move the line to '${place.includedAt.file}'.`,
      };
    }
    const entries = this.#source.listDirectory(directory);
    if (entries === undefined) {
      return {
        error: `Error: Unable to open include_dir '${directory}'.`,
        help: `'${directory}' must be a directory that the broker may read.`,
      };
    }
    for (const path of includedFiles(directory, entries)) {
      this.#messages.say('information', `Loading config file '${path}'`);
      this.readFile(path, place);
    }
    return undefined;
  }
}

/** A line whose option and section are known. */
interface FoundOption {
  readonly option: KnownOption;
  readonly line: ConfigLine;
  readonly section: Section;
  readonly place: Place;
  /** Where the option was given before in its section. */
  readonly first: Place | undefined;
}

function deprecation(written: string, advice: string): string {
  return `The '${written}' option is now deprecated and will be removed in version 3.0. ${advice}`;
}

function sectionMissing(option: KnownOption, what: string, example: string): Fault {
  return {
    error: `Error: The '${option.written}' option requires ${what} to be defined first.`,
    help: `A line ${example} must come before '${option.written}'.`,
  };
}

function repeated(option: KnownOption, first: Place): Fault {
  const name = option.row.printedName ?? option.written;
  return {
    error: option.row.duplicate ?? `Error: Duplicate '${name}' value in configuration.`,
    help: `'${option.written}' may be given once, and is at ${placeText(first)} already.`,
  };
}

function unknownOption(name: string, context: Context, place: Place): Fault {
  const meant = nearestWord(name, optionNames);
  if (meant !== undefined) openSection(meant, context, place);
  return { error: `Error: Unknown configuration variable '${name}'.`, help: unknownOptionHelp(name, meant) };
}

/** The lines after a misspelled `listener` or `connection` are not to be refused for want of one. */
function openSection(meant: string, context: Context, place: Place): void {
  if (meant === 'listener') context.listener = listenerSection(place, { port: defaultPort });
  if (meant === 'connection') context.bridge = bridgeSection(place, '');
}

function unknownOptionHelp(name: string, meant: string | undefined): string {
  if (name.startsWith('#')) return "A comment has '#' as the first character of its line.";
  if (name.startsWith('\ufeff'))
    return 'The file begins with a byte order mark; it must be UTF-8 without one.';
  const [word = ''] = /^[^\t=:]+/.exec(name.trimStart()) ?? [];
  const separated = word !== name && findOption(word) !== undefined;
  if (separated && name.includes('\t')) return `A TAB is no space: write '${word} VALUE' with spaces only.`;
  if (separated) return `A space separates name and value: write '${word} VALUE'.`;
  const question = meant === undefined ? '.' : `; did you mean '${meant}'?`;
  return `'${name}' is not the name of an option${question}`;
}
