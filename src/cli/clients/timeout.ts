/** The `-W` option of mosquitto_sub and mosquitto_rr. */
import { ReasonCode } from '../../mqtt/reason-codes.js';
import type { ClientRun } from './client-run.js';
import { ExitCode } from './output/failure-texts.js';

const TIMED_OUT = 'Timed out';

/**
 * Ends the run when the time is up. The time begins when the transport to the broker is open.
 * @param mayTell is called first, and may end the process in its own way
 */
export function endAfterTimeout(run: ClientRun, mayTell: () => boolean): void {
  const { timeoutSeconds } = run.settings;
  if (timeoutSeconds === undefined) return;
  run.opened = () => {
    setTimeout(() => {
      if (!mayTell()) return;
      run.error(TIMED_OUT);
      if (run.isOpen) run.disconnect(ExitCode.timeout, ReasonCode.disconnectWithWillMessage);
      else process.exit(ExitCode.timeout);
    }, timeoutSeconds * 1000);
  };
}
