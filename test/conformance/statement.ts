/**
 * Registers tests by the statements of the standard that they show, and runs each for the protocol versions it
 * names, with one worker and with three. All tests of a file that want the same configuration share one broker, and
 * those that want none share one with other files in the same process, so a test keeps to topics and client ids of its
 * own (`Scene.id`).
 *
 *   statement({ v4: '3.12.4-1', v5: '3.12.4-1' }, 'PINGREQ is answered', async (scene) => { … });
 *   runStatements(import.meta.url);
 */
import { basename } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Packet, ProtocolVersion } from '../../src/mqtt/packets.js';
import { type Broker, startBroker } from '../support/brokers/broker.js';
import { shareInSuite } from '../support/cleanup.js';
import { type ConnectOptions, connectPacket } from '../support/clients/packet-socket.js';
import { RawClient } from '../support/clients/raw-client.js';
import { hasStatement, type Standard } from './statements.js';

/**
 * For each version that the test runs with: the numbers of the statements it shows, separated by spaces; '' where
 * there is none. MQTT 3.1 has no numbered statements.
 */
export interface Citations {
  v3?: '';
  v4?: string;
  v5?: string;
}

export interface StatementOptions {
  /** Lines for the configuration file. */
  config?: string;
}

interface RegisteredTest {
  citations: Citations;
  name: string;
  config: string;
  run: (scene: Scene) => Promise<void>;
}

/** A test as the generated list has it. */
export interface ListedTest {
  /** Without folder and suffix, as in `connect`. */
  file: string;
  name: string;
  standard: Standard;
  number: string;
}

const workerCounts = [1, 3];
/** Tests at once on one broker: most of their time is waiting. */
const concurrency = 8;
/** Longer than any waiting of these tests, so that a session which lasts does so. */
const lastingSeconds = 600;

/** Brokers without configuration, by their number of workers. */
const plainBrokers = new Map<number, () => Promise<Broker>>();

const pending: RegisteredTest[] = [];
let listing: ListedTest[] | undefined;

/** From now on `runStatements` runs nothing: it adds to the returned list. */
export function listInsteadOfRunning(): readonly ListedTest[] {
  listing ??= [];
  return listing;
}

export function statement(
  citations: Citations,
  name: string,
  run: (scene: Scene) => Promise<void>,
  { config = '' }: StatementOptions = {},
): void {
  for (const { standard, number } of citedBy(citations)) {
    if (!hasStatement(standard, number)) throw new Error(`"${name}": MQTT ${standard} has no ${number}`);
  }
  pending.push({ citations, name, config, run });
}

/** Runs what the file has registered. @param moduleUrl the file's `import.meta.url` */
export function runStatements(moduleUrl: string): void {
  const registered = pending.splice(0);
  if (listing !== undefined) {
    const file = basename(fileURLToPath(moduleUrl), '.test.js');
    for (const { citations, name } of registered) {
      for (const cited of citedBy(citations)) listing.push({ file, name, ...cited });
    }
    return;
  }
  for (const config of new Set(registered.map((one) => one.config))) {
    const tests = registered.filter((one) => one.config === config);
    for (const workers of workerCounts) runWith(config, workers, tests);
  }
}

function runWith(config: string, workers: number, tests: readonly RegisteredTest[]): void {
  const title = `${workers} ${workers === 1 ? 'worker' : 'workers'}${config === '' ? '' : `, ${config.replaceAll('\n', ', ')}`}`;
  const plainBroker = config === '' ? plainBrokerWith(workers) : undefined;
  test(title, { concurrency }, async (t) => {
    const broker = await (plainBroker?.() ?? startBroker(t, { config, workers }));
    const running: Promise<void>[] = [];
    for (const { citations, name, run } of tests) {
      for (const version of versionsOf(citations)) {
        const named = `${name} [MQTT ${versionName(version)}]`;
        running.push(t.test(named, (s) => run(new Scene(s, broker, version))));
      }
    }
    await Promise.all(running);
  });
}

function plainBrokerWith(workers: number): () => Promise<Broker> {
  const known = plainBrokers.get(workers);
  if (known !== undefined) return known;
  const broker = shareInSuite('conformance', (suite) => startBroker(suite, { workers }));
  plainBrokers.set(workers, broker);
  return broker;
}

function versionsOf({ v3, v4, v5 }: Citations): ProtocolVersion[] {
  const versions: ProtocolVersion[] = [];
  if (v3 !== undefined) versions.push(3);
  if (v4 !== undefined) versions.push(4);
  if (v5 !== undefined) versions.push(5);
  return versions;
}

function versionName(version: ProtocolVersion): string {
  return { 3: '3.1', 4: '3.1.1', 5: '5.0' }[version];
}

function citedBy({ v4 = '', v5 = '' }: Citations): { standard: Standard; number: string }[] {
  const cited = (standard: Standard, numbers: string) =>
    numbers
      .split(' ')
      .filter((number) => number !== '')
      .map((number) => ({ standard, number }));
  return [...cited('3.1.1', v4), ...cited('5.0', v5)];
}

let lastScene = 0;

/** What a test is given: a broker, a version, and names that no other test uses. */
export class Scene {
  readonly t: TestContext;
  readonly broker: Broker;
  readonly version: ProtocolVersion;
  /** For client ids and topics; letters and digits. */
  readonly id: string;

  constructor(t: TestContext, broker: Broker, version: ProtocolVersion) {
    this.t = t;
    this.broker = broker;
    this.version = version;
    this.id = `s${++lastScene}v${version}`;
  }

  get isV5(): boolean {
    return this.version === 5;
  }

  /** A connection on which nothing was sent yet. */
  open(): Promise<RawClient> {
    return RawClient.open(this.t, this.broker, this.version);
  }

  connect(options: ConnectOptions = {}): Promise<RawClient> {
    return RawClient.connect(this.t, this.broker, this.version, options);
  }

  /** A client of another version, to look at things from the side. */
  connectAs(version: ProtocolVersion, options: ConnectOptions = {}): Promise<RawClient> {
    return RawClient.connect(this.t, this.broker, version, options);
  }

  /** A client whose session outlives its connection. */
  connectLasting(clientId: string, options: ConnectOptions = {}): Promise<RawClient> {
    return this.connect(this.lasting(clientId, options));
  }

  /** What {@link connectLasting} connects with. */
  lasting(clientId: string, options: ConnectOptions = {}): ConnectOptions {
    const properties = { sessionExpiryInterval: lastingSeconds, ...options.properties };
    return { clientId, cleanStart: false, ...options, properties: this.isV5 ? properties : {} };
  }

  /** Sends a CONNECT, or anything else, first; the answer is the test's to look at. */
  async openWith(first: ConnectOptions | Packet | Uint8Array): Promise<RawClient> {
    const client = await this.open();
    if (first instanceof Uint8Array || 'type' in first) client.send(first);
    else client.send(connectPacket(this.version, first));
    return client;
  }

  /** Reason code and end of a connection whose client broke a rule; older versions are just closed. */
  async expectFault(client: RawClient, reasonCode: number): Promise<void> {
    if (this.isV5) await client.expectPacket('disconnect', { reasonCode });
    await client.expectClosed();
  }
}
