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
} as const;
