/**
 * Main's side of dynamic security: it has the one state, and works off one request after the other. What a request
 * changes is saved, then put in force in every worker, and only then answered; whoever has to go is disconnected after
 * the answer.
 */
import {
  type AddressesOf,
  COMMAND_NAMES,
  executeCommand,
  Outcome,
} from '../../auth/dynamic-security/commands.js';
import {
  type ControlResponse,
  commandsIn,
  isCommand,
  responseTo,
} from '../../auth/dynamic-security/control-request.js';
import type { DynamicSecurityState } from '../../auth/dynamic-security/state.js';
import {
  changeOf,
  DynamicSecurityTables,
  type TableChange,
  wholeChange,
} from '../../auth/dynamic-security/tables.js';
import type { InputGuard } from '../../broker/input-guard.js';
import type { Log } from '../../log/log.js';
import { dynamicSecurityCommand } from '../../log/mosquitto-lines.js';
import type { WorkerQuestion } from '../../routing/client-questions.js';
import type { ControlAnswer, ControlRequest } from '../../routing/messages.js';
import { saveState } from './dynamic-security-file.js';
import type { GatheredAnswers } from './worker-questions.js';

/** The workers, all of them. */
export interface AllWorkers {
  ask(question: WorkerQuestion): Promise<GatheredAnswers>;
  /** Resolves once each of them has put it in force. */
  changeRights(change: TableChange): Promise<void>;
  answerControl(answer: ControlAnswer): void;
}

export interface DynamicSecurityOptions {
  file: string;
  state: DynamicSecurityState;
  log: Log;
  guard: InputGuard;
  workers: () => AllWorkers;
}

export class DynamicSecurity {
  /** For what main decides itself. */
  readonly tables: DynamicSecurityTables;
  readonly #options: DynamicSecurityOptions;
  /** The requests so far. */
  #work: Promise<void> = Promise.resolve();

  constructor(options: DynamicSecurityOptions) {
    this.#options = options;
    this.tables = new DynamicSecurityTables(wholeChange(options.state));
  }

  /** What a worker begins with. */
  get all(): TableChange {
    return wholeChange(this.#options.state);
  }

  request(request: ControlRequest): void {
    this.#work = this.#work.then(() => this.#answer(request));
  }

  /** Resolves once all requests so far are worked off. */
  idle(): Promise<void> {
    return this.#work;
  }

  async #answer(request: ControlRequest): Promise<void> {
    const outcome = new Outcome();
    let payload: string | null = null;
    try {
      payload = await this.#execute(request, outcome);
    } catch (error) {
      this.#options.guard.caught(error, { from: request.clientId, what: 'a request to dynamic security' });
    }
    const { file, state, log, workers } = this.#options;
    const who = { clientId: request.clientId, username: request.username };
    for (const line of outcome.lines) log.write('information', dynamicSecurityCommand(who, line));
    if (outcome.hasChanged) {
      await saveState(file, state, log); // a fault of it is logged, and the next change saves both
      const change = changeOf(state, outcome);
      this.tables.update(change);
      await workers().changeRights(change);
    }
    const { kicked, kicksAnonymous } = outcome;
    workers().answerControl({ payload, kicked, kicksAnonymous });
  }

  async #execute({ payload }: ControlRequest, outcome: Outcome): Promise<string> {
    const { state } = this.#options;
    const commanding = { state, outcome, addressesOf: this.#addressesOf };
    const responses: ControlResponse[] = [];
    for (const entry of commandsIn(payload, COMMAND_NAMES)) {
      responses.push(isCommand(entry) ? responseTo(entry, await executeCommand(entry, commanding)) : entry);
    }
    return JSON.stringify({ responses });
  }

  readonly #addressesOf: AddressesOf = async (usernames) => {
    const { answers } = await this.#options.workers().ask({ what: 'addresses', usernames });
    const addresses = new Map<string, string[]>();
    for (const answer of answers) {
      if (answer.what !== 'addresses') continue;
      for (const [username, address] of answer.addresses) {
        const known = addresses.get(username);
        if (known === undefined) addresses.set(username, [address]);
        else known.push(address);
      }
    }
    return addresses;
  };
}
