/** What `midge check` has to say about a configuration, and what it looks at. */
import type { Place } from '../../../config/config-messages.js';
import type { Draft, Section } from '../../../config/draft.js';
import type { OptionName } from '../../../config/option-schema.js';
import type { ListenerSettings, Settings } from '../../../config/settings.js';

/**
 * - `error`: the broker does not start, or a listener lets nobody in.
 * - `weak`: somebody may do or learn what they should not.
 * - `doubtful`: it is allowed, and mostly not what was meant.
 * - `no effect`: the line could go.
 * - `deprecated`: Mosquitto has announced the option's end.
 * - `changed`: an earlier version of Mosquitto did something else.
 */
export const findingKinds = ['error', 'weak', 'doubtful', 'no effect', 'deprecated', 'changed'] as const;

export type FindingKind = (typeof findingKinds)[number];

export interface Finding {
  readonly kind: FindingKind;
  /** A line of the configuration, or of a file that it names. `undefined`: no line has caused it. */
  readonly place: { readonly file: string; readonly line: number } | undefined;
  /** A sentence: what was found. */
  readonly text: string;
  /** A sentence: what to write or do instead. */
  readonly advice: string | undefined;
}

/** A file that the configuration names. */
export type FileLook =
  | { readonly kind: 'file'; readonly bytes: Buffer; readonly mode: number; readonly isLink: boolean }
  | { readonly kind: 'folder' }
  /** `isHidden`: it may be there, but this user may not look. */
  | { readonly kind: 'unreadable'; readonly isHidden: boolean; readonly reason: string };

export interface Examined {
  readonly settings: Settings;
  readonly draft: Draft;
  /** Looks at a file or folder. Opens nothing for writing. */
  look(path: string): FileLook;
  readonly now: Date;
}

/** Versions of Mosquitto that a file may come from. */
export const mosquittoVersions = ['1.4', '1.5', '1.6', '2.0', '2.1'] as const;

export type MosquittoVersion = (typeof mosquittoVersions)[number];

/** A listener with its lines. */
export interface ExaminedListener {
  readonly settings: ListenerSettings;
  /** Where the option was given that holds for it: among its own lines or the global ones. */
  placeOf(...options: OptionName[]): Place | undefined;
  /** "port 1883", "port 1883 of 127.0.0.1", "the socket /run/midge.sock" */
  readonly name: string;
}

export function listenersOf({ settings, draft }: Examined): ExaminedListener[] {
  return settings.listeners.map((listener, index) => {
    const own = settings.localOnly ? undefined : draft.listeners[index];
    const { port, host, socketPath } = listener;
    return {
      settings: listener,
      placeOf: (...options) => placeIn(own, options) ?? placeIn(draft.global, options) ?? own?.place,
      name:
        socketPath === undefined
          ? `port ${port}${host === undefined ? '' : ` of ${host}`}`
          : `the socket ${socketPath}`,
    };
  });
}

/** Where the first of these options was given in a section. */
export function placeIn(section: Section | undefined, options: readonly OptionName[]): Place | undefined {
  for (const option of options) {
    const place = section?.given.get(option);
    if (place !== undefined) return place;
  }
  return undefined;
}

/** Whether other machines can reach the listener. */
export function isReachable({ host, socketPath }: ListenerSettings): boolean {
  return socketPath === undefined && !isLoopback(host);
}

export function isLoopback(host: string | undefined): boolean {
  return host !== undefined && (host === 'localhost' || host === '::1' || /^127(\.\d+){3}$/.test(host));
}
