/** The files that `midge acl explain` reads, on this machine. */
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { loadConfig } from '../../config/load-config.js';
import type { ListenerSettings } from '../../config/settings.js';
import { nodeConfigSource } from '../../runtime/shared/node-config-source.js';
import type { AclExplainWorld, ExplainedListener } from './acl-explain.js';

export const machineFiles: AclExplainWorld = {
  listenersOf(configFile) {
    const result = loadConfig({ source: nodeConfigSource, configFile, hostname: hostname() });
    if (result.ok) return result.settings.listeners.map(explained);
    return { faults: result.messages.filter(({ type }) => type === 'error').map(({ text }) => text) };
  },
  readFile: (file) => readFileSync(file),
};

function explained({ port, host, socketPath, aclFile }: ListenerSettings): ExplainedListener {
  const name = socketPath ?? (host === undefined ? `port ${port}` : `port ${port} of ${host}`);
  return { name, aclFile };
}
