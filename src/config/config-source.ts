/**
 * The port through which a configuration is read. The parser knows no file system: the caller provides the files, from
 * a disk or from a table in a test.
 */

/** What a configuration's text comes from. Paths are passed as they were written. */
export interface ConfigSource {
  readFile(path: string): FileRead;
  /** Names of the entries of a directory, in any order; `undefined` when it cannot be read. */
  listDirectory(path: string): readonly string[] | undefined;
}

export type FileRead =
  | { readonly kind: 'read'; readonly bytes: Uint8Array }
  | { readonly kind: 'directory' }
  /** `reason`: why, in the words of the system. */
  | { readonly kind: 'unreadable'; readonly reason: string };
