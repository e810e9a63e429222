/** Configurations from memory, and what loading them says. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { ConfigMessage } from '../../../src/config/config-messages.js';
import type { ConfigSource } from '../../../src/config/config-source.js';
import { type ConfigResult, type LoadOptions, loadConfig } from '../../../src/config/load-config.js';
import type { Settings } from '../../../src/config/settings.js';

export type Files = Readonly<Record<string, string | Uint8Array>>;

/** A source that knows only these files; their paths also make the directories. */
export function memorySource(files: Files): ConfigSource {
  const directories = new Set(Object.keys(files).map((path) => path.replace(/\/[^/]*$/, '')));
  return {
    readFile: (path) => {
      const content = files[path];
      if (content !== undefined) return { kind: 'read', bytes: Buffer.from(content) };
      if (directories.has(path)) return { kind: 'directory' };
      return { kind: 'unreadable', reason: 'no such file' };
    },
    listDirectory: (path) => {
      if (!directories.has(path)) return undefined;
      return Object.keys(files)
        .filter((file) => file.startsWith(`${path}/`))
        .map((file) => file.slice(path.length + 1));
    },
  };
}

export const mainFile = 'mosquitto.conf';

/** Loads a main file, with others beside it. */
export function load(
  text: string | Uint8Array,
  others: Files = {},
  options: Partial<LoadOptions> = {},
): ConfigResult {
  const source = memorySource({ ...others, [mainFile]: text });
  return loadConfig({ source, configFile: mainFile, hostname: 'pi', ...options });
}

/** Loads what must be accepted. */
export function settingsOf(text: string, others: Files = {}, options: Partial<LoadOptions> = {}): Settings {
  const result = load(text, others, options);
  if (!result.ok) throw new Error(`refused:\n${texts(result).join('\n')}`);
  return result.settings;
}

export function texts(result: ConfigResult, type?: ConfigMessage['type']): string[] {
  return result.messages
    .filter((message) => type === undefined || message.type === type)
    .map((message) => message.text);
}

/** A file of `test/fixtures/conf`, and its path. */
export function fixture(name: string): { readonly path: string; readonly text: string } {
  const path = fileURLToPath(new URL(`../../../../test/fixtures/conf/${name}`, import.meta.url));
  return { path, text: readFileSync(path, 'utf8') };
}
