/** Exit codes of the broker, as Mosquitto's. */
export const ExitCode = {
  /** No listener could be opened. */
  listener: 1,
  /** A fault of our own. */
  failure: 1,
  /** Command line or configuration. */
  configuration: 3,
  pidFile: 14,
} as const;
