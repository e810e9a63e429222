/**
 * The plugins of Mosquitto that are built in here [mosq: plugin]: lines that load those for password and ACL files do
 * what `password_file` and `acl_file` do, and the one for dynamic security has its own options. Other plugins are refused: a broker that started without the plugin that
 * checks its clients would be open to everybody.
 */

/** The option of the plugin that names its file, and the setting that it stands for. */
export interface BuiltInPlugin {
  readonly optionKey: 'acl_file' | 'password_file' | 'config_file';
  readonly setting: 'aclFile' | 'passwordFile' | 'dynamicSecurity';
}

const plugins: readonly (BuiltInPlugin & { readonly name: RegExp })[] = [
  { name: /^(lib)?(mosquitto_)?acl_file$/, optionKey: 'acl_file', setting: 'aclFile' },
  { name: /^(lib)?(mosquitto_)?password_file$/, optionKey: 'password_file', setting: 'passwordFile' },
  { name: /^(lib)?(mosquitto_)?dynamic_security$/, optionKey: 'config_file', setting: 'dynamicSecurity' },
];

/** @param path as the configuration has it: `/usr/lib/x86_64-linux-gnu/mosquitto_acl_file.so` */
export function builtInPlugin(path: string): BuiltInPlugin | undefined {
  const name = basename(path)
    .replace(/\.(so(\.\d+)*|dylib|dll)$/, '')
    .replaceAll('-', '_');
  return plugins.find((plugin) => plugin.name.test(name));
}

function basename(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** What to do instead of loading another plugin. */
export function adviceAbout(path: string): string {
  const name = basename(path);
  if (name.includes('persist')) return "Use 'persistence true' instead.";
  return "Only Mosquitto's own dynamic-security, password-file and acl-file plugins are known here; nobody would do what this one does.";
}
