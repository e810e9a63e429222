import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { MessagePort } from 'node:worker_threads';
import type { Detached, Transport } from '../../../../src/broker/ports.js';
import type { Claim, WorkerToMain } from '../../../../src/routing/messages.js';
import { WorkerDirectory } from '../../../../src/runtime/worker/worker-directory.js';

function directory(): { directory: WorkerDirectory; posted: WorkerToMain[] } {
  const posted: WorkerToMain[] = [];
  const port = { postMessage: (message: WorkerToMain) => posted.push(message) };
  return { directory: new WorkerDirectory(port as unknown as MessagePort), posted };
}

const endOfTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function claim(clientId: string): Omit<Claim, 'id'> {
  return { clientId, cleanStart: true, durable: false, will: null };
}

describe("a worker's side of the directory", () => {
  test('posts one message a turn, in it ends before beginnings', async () => {
    const { directory: main, posted } = directory();
    for (const clientId of ['a', 'b']) main.claim(claim(clientId), () => {});
    for (const clientId of ['c', 'd']) main.sessionEnded(clientId);
    main.willDone('c', 7);
    main.closed(0);
    main.closed(1);
    assert.deepEqual(posted, []);
    await endOfTurn();
    const messages: WorkerToMain[] = [
      { kind: 'wills-done', wills: [['c', 7]] },
      { kind: 'sessions-ended', clientIds: ['c', 'd'] },
      {
        kind: 'claims',
        claims: [
          { ...claim('a'), id: 1 },
          { ...claim('b'), id: 2 },
        ],
      },
      { kind: 'closed', listeners: [0, 1] },
    ];
    assert.deepEqual(posted, [{ kind: 'together', messages }]);
    await endOfTurn();
    assert.equal(posted.length, 1);
  });

  test('gives each answer to its claim, once', () => {
    const { directory: main } = directory();
    const answers: string[] = [];
    for (const clientId of ['a', 'a', 'b'])
      main.claim(claim(clientId), ({ id }) => answers.push(`${clientId}${id}`));
    main.answered({ id: 3, verdict: 'granted' });
    main.answered({ id: 1, verdict: 'full' });
    main.answered({ id: 1, verdict: 'granted' });
    main.answered({ id: 99, verdict: 'granted' });
    assert.deepEqual(answers, ['b3', 'a1']);
  });

  test('does not give an id back while another claim to it is open', async () => {
    const { directory: main, posted } = directory();
    main.claim(claim('a'), () => {});
    main.claim(claim('a'), () => {});
    await endOfTurn();
    main.sessionEnded('a');
    main.answered({ id: 1, verdict: 'granted' });
    main.sessionEnded('a');
    await endOfTurn();
    assert.equal(posted.length, 1);
    main.answered({ id: 2, verdict: 'granted' });
    main.sessionEnded('a');
    await endOfTurn();
    assert.deepEqual(posted.at(-1), { kind: 'sessions-ended', clientIds: ['a'] });
  });

  test('passes a connection with all that was read of it, behind what was said before', () => {
    const { directory: main, posted } = directory();
    main.sessionEnded('a');
    const transport = (detached: Detached | null): Transport =>
      ({ listener: 2, remoteAddress: 'x', remotePort: 1, detach: () => detached }) as unknown as Transport;
    main.pass(5, transport({ handover: 17, unread: Buffer.from('cd') }), Buffer.from('ab'));
    assert.equal(posted[0]!.kind, 'sessions-ended');
    const [, pass] = posted;
    assert.ok(pass?.kind === 'pass');
    const { received, tls: _, ...connection } = pass.connection;
    assert.deepEqual(connection, { handover: 17, listener: 2, remoteAddress: 'x', remotePort: 1 });
    assert.equal(Buffer.from(received!).toString(), 'abcd');
    assert.equal(pass.worker, 5);
  });

  test('tells of a connection that is gone before it can be passed', async () => {
    const { directory: main, posted } = directory();
    const transport = { listener: 2, detach: () => null } as unknown as Transport;
    main.pass(5, transport, Buffer.from('ab'));
    await endOfTurn();
    assert.deepEqual(posted, [{ kind: 'closed', listeners: [2] }]);
  });
});
