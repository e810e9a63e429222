/** A connection that could not be given to anybody. */
import { closeSync } from 'node:fs';
import type { PassedConnection } from '../../routing/messages.js';

/** Ends a connection that nobody has taken over. A port that was posted is closed already. */
export function abandon(handover: PassedConnection['handover']): void {
  if (typeof handover === 'number') closeSync(handover);
  else handover.close();
}
