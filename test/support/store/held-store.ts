/** A store whose transactions the test lets through, lets fail, or loses with the process. */
import type { TestContext } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { Store } from '../../../src/store/store.js';
import { openStore } from './stores.js';

export class HeldStore {
  readonly store: Store;
  /** Writes of the transaction that is being made; nothing of it is in the file. */
  #writes: (() => void)[] = [];
  #underWay: { resolve: () => void; reject: (error: Error) => void } | null = null;
  readonly #commit: () => Promise<void>;
  #isOpen = false;
  #isKilled = false;

  constructor(t: TestContext, path: string) {
    this.store = openStore(t, { path, now: Date.now });
    const { environment } = this.store;
    const { put, remove, committed } = environment;
    environment.put = (...args) => void this.#writes.push(() => put.apply(environment, args));
    environment.remove = (...args) => void this.#writes.push(() => remove.apply(environment, args));
    environment.prepare = () => {};
    environment.committed = () => this.#hold();
    this.#commit = () => committed.call(environment);
    const close = this.store.close.bind(this.store);
    this.store.close = async () => {
      this.#isKilled = true;
      await this.fail();
      return close();
    };
  }

  /** Transactions go through from here on, the one that is held included. */
  async open(): Promise<void> {
    this.#isOpen = true;
    await this.succeed();
  }

  close(): void {
    this.#isOpen = false;
  }

  /** The transaction under way is committed, if there is one. */
  async succeed(): Promise<void> {
    const underWay = this.#underWay;
    if (underWay === null) return;
    this.#underWay = null;
    await this.#write();
    underWay.resolve();
    await turn();
  }

  /** The transaction under way fails, if there is one; it is tried again at `retry`. */
  async fail(): Promise<void> {
    this.#writes = [];
    const underWay = this.#underWay;
    this.#underWay = null;
    underWay?.reject(new Error('the test lets it fail'));
    await turn();
  }

  /** A transaction that has failed, or that nobody waits for, begins now. */
  async begin(): Promise<void> {
    void this.store.flush();
    await turn();
  }

  /** Everything is committed. */
  async commitAll(): Promise<void> {
    await this.open();
    while (!(await this.store.flush()));
    await turn();
    this.close();
  }

  /** The process is killed: what is not committed is gone. */
  async kill(): Promise<void> {
    await this.store.close();
  }

  #hold(): Promise<void> {
    if (this.#isKilled) return this.#lose();
    if (this.#isOpen) return this.#write();
    return new Promise((resolve, reject) => {
      this.#underWay = { resolve, reject };
    });
  }

  async #lose(): Promise<void> {
    this.#writes = [];
    await turn();
    throw new Error('killed');
  }

  async #write(): Promise<void> {
    for (const write of this.#writes.splice(0)) write();
    await this.#commit();
  }
}
