/**
 * The directory of client ids with three workers around it, each with its queue of messages to and from main, over
 * random lives of clients and workers: never two owners, no claim without an answer, every will once.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Claim, ClaimAnswer } from '../../../../src/routing/messages.js';
import { ClientDirectory } from '../../../../src/runtime/main/client-directory.js';

const WORKERS = 3;

type Step =
  | {
      kind: 'connect';
      worker: number;
      clientId: string;
      cleanStart: boolean;
      durable: boolean;
      will: boolean;
    }
  | { kind: 'leave'; worker: number; which: number; orderly: boolean }
  | { kind: 'to main' | 'to worker' | 'die'; worker: number };

const worker = fc.nat(WORKERS - 1);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('connect' as const),
      worker,
      clientId: fc.constantFrom('a', 'b'),
      cleanStart: fc.boolean(),
      durable: fc.boolean(),
      will: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('leave' as const),
      worker,
      which: fc.nat(),
      orderly: fc.boolean(),
    }),
  },
  { weight: 6, arbitrary: fc.record({ kind: fc.constantFrom('to main', 'to worker'), worker }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('die' as const), worker }) },
) as fc.Arbitrary<Step>;

type ToMain =
  | { kind: 'claim'; claim: Claim }
  | { kind: 'sessions-ended'; clientId: string }
  | { kind: 'discarded'; clientId: string }
  | { kind: 'will done'; clientId: string; claim: number };

type ToWorker = { kind: 'answer'; answer: ClaimAnswer } | { kind: 'discard'; clientId: string };

interface Owned {
  claim: number;
  durable: boolean;
  connected: boolean;
  /** The will, by its name. */
  will: string | null;
}

/** A worker as far as the directory has to do with it. */
class Worker {
  readonly sessions = new Map<string, Owned>();
  readonly unanswered = new Map<number, Claim>();
  readonly toMain: ToMain[] = [];
  readonly toWorker: ToWorker[] = [];
}

class World {
  readonly workers = Array.from({ length: WORKERS }, () => new Worker());
  readonly published: string[] = [];
  /** Wills that were set, and those that their client took back by leaving orderly or by coming back. */
  readonly wills = new Set<string>();
  readonly takenBack = new Set<string>();
  readonly directory = new ClientDirectory(
    {
      answer: (worker, answer) => this.workers[worker]!.toWorker.push({ kind: 'answer', answer }),
      discard: (worker, clientId) => this.workers[worker]!.toWorker.push({ kind: 'discard', clientId }),
    },
    -1,
  );
  #lastClaim = 0;

  connect(worker: Worker, claim: Omit<Claim, 'id'>): void {
    this.#lastClaim += 1;
    const full = { ...claim, id: this.#lastClaim };
    worker.unanswered.set(full.id, full);
    worker.toMain.push({ kind: 'claim', claim: full });
  }

  /** The connection ends; the session too, if it does not outlive it. */
  leave(worker: Worker, clientId: string, orderly: boolean): void {
    const session = worker.sessions.get(clientId)!;
    session.connected = false;
    this.#endWill(worker, clientId, session, !orderly);
    if (!session.durable) this.#release(worker, clientId);
  }

  #endWill(worker: Worker, clientId: string, session: Owned, publish: boolean): void {
    if (session.will === null) return;
    if (publish) this.published.push(session.will);
    else this.takenBack.add(session.will);
    session.will = null;
    worker.toMain.push({ kind: 'will done', clientId, claim: session.claim });
  }

  #release(worker: Worker, clientId: string): void {
    worker.sessions.delete(clientId);
    // While another claim to the id is unanswered, the id is still wanted there.
    if ([...worker.unanswered.values()].some((claim) => claim.clientId === clientId)) return;
    worker.toMain.push({ kind: 'sessions-ended', clientId });
  }

  deliverToMain(worker: number): boolean {
    const message = this.workers[worker]!.toMain.shift();
    if (message === undefined) return false;
    if (message.kind === 'claim') this.directory.claim(worker, message.claim);
    else if (message.kind === 'sessions-ended') this.directory.sessionEnded(worker, message.clientId);
    else if (message.kind === 'discarded') this.directory.discarded(message.clientId);
    else this.directory.willDone(worker, message.clientId, message.claim);
    return true;
  }

  deliverToWorker(number: number): boolean {
    const worker = this.workers[number]!;
    const message = worker.toWorker.shift();
    if (message === undefined) return false;
    if (message.kind === 'discard') this.#discard(worker, message.clientId);
    else this.#answered(worker, message.answer);
    return true;
  }

  #discard(worker: Worker, clientId: string): void {
    const session = worker.sessions.get(clientId);
    if (session !== undefined) this.#endWill(worker, clientId, session, true);
    worker.sessions.delete(clientId);
    worker.toMain.push({ kind: 'discarded', clientId });
  }

  #answered(worker: Worker, answer: ClaimAnswer): void {
    const claim = worker.unanswered.get(answer.id);
    assert.ok(claim !== undefined, 'a claim is answered once');
    worker.unanswered.delete(answer.id);
    if (answer.verdict === 'elsewhere') {
      this.connect(this.workers[answer.worker]!, claim);
      return;
    }
    assert.equal(answer.verdict, 'granted');
    const { clientId, durable, will } = claim;
    const old = worker.sessions.get(clientId);
    // Whether an old will is sent at a takeover is the broker's affair; here it always is.
    if (old !== undefined) this.#endWill(worker, clientId, old, true);
    const name = will === null ? null : Buffer.from(will).toString();
    worker.sessions.set(clientId, { claim: claim.id, durable, connected: true, will: name });
  }

  /** What it had said before arrives; what was said to it is lost; another one takes its place. */
  die(number: number): void {
    while (this.deliverToMain(number));
    const dead = this.workers[number]!;
    const heir = new Worker();
    this.workers[number] = heir;
    const { wills, sessions } = this.directory.workerDied(number);
    for (const will of wills) this.published.push(Buffer.from(will).toString());
    for (const { will } of dead.unanswered.values()) this.#forgive(will);
    for (const clientId of sessions) {
      const stored = dead.sessions.get(clientId);
      if (stored?.durable) {
        heir.sessions.set(clientId, stored);
        stored.connected = false;
        this.#endWill(heir, clientId, stored, true);
      } else {
        heir.toMain.push({ kind: 'sessions-ended', clientId });
      }
    }
    for (const [clientId, { durable }] of dead.sessions) {
      assert.ok(!durable || sessions.includes(clientId), 'a stored session is taken up again');
    }
  }

  /** Its CONNECT was never answered: whether the will is sent is all the same. */
  #forgive(will: Uint8Array | null): void {
    const name = will === null ? '' : Buffer.from(will).toString();
    if (name !== '' && !this.published.includes(name)) this.takenBack.add(name);
  }

  settle(): void {
    for (let busy = true; busy; ) {
      busy = false;
      for (let worker = 0; worker < WORKERS; worker += 1) {
        while (this.deliverToMain(worker)) busy = true;
        while (this.deliverToWorker(worker)) busy = true;
      }
    }
  }

  expectOneOwner(): void {
    for (const clientId of ['a', 'b']) {
      const owners = this.workers.filter(({ sessions }) => sessions.has(clientId));
      assert.ok(owners.length <= 1, `${owners.length} workers have the session of ${clientId}`);
    }
  }

  expectSettled(): void {
    let sessions = 0;
    for (const worker of this.workers) {
      assert.equal(worker.unanswered.size, 0, 'a claim without an answer');
      sessions += worker.sessions.size;
      for (const { will } of worker.sessions.values()) if (will !== null) this.takenBack.add(will);
    }
    assert.equal(this.directory.size, sessions, 'the directory knows the sessions that there are');
    assert.equal(new Set(this.published).size, this.published.length, 'a will is published once');
    for (const will of this.wills) {
      const ended = Number(this.published.includes(will)) + Number(this.takenBack.has(will));
      assert.equal(ended, 1, `will ${will} is published, or it is not needed`);
    }
  }
}

test('random lives of clients and workers', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80, size: 'max' }), (steps) => {
      const world = new World();
      for (const [i, next] of steps.entries()) {
        const worker = world.workers[next.worker]!;
        if (next.kind === 'connect') {
          const { clientId, cleanStart, durable } = next;
          const will = next.will ? Buffer.from(`will-${i}`) : null;
          if (next.will) world.wills.add(`will-${i}`);
          world.connect(worker, { clientId, cleanStart, durable, will });
        } else if (next.kind === 'leave') {
          const connected = [...worker.sessions].filter(([, session]) => session.connected);
          const [clientId] = connected[next.which % connected.length] ?? [];
          if (clientId !== undefined) world.leave(worker, clientId, next.orderly);
        } else if (next.kind === 'to main') world.deliverToMain(next.worker);
        else if (next.kind === 'to worker') world.deliverToWorker(next.worker);
        else world.die(next.worker);
        world.expectOneOwner();
      }
      world.settle();
      world.expectOneOwner();
      world.expectSettled();
    }),
    { numRuns: 5000 },
  );
});
