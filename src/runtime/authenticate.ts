/** Who may connect where there is nothing to check names against: everyone, or nobody [mosq: allow_anonymous]. */
import type { Authenticate } from '../broker/ports.js';
import { ReasonCode } from '../mqtt/reason-codes.js';

export function createAuthenticate(): Authenticate {
  return ({ listener, clientId, username }, answer) => {
    answer({
      reasonCode: listener.allowAnonymous ? ReasonCode.success : ReasonCode.notAuthorized,
      clientId,
      username,
    });
  };
}
