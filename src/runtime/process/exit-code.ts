/** Exit codes of the broker, as Mosquitto's. */
export const ExitCode = {
  /** No listener could be opened. */
  listener: 1,
  /** A fault of our own. */
  failure: 1,
  /** Command line or configuration. */
  configuration: 3,
  /** A password, ACL or PSK file cannot be opened. */
  accessFile: 13,
  pidFile: 14,
  /** The store's native part cannot be loaded on this machine (sysexits: a service is unavailable). */
  nativePart: 69,
} as const;
