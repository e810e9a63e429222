/**
 * Warns where a file with secrets lies open: Mosquitto 2.1's three warnings about `password_file`, `acl_file` and
 * `psk_file`, with advice that leaves the broker able to read the file.
 */

/** As `fs.stat` gives it. */
export interface FilePermissions {
  mode: number;
  uid: number;
  gid: number;
}

/** Whom the broker runs as, once it has given up root. */
export interface BrokerUser {
  uid: number;
  gid: number;
  /** All its groups, the first one too. */
  gids: readonly number[];
  userName: string;
  groupName: string;
}

/** What Mosquitto says of a folder, a device or a pipe in place of such a file. */
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

/** Takes the file from the others, but not from the broker. */
function closingRemedy(file: string, { uid, gid }: FilePermissions, broker: BrokerUser): string {
  if (uid === broker.uid) return `chmod 0600 ${file}`;
  if (broker.gids.includes(gid)) return `chmod 0640 ${file}`;
  return `chown ${broker.userName} ${file} && chmod 0600 ${file}`;
}
