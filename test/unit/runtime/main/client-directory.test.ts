import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Claim, ClaimAnswer } from '../../../../src/routing/messages.js';
import { ClientDirectory } from '../../../../src/runtime/main/client-directory.js';

type Effect = { to: number; answer: ClaimAnswer } | { to: number; discard: string };

function directory(clientsMax = -1): { directory: ClientDirectory; take: () => Effect[] } {
  const effects: Effect[] = [];
  return {
    directory: new ClientDirectory(
      {
        answer: (to, answer) => effects.push({ to, answer }),
        discard: (to, clientId) => effects.push({ to, discard: clientId }),
      },
      clientsMax,
    ),
    take: () => effects.splice(0),
  };
}

const will = (text: string): Uint8Array => Buffer.from(text);

function claim(id: number, fields: Partial<Claim> = {}): Claim {
  return { id, clientId: 'c', cleanStart: true, durable: false, will: null, ...fields };
}

const granted = (to: number, id: number): Effect => ({ to, answer: { id, verdict: 'granted' } });

describe('a claim', () => {
  test('to an id that nobody has is granted', () => {
    const { directory: main, take } = directory();
    main.claim(1, claim(7));
    assert.deepEqual(take(), [granted(1, 7)]);
    assert.equal(main.size, 1);
  });

  test('to an id of the same worker is granted: the takeover is its own affair', () => {
    const { directory: main, take } = directory();
    main.claim(1, claim(1, { durable: true }));
    main.claim(1, claim(2, { cleanStart: false }));
    main.claim(1, claim(3, { cleanStart: true }));
    assert.deepEqual(take(), [granted(1, 1), granted(1, 2), granted(1, 3)]);
  });

  test('that wants the session of another worker is sent there', () => {
    const { directory: main, take } = directory();
    main.claim(1, claim(1, { durable: true }));
    main.claim(2, claim(5, { cleanStart: false }));
    assert.deepEqual(take().slice(1), [{ to: 2, answer: { id: 5, verdict: 'elsewhere', worker: 1 } }]);
  });

  for (const [name, first, second] of [
    ['that does not want the session', { durable: true }, { cleanStart: true }],
    ['to an id whose session would not outlive it', { durable: false }, { cleanStart: false }],
  ] as const) {
    test(`${name} of another worker waits until it is discarded there`, () => {
      const { directory: main, take } = directory();
      main.claim(1, claim(1, first));
      main.claim(2, claim(5, second));
      assert.deepEqual(take().slice(1), [{ to: 1, discard: 'c' }]);
      main.discarded('c');
      assert.deepEqual(take(), [granted(2, 5)]);
      assert.equal(main.size, 1);
    });
  }

  test('that comes while another waits is served after it', () => {
    const { directory: main, take } = directory();
    main.claim(1, claim(1));
    main.claim(2, claim(2, { durable: true }));
    main.claim(3, claim(3, { cleanStart: false }));
    main.claim(1, claim(4));
    take();
    main.discarded('c');
    assert.deepEqual(take(), [
      granted(2, 2),
      { to: 3, answer: { id: 3, verdict: 'elsewhere', worker: 2 } },
      { to: 2, discard: 'c' },
    ]);
    main.discarded('c');
    assert.deepEqual(take(), [granted(1, 4)]);
  });

  test('beyond global_max_clients is refused, but a known id may come back', () => {
    const { directory: main, take } = directory(1);
    main.claim(1, claim(1));
    main.claim(1, claim(2, { clientId: 'd' }));
    main.claim(1, claim(3));
    assert.deepEqual(take(), [granted(1, 1), { to: 1, answer: { id: 2, verdict: 'full' } }, granted(1, 3)]);
    main.clientsMax = 2;
    main.claim(1, claim(4, { clientId: 'd' }));
    assert.deepEqual(take(), [granted(1, 4)]);
  });
});

describe('a session that ends', () => {
  test('frees the id', () => {
    const { directory: main } = directory(1);
    main.claim(1, claim(1));
    main.sessionEnded(1, 'c');
    assert.equal(main.size, 0);
  });

  test('does not free an id that has another owner by now, or is about to', () => {
    const { directory: main, take } = directory();
    main.claim(1, claim(1));
    main.claim(2, claim(2));
    main.sessionEnded(1, 'c');
    assert.equal(main.size, 1);
    main.discarded('c');
    main.sessionEnded(1, 'c');
    assert.equal(main.size, 1);
    assert.deepEqual(take().at(-1), granted(2, 2));
  });
});

describe('a worker that dies', () => {
  test('leaves the wills that it had not sent', () => {
    const { directory: main } = directory();
    const ids = ['a', 'b', 'c', 'd'];
    for (const [i, clientId] of ids.entries()) main.claim(1, claim(i, { clientId, will: will(clientId) }));
    main.claim(2, claim(9, { clientId: 'other', will: will('other') }));
    main.willDone(1, 'a', 0);
    main.willDone(1, 'b', 99); // of an earlier claim: this one's will stands
    main.claim(1, claim(10, { clientId: 'c', will: will('newer') })); // it has not said yet what becomes of the older
    main.sessionEnded(1, 'd');
    const { wills } = main.workerDied(1);
    assert.deepEqual(
      wills.map((bytes) => Buffer.from(bytes).toString()),
      ['b', 'c', 'newer'],
    );
    assert.equal(main.size, 1);
  });

  test('leaves its stored sessions to the worker that replaces it', () => {
    const { directory: main, take } = directory();
    main.claim(1, claim(1, { durable: true, will: will('w') }));
    take();
    // Their wills are stored with them.
    assert.deepEqual(main.workerDied(1), { wills: [], sessions: ['c'] });
    main.claim(2, claim(2, { cleanStart: false }));
    assert.deepEqual(take(), [{ to: 2, answer: { id: 2, verdict: 'elsewhere', worker: 1 } }]);
  });

  test('while it was to discard a session that is gone with it: the claim is granted', () => {
    const { directory: main, take } = directory();
    main.claim(1, claim(1, { will: will('w') }));
    main.claim(2, claim(2));
    take();
    assert.equal(main.workerDied(1).wills.length, 1);
    assert.deepEqual(take(), [granted(2, 2)]);
  });

  test('while it was to discard a stored session: the one that replaces it has to', () => {
    const { directory: main, take } = directory();
    main.claim(1, claim(1, { durable: true, will: will('w') }));
    main.claim(2, claim(2));
    take();
    assert.deepEqual(main.workerDied(1), { wills: [], sessions: ['c'] });
    assert.deepEqual(take(), [{ to: 1, discard: 'c' }]);
    main.discarded('c');
    assert.deepEqual(take(), [granted(2, 2)]);
  });

  test('while it waited for an id: the others go on waiting, or the id is free', () => {
    for (const others of [[3], []]) {
      const { directory: main, take } = directory();
      main.claim(1, claim(1));
      main.claim(2, claim(2));
      for (const other of others) main.claim(other, claim(7));
      take();
      main.workerDied(2);
      main.claim(1, claim(8));
      main.discarded('c');
      const [first] = take();
      assert.deepEqual(first, others.length > 0 ? granted(3, 7) : granted(1, 8));
    }
    const { directory: main } = directory();
    main.claim(1, claim(1));
    main.claim(2, claim(2));
    main.workerDied(2);
    main.discarded('c');
    assert.equal(main.size, 0);
  });
});
