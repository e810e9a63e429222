/**
 * Power cuts: a broker with clients, its calls to the file system recorded, and what a cut at a random moment could
 * have left of its folder, again and again. Each such folder opens, without a word of damage, and nothing is missing
 * that was promised: in durable mode what was acknowledged, in autosave mode what a finished save has.
 *
 * The broker's calls come another way each time. So a state that fails stays, in a folder that the failure names.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { Environment } from '../../src/store/environment.js';
import { prepareStore } from '../../src/store/file/startup.js';
import { checkStore } from '../../src/store/file/store-check.js';
import { type Check, checkInChild } from '../../src/store/file/store-child.js';
import { Store } from '../../src/store/store.js';
import { type Broker, startBroker } from '../support/brokers/broker.js';
import { skipWithout } from '../support/brokers/debian.js';
import { makeFolder } from '../support/cleanup.js';
import { DurableClient } from '../support/clients/durable-client.js';
import { RawClient } from '../support/clients/raw-client.js';
import { type DiskState, randomCut, stateAt, wholeState, writeState } from '../support/power/power-cut.js';
import { MessageHistory, now, type Promised, StoredHistory } from '../support/power/stored-history.js';
import { type TracedCall, TracedFolder, tracer } from '../support/power/traced-writes.js';
import { Random, seedOfRun } from '../support/random.js';
import { inShortOrLong, skipInShortest } from '../support/run-length.js';
import { publication, temporaryFolder } from '../support/store/stores.js';
import { patienceMs, within } from '../support/within.js';

const recordings = inShortOrLong(1, 10);
const statesOfEach = inShortOrLong(100, 200);
/** Requests of each kind, in each of a broker's lives. */
const requests = inShortOrLong(12, 40);
/** In autosave mode, by the way. */
const savesOfEach = 3;
/** One check of so many, of a file that is not as it was left, is made by a process of its own, as in the broker. */
const checksForChild = 20;
/** In one state of so many the cut comes during the first start. */
const statesForStart = 4;
/** Topics that are set and cleared, filters that are subscribed to and left. */
const switches = 4;

const SAVED = 'mosquitto.db';
const NOTE = `${SAVED}.state`;

type Mode = 'autosave' | 'durable';

/** What a save had when it ended: everything that was acknowledged until `floor`. */
interface Save {
  endedAt: number;
  floor: number;
}

/** A broker with clients in three lives: ended in order, killed, ended in order. */
class Recording {
  readonly history = new StoredHistory('changer');
  traced!: TracedFolder;
  readonly #saves: Save[] = [];
  readonly #t: TestContext;
  readonly #mode: Mode;
  readonly #random: Random;
  readonly #traces: string;
  readonly #publishers = ([1, 2] as const).map((qos) => ({
    qos,
    client: new DurableClient(`publisher-${qos}`),
  }));
  readonly #changer = new DurableClient('changer');
  /** Files that a note of the saved file's state is about, by the note's text. */
  readonly #notedFiles = new Map<string, number>();
  /** Of QoS 2 messages that the taker has, by packet id. */
  readonly #takenIds = new Map<number, { history: MessageHistory; number: number }>();
  #runningAt = 0;
  #acknowledged = 0;
  #onAcknowledged: () => void = () => {};

  constructor(t: TestContext, mode: Mode, random: Random) {
    this.#t = t;
    this.#mode = mode;
    this.#random = random;
    this.#traces = makeFolder(t);
    for (const session of ['away', 'taker']) {
      const topics = ([1, 2] as const).map((qos) => [`${session}/${qos}`, new MessageHistory(qos)] as const);
      this.history.queues.set(session, new Map(topics));
    }
  }

  async make(): Promise<void> {
    const memory = existsSync('/dev/shm') ? temporaryFolder(this.#t, '/dev/shm') : makeFolder(this.#t);
    let broker = await startBroker(this.#t, {
      workers: 2,
      prefix: tracer(join(this.#traces, 'trace')),
      env: { RUNTIME_DIRECTORY: memory },
      config: [
        'persistence true\npersistence_location {folder}/store/',
        this.#mode === 'durable' ? 'persistence_mode durable' : '',
        'max_queued_messages 0\nmax_inflight_messages 0',
      ].join('\n'),
    });
    this.#runningAt = now.latest();
    const folder = join(broker.folder, 'store');
    this.traced = new TracedFolder(folder, (path, bytes) => {
      const file = this.traced.names.get(SAVED);
      if (path === `${NOTE}.new` && file !== undefined) this.#notedFiles.set(bytes.toString(), file);
    });
    await this.#connect(broker);
    const away = new DurableClient('away');
    await away.connect(this.#t, broker);
    await away.subscribe('away/#', 2);
    await away.disconnect();
    await this.#requestAll(broker);
    await this.#endInOrder(broker);
    broker = await broker.startAgain(this.#t);
    await this.#connect(broker);
    const enough = this.#acknowledged + this.#random.below(requests * 3);
    const killed = new Promise<void>((resolve) => {
      this.#onAcknowledged = () => this.#acknowledged >= enough && resolve();
    });
    const unfinished = this.#requestAll(broker);
    await killed;
    await broker.kill();
    await this.#allEnded();
    this.#read();
    broker = await broker.startAgain(this.#t);
    await this.#connect(broker);
    await within(patienceMs, unfinished, () => 'what was under way at the kill is not acknowledged');
    await this.#requestAll(broker);
    await this.#endInOrder(broker);
    this.#expectComplete(folder);
  }

  /** Until the first client was there. */
  get callsOfStart(): TracedCall[] {
    return this.traced.calls.filter(({ start }) => start < this.#runningAt);
  }

  /** What a cut at this moment must have left. */
  promisedAt(cut: number): Promised {
    if (this.#mode === 'durable') return { cut, floor: cut };
    const floors = this.#saves.filter(({ endedAt }) => endedAt <= cut).map(({ floor }) => floor);
    return { cut, floor: Math.max(0, ...floors) };
  }

  /**
   * A note tells of a file by its inode and times. A new copy has others: they are put right, and as if the disk had
   * not got to know of the last writes' time.
   */
  correctNote(folder: string, { files }: DiskState): void {
    const bytes = files.get(NOTE)?.bytes.toString() ?? '';
    const about = this.#notedFiles.get(bytes);
    if (about === undefined) return;
    const note = JSON.parse(bytes) as { identity: object };
    const { dev, ino, mtimeMs } = statSync(files.has(SAVED) ? join(folder, SAVED) : folder);
    const isIt = files.get(SAVED)?.file === about;
    Object.assign(note.identity, { device: dev, inode: isIt ? ino : 1, modifiedMs: Math.trunc(mtimeMs) });
    writeFileSync(join(folder, NOTE), JSON.stringify(note));
  }

  async #connect(broker: Broker): Promise<void> {
    for (const client of [...this.#publishers.map(({ client }) => client), this.#changer])
      await client.connect(this.#t, broker);
    const taker = await RawClient.connect(this.#t, broker, 4, { clientId: 'taker', cleanStart: false });
    if (!taker.connack!.sessionPresent) await taker.subscribe('taker/#', 2);
    this.#take(taker).catch(() => {}); // until the broker ends
  }

  /** Takes three quarters of the messages; the others stay in flight. */
  async #take(taker: RawClient): Promise<void> {
    for (;;) {
      const packet = await taker.next();
      if (packet.type === 'pubrel') {
        const taken = this.#takenIds.get(packet.packetId);
        taken?.history.released(taken.number);
        taker.sendAck('pubcomp', packet.packetId);
      }
      if (packet.type !== 'publish' || this.#random.below(4) === 0) continue;
      const history = this.history.queues.get('taker')!.get(packet.topic)!;
      const number = Number(Buffer.from(packet.payload).toString());
      history.received(number);
      if (packet.qos === 2) this.#takenIds.set(packet.packetId, { history, number });
      taker.sendAck(packet.qos === 2 ? 'pubrec' : 'puback', packet.packetId);
    }
  }

  async #requestAll(broker: Broker): Promise<void> {
    const lanes = this.#publishers.flatMap(({ qos, client }) =>
      [1, 2].map(async () => {
        for (let i = 0; i < requests; i += 1) {
          const session = this.#random.pick(['away', 'taker']);
          const topic = `${session}/${qos}`;
          const history = this.history.queues.get(session)!.get(topic)!;
          await history.publish((payload) =>
            client.publish(topic, payload.padStart(this.#length(), '0'), { qos }),
          );
          this.#count();
        }
      }),
    );
    await Promise.all([
      ...lanes,
      this.#changeRetained(),
      this.#changeSubscriptions(),
      this.#saveNowAndThen(broker),
    ]);
  }

  /** Of payloads: some fill pages of their own. */
  #length(): number {
    return 1 + this.#random.below(this.#random.below(8) === 0 ? 9000 : 300);
  }

  #count(): void {
    this.#acknowledged += 1;
    this.#onAcknowledged();
  }

  async #changeRetained(): Promise<void> {
    for (let i = 0; i < requests; i += 1) {
      const isClearing = this.#random.below(3) === 0;
      await this.#retain(
        `retained/${this.#random.below(switches)}`,
        isClearing ? '' : `${this.#acknowledged}`,
      );
    }
  }

  async #retain(topic: string, payload: string): Promise<void> {
    const { client } = this.#publishers[0]!;
    const history = this.history.valueOf(this.history.retained, topic);
    await history.set(payload, client.publish(topic, payload, { retain: true }));
    this.#count();
  }

  async #changeSubscriptions(): Promise<void> {
    for (let i = 0; i < requests; i += 1) {
      const filter = `filter/${this.#random.below(switches)}`;
      const history = this.history.valueOf(this.history.subscriptions, filter);
      const isOn = this.#random.below(2) === 0;
      const change = isOn ? this.#changer.subscribe(filter, 1) : this.#changer.unsubscribe(filter);
      await history.set(isOn ? 'yes' : '', change);
      this.#count();
    }
  }

  async #saveNowAndThen(broker: Broker): Promise<void> {
    if (this.#mode !== 'autosave') return;
    for (let i = 0; i < savesOfEach; i += 1) {
      await this.#retain('retained/saves', `${this.#acknowledged}`); // otherwise there may be nothing to save
      if (broker.program.end !== undefined) return;
      const floor = now.earliest();
      const from = broker.log.length;
      broker.program.signal('SIGUSR1');
      const saved = broker.waitForLog(/Saved \d+ bytes/, { from }).then(() => true);
      if (await saved.catch(() => false)) this.#saves.push({ endedAt: now.latest(), floor });
    }
  }

  async #endInOrder(broker: Broker): Promise<void> {
    const floor = now.earliest();
    assert.equal(await broker.stop(), 0);
    this.#saves.push({ endedAt: now.latest(), floor });
    await this.#allEnded();
    this.#read();
  }

  async #allEnded(): Promise<void> {
    for (const { client } of this.#publishers) await client.ended;
    await this.#changer.ended;
  }

  #read(): void {
    this.traced.read(join(this.#traces, 'trace'));
    rmSync(this.#traces, { recursive: true });
    mkdirSync(this.#traces);
  }

  /** Nothing has escaped the trace: played to its end, it gives the folder as it is. */
  #expectComplete(folder: string): void {
    const { files } = wholeState(this.traced.calls);
    for (const [path, { bytes }] of files) {
      if (!path.endsWith('-lock'))
        assert.ok(readFileSync(join(folder, path)).equals(bytes), `${path} as recorded`);
    }
    const found = readdirSync(folder, { recursive: true, encoding: 'utf8' });
    assert.deepEqual(
      found.filter((path) => statSync(join(folder, path)).isFile()).sort(),
      [...files.keys()].sort(),
    );
  }
}

/** As the broker's child process does, without the process. */
const checkHere: Check = async (path, mode) => {
  const environment = new Environment({ path, mode, isWhole: true });
  try {
    const report = await checkStore(environment);
    return { verdict: report.damagedRecords === 0 ? 'sound' : 'partly damaged', report };
  } finally {
    await environment.close();
  }
};

/** Opens a folder after a cut as a broker does, looks at what is in it, and stores something more. */
async function faultsOf(
  { folder, memory }: { folder: string; memory: string },
  mode: Mode,
  history: StoredHistory,
  promised: Promised,
  check: Check,
): Promise<string[]> {
  const prepared = await prepareStore({
    persistence: true,
    path: join(folder, SAVED),
    durable: mode === 'durable',
    memoryFolders: [memory],
    now: Date.now,
    log: () => {},
    check,
  });
  const damages: string[] = [];
  const store = new Store({
    path: prepared.path,
    mode: prepared.mode,
    now: Date.now,
    onDamage: ({ message }) => damages.push(message),
  });
  try {
    const faults = [...prepared.alarms, ...history.faults(store, promised)];
    if (prepared.mode !== mode) faults.push(`the mode is ${prepared.mode}`);
    store.retained.set(publication('after', 'the cut'));
    if (!(await store.flush())) faults.push('nothing can be stored');
    return [...faults, ...damages];
  } finally {
    await store.close();
    prepared.folder?.release();
  }
}

const skip = skipInShortest || skipWithout('/usr/bin/strace');

describe('power cuts', { skip, concurrency: 2 }, () => {
  for (const mode of ['autosave', 'durable'] as const) {
    const seed = seedOfRun();
    const name = `${mode}: ${recordings * statesOfEach} states open and have all that was promised, seed ${seed}`;
    test(name, async (t) => {
      const random = new Random(seed);
      const folder = makeFolder(t);
      const memory = existsSync('/dev/shm') ? temporaryFolder(t, '/dev/shm') : makeFolder(t);
      const different = new Set<string>();
      let calls = 0;
      let checks = 0;
      const check: Check = (path, mode) => {
        checks += 1;
        return (checks % checksForChild === 0 ? checkInChild : checkHere)(path, mode);
      };
      for (let made = 0; made < recordings; made += 1) {
        const recording = new Recording(t, mode, random);
        await recording.make();
        calls += recording.traced.calls.length;
        for (let i = 0; i < statesOfEach; i += 1) {
          // A broker's first start is short, and full of things that happen once.
          const calls = i % statesForStart === 0 ? recording.callsOfStart : recording.traced.calls;
          const cut = randomCut(calls, random);
          const state = stateAt(recording.traced.calls, cut, random);
          different.add(digestOf(state));
          writeState(folder, state);
          recording.correctNote(folder, state);
          for (const name of readdirSync(memory)) rmSync(join(memory, name), { recursive: true });
          const stays = mkdtempSync(join(tmpdir(), 'midge-power-cut-'));
          cpSync(folder, stays, { recursive: true });
          // A store that LMDB falls over ends this process, too.
          writeFileSync(join(stays, 'cut.json'), JSON.stringify({ mode, made, i, cut, seed }));
          const promised = recording.promisedAt(cut.at);
          const faults = await faultsOf({ folder, memory }, mode, recording.history, promised, check);
          assert.deepEqual(
            faults,
            [],
            `state ${i} of recording ${made}, ${JSON.stringify(cut)}, in ${stays}`,
          );
          rmSync(stays, { recursive: true });
        }
      }
      t.diagnostic(
        `${different.size} different states of ${calls} calls in ${recordings} recordings; ${checks} were not as left, and checked`,
      );
    });
  }
});

function digestOf({ files }: DiskState): string {
  const hash = createHash('sha1');
  for (const [path, { bytes }] of files) hash.update(`${path} ${bytes.length}\n`).update(bytes);
  return hash.digest('base64');
}
