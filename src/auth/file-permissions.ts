/**
 * Warnings about files with secrets that others may read or write: Mosquitto 2.1's three about `password_file`,
 * `acl_file` and `psk_file`, each with a command that closes the file and leaves the broker able to read it.
 */

/** The fields of `fs.Stats` that count here. */
export interface FilePermissions {
  mode: number;
  uid: number;
  gid: number;
}

/** The user that the broker runs as after it has given up root. */
export interface BrokerUser {
  uid: number;
  gid: number;
  /** All groups of the user, the primary group included. */
  gids: readonly number[];
  userName: string;
  groupName: string;
}

/** Mosquitto's line if the path leads to a folder, a device or a pipe. */
export function notAFile(file: string): string {
  return `Error: ${file} is not a file.`;
}

const OTHERS_READ = 0o004;

export function permissionWarnings(file: string, permissions: FilePermissions, broker: BrokerUser): string[] {
  const warnings: string[] = [];
  const warn = (what: string, remedy: string) => {
    const outlook = 'Future versions will refuse to load this file.';
    warnings.push(`Warning: File ${file} ${what}. ${outlook} To fix this, use \`${remedy}\`.`);
  };
  if ((permissions.mode & OTHERS_READ) !== 0) {
    warn('has world readable permissions', closingRemedy(file, permissions, broker));
  }
  if (permissions.uid !== broker.uid) {
    warn(`owner is not ${broker.userName}`, `chown ${broker.userName} ${file}`);
  }
  if (permissions.gid !== broker.gid) {
    warn(`group is not ${broker.groupName}`, `chgrp ${broker.groupName} ${file}`);
  }
  return warnings;
}

/** The commands that close the file for others and keep it readable for the broker. */
function closingRemedy(file: string, { uid, gid }: FilePermissions, broker: BrokerUser): string {
  if (uid === broker.uid) return `chmod 0600 ${file}`;
  if (broker.gids.includes(gid)) return `chmod 0640 ${file}`;
  return `chown ${broker.userName} ${file} && chmod 0600 ${file}`;
}
