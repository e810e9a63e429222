/** Whether a listener lets clients in that nobody vouches for [mosq: allow_anonymous, listener_allow_anonymous]. */

export interface AnonymousOptions {
  /** `allow_anonymous`, where the configuration gives it: global, or of this listener under `per_listener_settings`. */
  allowAnonymous: boolean | undefined;
  /** `listener_allow_anonymous` of this listener, where given. */
  listenerAllowAnonymous: boolean | undefined;
  /** No listener is configured, so that the broker serves this machine only. */
  localOnly: boolean;
}

export function isAnonymousAllowed(options: AnonymousOptions): boolean {
  // Since Mosquitto 2.0 only the local-only mode is open by default.
  return options.listenerAllowAnonymous ?? options.allowAnonymous ?? options.localOnly;
}
