/**
 * One client, or many, do their worst: another client of the same worker is served meanwhile, and the broker's memory
 * stays within bounds. Each case has a broker of its own with one worker; a bystander in another process pings it and,
 * for comparison, an idle broker (`../support/flood/bystander.ts`).
 */
import assert from 'node:assert/strict';
import { execFileSync, fork } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { connect as openTls } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { encodePacket } from '../../src/mqtt/encode.js';
import type { Packet, Qos } from '../../src/mqtt/packets.js';
import { type Broker, startBroker } from '../support/brokers/broker.js';
import { skipWithout } from '../support/brokers/debian.js';
import { afterTest, makeFolder, shareInSuite } from '../support/cleanup.js';
import { connectPacket } from '../support/clients/packet-socket.js';
import { RawClient } from '../support/clients/raw-client.js';
import type { BystanderReport } from '../support/flood/bystander.js';
import { Hose } from '../support/flood/hose.js';
import { makeCertificates, openssl } from '../support/network/certificates.js';
import { freePort } from '../support/network/free-port.js';
import { tcpHeader } from '../support/network/proxy-headers.js';
import { midgeArguments } from '../support/project.js';
import { inShortOrLong, skipInShortest } from '../support/run-length.js';
import { patienceMs, until, within } from '../support/within.js';

const BYSTANDER = fileURLToPath(new URL('../support/flood/bystander.js', import.meta.url));

/** Milliseconds: the 99th percentile of the bystander's pings, beyond what the machine itself delays. */
const P99_MAX = 50;
/** How much longer the machine may delay the pings of a broker that has work to do, than those of an idle one. */
const IDLE_TIMES = 3;
const ATTEMPTS = 3;
/** How long the bystander is there before and after a flood. */
const CALM_MS = 300;
/** Memory comes back within a minute. */
const SETTLE_MS = 60_000;

interface Flood {
  config?: string;
  /** Memory that the broker may have taken when the flood is over and garbage is collected, in MB. */
  memory: number;
  /** What holds up a worker beyond `P99_MAX` today, in milliseconds: it may not become worse. */
  p99Today?: number;
  /** Makes what the flood needs; the bystander comes afterwards. @returns the flood */
  prepare: (t: TestContext, broker: Broker) => Promise<() => Promise<void>>;
}

/** @param name of a line of /proc/PID/status, in kB */
function memoryMb(broker: Broker, name: 'VmRSS' | 'VmHWM'): number {
  const status = readFileSync(`/proc/${broker.pid}/status`, 'utf8');
  return Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)![1]) / 1024;
}

function descriptors(broker: Broker): number {
  return readdirSync(`/proc/${broker.pid}/fd`).length;
}

const subscribe = (filters: readonly string[], qos: Qos = 0): Packet => ({
  type: 'subscribe',
  packetId: 1,
  properties: {},
  subscriptions: filters.map((filter) => ({
    filter,
    qos,
    noLocal: false,
    retainAsPublished: false,
    retainHandling: 0 as const,
  })),
});

const publish = (
  topic: string,
  payload = 'x',
  fields: { qos?: Qos; packetId?: number; retain?: boolean } = {},
): Packet => {
  const { qos = 0, packetId = 0, retain = false } = fields;
  return {
    type: 'publish',
    topic,
    payload: Buffer.from(payload),
    qos,
    packetId,
    retain,
    dup: false,
    properties: {},
  };
};

const PINGREQ = Buffer.of(0xc0, 0);

/** Subscribes to filters made of numbers, a hundred a packet, and waits for all SUBACKs. */
async function subscribeAll(
  hose: Hose,
  count: number,
  filterOf: (i: number) => string,
  qos: Qos = 0,
): Promise<void> {
  const before = hose.count('suback');
  for (let i = 0; i < count; i += 100) {
    const filters = Array.from({ length: Math.min(100, count - i) }, (_, at) => filterOf(i + at));
    await hose.send(subscribe(filters, qos));
  }
  await hose.flush();
  const wanted = before + Math.ceil(count / 100);
  await hose.until(() => hose.count('suback') === wanted, `${wanted} SUBACKs`, 300_000);
}

async function retainAll(
  t: TestContext,
  broker: Broker,
  count: number,
  topicOf: (i: number) => string,
  payload = 'x',
) {
  const hose = await Hose.open(t, broker.port, 4);
  for (let i = 0; i < count; i += 1) await hose.send(publish(topicOf(i), payload, { retain: true }));
  await hose.send(PINGREQ);
  await hose.flush();
  await hose.until(() => hose.count('pingresp') === 1, 'the last retained message', 300_000);
  hose.destroy();
}

/** So long a flood may take to be read, once it is over. */
const POUR_END_MS = 20_000;

/** A flood of one packet after the other for some seconds. */
async function pour(hose: Hose, packetOf: (i: number) => Packet | Uint8Array): Promise<void> {
  const end = Date.now() + inShortOrLong(2_000, 10_000);
  for (let i = 0; Date.now() < end; i += 1) await hose.send(packetOf(i));
  await Promise.race([hose.flush(), delay(POUR_END_MS)]);
}

const digits = (i: number) => `${i.toString(36)}`;
const away = { cleanStart: false, properties: { sessionExpiryInterval: 1000 } };
const many = (short: number, long: number) => inShortOrLong(short, long);

/** By number in the list of what was found, then what else is wanted. */
const FLOODS: Record<string, Flood> = {
  '2: filters under one node, and a publish to all of them': {
    p99Today: 300,
    memory: 60 + many(50_000, 500_000) / 2_000,
    prepare: async (t, broker) => {
      const hose = await Hose.open(t, broker.port, 5, { clientId: 'filters', ...away });
      return async () => {
        await subscribeAll(hose, many(50_000, 500_000), (i) => `n/${digits(i)}`);
        hose.destroy();
        const again = await Hose.open(t, broker.port, 5, { clientId: 'filters', ...away });
        await again.send(publish('n/0', 'x'));
        await again.flush();
        await again.until(() => again.count('publish') === 1, 'the message');
      };
    },
  },
  '3: a share that fills the length of its field': {
    memory: 60,
    prepare: async (t, broker) => {
      const hose = await Hose.open(t, broker.port, 5);
      return async () => {
        for (let i = 0; i < 200; i += 1) {
          const name = `${i}`.padStart(5, '0');
          await subscribeAll(hose, 1, () => `$share/${name}${'g'.repeat(0xffff - '$share//t'.length - 5)}/t`);
        }
        for (let i = 0; i < 50; i += 1) await hose.send(publish('t', `${i}`));
        await hose.flush();
        await hose.until(() => hose.count('publish') === 200 * 50, 'all messages');
      };
    },
  },
  '4: wills that are too long behind mount_point': {
    config: `listener {port} 127.0.0.1\nallow_anonymous true\nmount_point ${'m'.repeat(100)}/`,
    memory: 40,
    prepare: async (t, broker) => async () => {
      const will = {
        topic: 'w'.repeat(0xffff - 50),
        payload: Buffer.of(),
        qos: 1 as const,
        retain: true,
        properties: {},
      };
      for (let i = 0; i < 200; i += 1) {
        const client = await RawClient.open(t, broker, 4);
        client.send(connectPacket(4, { will }));
        await client.expectClosed();
      }
    },
  },
  '5: requests to $CONTROL': {
    config: 'enable_control_api true',
    p99Today: 300, // a request of a thousand commands is answered as a whole
    memory: 60,
    prepare: async (t, broker) => {
      const hose = await Hose.open(t, broker.port, 5);
      const requests = [
        '{"commands":[{"command":{"toString":1,"valueOf":1}}]}',
        JSON.stringify({ commands: Array(1000).fill({ command: 'listPlugins' }) }),
        `${'['.repeat(20_000)}${']'.repeat(20_000)}`,
      ];
      return () => pour(hose, (i) => publish('$CONTROL/broker/v1', requests[i % requests.length]));
    },
  },
  '7: a hundred filters over retained messages': {
    memory: 60,
    prepare: async (t, broker) => {
      await retainAll(t, broker, 20_000, (i) => `${digits(i)}/r/${i % 7}`);
      const hose = await Hose.open(t, broker.port, 4);
      return () => subscribeAll(hose, 100, (i) => `+/${digits(i)}J/+`);
    },
  },
  '7: one filter over many retained messages': {
    memory: 60,
    prepare: async (t, broker) => {
      await retainAll(t, broker, many(50_000, 500_000), (i) => `x/${digits(i)}/z`);
      const hose = await Hose.open(t, broker.port, 4);
      return () => subscribeAll(hose, 1, () => 'x/+/y');
    },
  },
  '7: a client with 100,000 subscriptions leaves': {
    memory: 40,
    prepare: async (t, broker) => {
      const hose = await Hose.open(t, broker.port, 4);
      await subscribeAll(hose, 100_000, (i) => `s/${digits(i)}`);
      return async () => hose.destroy();
    },
  },
  '8: groups on one filter, and their end': {
    memory: 80,
    prepare: async (t, broker) => {
      const hose = await Hose.open(t, broker.port, 5);
      await subscribeAll(hose, many(20_000, 40_000), (i) => `$share/${digits(i)}/f`);
      return async () => hose.destroy();
    },
  },
  '9: 32,768 filters of a group that match one topic': {
    p99Today: 300, // one PUBLISH is routed in one turn
    memory: 80,
    prepare: async (t, broker) => {
      const hose = await Hose.open(t, broker.port, 5);
      const filterOf = (i: number) =>
        Array.from({ length: 15 }, (_, bit) => ((i >> bit) & 1 ? '+' : 'a')).join('/');
      await subscribeAll(hose, 32_768, (i) => `$share/g/${filterOf(i)}`);
      return async () => {
        await hose.send(publish(Array(15).fill('a').join('/')));
        await hose.send(PINGREQ);
        await hose.flush();
        await hose.until(() => hose.count('pingresp') === 1, 'PINGRESP');
      };
    },
  },
  '10: 32,000 messages in flight, back with a window of one': {
    config: 'max_inflight_messages 0\nmax_queued_messages 0',
    memory: 80,
    prepare: async (t, broker) => {
      const hose = await Hose.open(t, broker.port, 5, { clientId: 'window', ...away });
      await subscribeAll(hose, 1, () => 'w', 1);
      const publisher = await Hose.open(t, broker.port, 5);
      for (let i = 1; i <= 32_000; i += 1) await publisher.send(publish('w', 'x', { qos: 1, packetId: i }));
      await publisher.flush();
      await hose.until(() => hose.count('publish') === 32_000, '32,000 messages');
      hose.destroy();
      return async () => {
        const properties = { ...away.properties, receiveMaximum: 1 };
        const again = await Hose.open(t, broker.port, 5, { ...away, clientId: 'window', properties });
        await again.until(() => again.count('publish') === 1, 'the first message');
      };
    },
  },
  '11: retained topics below $SYS/broker/connection': {
    memory: 80,
    prepare: async (t, broker) => {
      const hose = await Hose.open(t, broker.port, 4);
      const count = many(40_000, 400_000);
      await retainAll(t, broker, count, (i) => `$SYS/broker/connection/${digits(i)}/state`);
      return async () => {
        await subscribeAll(hose, 1, () => '$SYS/#');
        await hose.until(() => hose.count('publish') >= count, 'all retained messages', 300_000);
      };
    },
  },
  '12: QoS 2 with packet ids that lie together in a table': {
    p99Today: 600, // thousands of small packets of one read are worked on in one turn
    config: 'max_inflight_messages 0',
    memory: 120,
    prepare: async (t, broker) => {
      const hose = await Hose.open(t, broker.port, 4);
      const ids = [...Array(12_000).keys()].flatMap((i) => [i + 1, i + 32_769]);
      return async () => {
        for (const packetId of ids) await hose.send(publish('q', 'x', { qos: 2, packetId }));
        for (const packetId of ids)
          await hose.send({ type: 'pubrel', packetId, reasonCode: 0, properties: {} });
        await hose.flush();
        await hose.until(() => hose.count('pubcomp') > 0, 'PUBCOMP');
      };
    },
  },
  '13: SUBSCRIBE of new filters': {
    memory: 250,
    prepare: async (t, broker) => {
      const hose = await Hose.open(t, broker.port, 4);
      return () => pour(hose, (i) => subscribe([`f/${digits(i)}`]));
    },
  },
  '13: SUBSCRIBE of the same filter': {
    memory: 60,
    prepare: async (t, broker) => {
      const hose = await Hose.open(t, broker.port, 4);
      return () => pour(hose, () => subscribe(['same']));
    },
  },
  '13: SUBSCRIBE in a stored session': {
    p99Today: 500, // its transactions
    config: 'persistence true\npersistence_location {folder}',
    memory: 250,
    prepare: async (t, broker) => {
      const hose = await Hose.open(t, broker.port, 5, { clientId: 'stored', ...away });
      return () => pour(hose, (i) => subscribe([`f/${digits(i)}`]));
    },
  },
  '13: PINGREQ': {
    memory: 60,
    prepare: async (t, broker) => {
      const hose = await Hose.open(t, broker.port, 4);
      return () => pour(hose, () => PINGREQ);
    },
  },
  '14: QoS 2 without PUBREL': {
    config: 'max_queued_messages 100',
    memory: 120,
    prepare: async (t, broker) => {
      const hose = await Hose.open(t, broker.port, 4);
      const payload = 'x'.repeat(200_000);
      return async () => {
        for (let i = 1; i <= many(1_000, 6_000); i += 1)
          await hose.send(publish('q', payload, { qos: 2, packetId: i }));
        await hose.flush();
      };
    },
  },
  '15: answers that nobody reads': {
    memory: 60,
    prepare: async (t, broker) => {
      const hose = await Hose.open(t, broker.port, 4);
      hose.stopReading();
      return async () => {
        const poured = pour(hose, (i) =>
          i % 2 === 0
            ? PINGREQ
            : { type: 'pubrel', packetId: 1 + (i % 60_000), reasonCode: 0, properties: {} },
        );
        // The broker stops reading when much waits to be written.
        await Promise.race([poured, delay(inShortOrLong(4_000, 15_000))]);
      };
    },
  },
  '16: # again and again, unread': {
    memory: 60,
    prepare: async (t, broker) => {
      await retainAll(t, broker, 20_000, (i) => `r/${digits(i)}`, 'x'.repeat(500));
      const hose = await Hose.open(t, broker.port, 4);
      hose.stopReading();
      return async () => {
        const poured = pour(hose, () => subscribe(['#']));
        await Promise.race([poured, delay(inShortOrLong(4_000, 15_000))]);
      };
    },
  },
  '17: 100,000 subscriptions': {
    // 500 bytes each, and what their packets leave to the garbage collector.
    memory: 50 + 60,
    prepare: async (t, broker) => {
      const hose = await Hose.open(t, broker.port, 4);
      return () => subscribeAll(hose, 100_000, (i) => `s/${digits(i)}`);
    },
  },
  'connections that come and go': {
    memory: 80,
    prepare: async (t, broker) => async () => {
      const end = Date.now() + inShortOrLong(3_000, 20_000);
      const lane = async () => {
        while (Date.now() < end) {
          const hose = await Hose.open(t, broker.port, 4);
          hose.destroy();
        }
      };
      await Promise.all(Array.from({ length: 20 }, lane));
    },
  },
  'two clients that take one id from each other': {
    memory: 60,
    prepare: async (t, broker) => async () => {
      const end = Date.now() + inShortOrLong(3_000, 20_000);
      const fight = async () => {
        while (Date.now() < end) {
          const hose = await Hose.open(t, broker.port, 5, { clientId: 'fought', ...away });
          await hose.until(() => hose.isClosed || Date.now() > end, 'the other one', 10_000).catch(() => {});
        }
      };
      await Promise.all([fight(), fight(), fight(), fight()]);
    },
  },
  'deep topics': {
    memory: 100,
    prepare: async (t, broker) => {
      const hose = await Hose.open(t, broker.port, 4);
      const levels = (i: number) =>
        Array.from({ length: 150 }, (_, at) => ((i >> (at % 16)) & 1 ? '+' : 'a'));
      await subscribeAll(hose, 200, (i) => levels(i).join('/'));
      return () => pour(hose, (i) => publish(`${'a/'.repeat(149)}${i % 3 === 0 ? 'a' : digits(i)}`));
    },
  },
  'a thousand clients on #': {
    memory: 200,
    prepare: async (t, broker) => {
      const count = many(300, 1_000);
      const hoses: Hose[] = [];
      for (let i = 0; i < count; i += 1) {
        const hose = await Hose.open(t, broker.port, 4);
        await subscribeAll(hose, 1, () => '#');
        hoses.push(hose);
      }
      return async () => {
        const publisher = await Hose.open(t, broker.port, 4);
        for (let i = 0; i < 200; i += 1) {
          await publisher.send(publish(`t/${i}`, 'x'.repeat(100)));
          if (i % 10 === 9) await publisher.flush();
          if (i % 10 === 9) await delay(50);
        }
        const hasAll = () => hoses.every((hose) => hose.count('publish') === 200);
        await until(hasAll, `200 messages at each of ${count} clients`);
      };
    },
  },
};

/** What was measured, for the table. */
function row({ attacked, idle }: BystanderReport, peak: number, grown: number): string {
  const ms = (value: number) => value.toFixed(1);
  return `ping p50 ${ms(attacked.p50)} p99 ${ms(attacked.p99)} max ${ms(attacked.max)} ms (idle broker p99 ${ms(idle.p99)}), memory +${Math.round(peak)} MB at most, +${Math.round(grown)} MB left`;
}

class Bystander {
  readonly #child: ReturnType<typeof fork>;

  constructor(t: TestContext, broker: Broker, idle: Broker) {
    this.#child = fork(BYSTANDER, [String(broker.port), String(idle.port)]);
    afterTest(t, () => this.#child.kill('SIGKILL'));
  }

  report(): Promise<BystanderReport> {
    const answered = new Promise<BystanderReport>((resolve) =>
      this.#child.once('message', (report) => resolve(report as BystanderReport)),
    );
    this.#child.send('report');
    return within(60_000, answered, () => 'the bystander says nothing');
  }

  /** @returns when it is being answered */
  async begin(): Promise<void> {
    for (;;) {
      await delay(CALM_MS);
      const { attacked, idle } = await this.report();
      if (attacked.count > 5 && idle.count > 5) return;
    }
  }
}

/** @returns what is wrong with the pings of the bystander */
async function measure(
  t: TestContext,
  broker: Broker,
  idle: Broker,
  memory: number,
  flood: () => Promise<void>,
  p99Allowed = P99_MAX,
): Promise<string | undefined> {
  const bystander = new Bystander(t, broker, idle);
  await bystander.begin();
  writeFileSync(`/proc/${broker.pid}/clear_refs`, '5'); // VmHWM begins anew
  const before = memoryMb(broker, 'VmRSS');
  await flood();
  await delay(CALM_MS);
  const report = await bystander.report();
  const peak = memoryMb(broker, 'VmHWM') - before;
  const settledBy = Date.now() + SETTLE_MS;
  const grownBy = () => memoryMb(broker, 'VmRSS') - before;
  while (grownBy() > memory && Date.now() < settledBy) await delay(1000);
  const grown = grownBy();
  const measured = row(report, peak, grown);
  t.diagnostic(measured);
  assert.equal(report.isCut, false, 'the bystander is still connected');
  const p99Max = p99Allowed + IDLE_TIMES * report.idle.p99;
  assert.ok(grown <= memory, `memory stays beyond +${memory} MB: ${measured}`);
  const faults = broker.log.filter((line) =>
    /died and is being replaced|The broker failed|Midge failed over/.test(line),
  );
  assert.deepEqual(faults, []);
  if (report.attacked.p99 <= p99Max) return undefined;
  await broker.stop();
  return `the bystander's p99 is beyond ${p99Max.toFixed(0)} ms: ${measured}`;
}

/** Another process may have had the processors: what holds up a worker by itself does so each time. */
async function inAttempts(once: () => Promise<string | undefined>): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    const fault = await once();
    if (fault === undefined) return;
    if (attempt === ATTEMPTS) assert.fail(fault);
  }
}

/** How connections begin on each layer; of a half-open one only the first bytes come. */
const OPENINGS: Record<string, (ports: Record<string, number>) => { port: number; bytes: Buffer }> = {
  TCP: ({ TCP }) => ({ port: TCP!, bytes: Buffer.from(encodePacket(connectPacket(4), 4)) }),
  // A ClientHello that says it is 512 bytes long.
  TLS: ({ TLS }) => ({
    port: TLS!,
    bytes: Buffer.concat([Buffer.from('1603010200010001fc0303', 'hex'), Buffer.alloc(40)]),
  }),
  WebSockets: ({ WebSockets }) => ({
    port: WebSockets!,
    bytes: Buffer.from(
      'GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ',
    ),
  }),
  PROXY: ({ PROXY }) => ({ port: PROXY!, bytes: tcpHeader('192.0.2.1', 1000) }),
  HTTP: ({ HTTP }) => ({
    port: HTTP!,
    bytes: Buffer.from('GET /api/v1/version HTTP/1.1\r\nHost: x\r\nX-Header: '),
  }),
};

async function openBytes(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  socket.on('error', () => {});
  socket.resume();
  await new Promise((resolve) => socket.once('connect', resolve));
  return socket;
}

async function startOnAllLayers(t: TestContext): Promise<{ broker: Broker; ports: Record<string, number> }> {
  const { server } = makeCertificates(makeFolder(t));
  const ports: Record<string, number> = {};
  for (const layer of ['TLS', 'WebSockets', 'PROXY', 'HTTP']) ports[layer] = await freePort();
  const broker = await startBroker(t, {
    workers: 1,
    config: [
      'allow_anonymous true\nlog_type error\nlog_type warning\nlog_type information\nlog_type notice',
      'connection_messages false\nlistener {port} 127.0.0.1',
      `listener ${ports.TLS} 127.0.0.1\ncertfile ${server.certificate}\nkeyfile ${server.key}`,
      `listener ${ports.WebSockets} 127.0.0.1\nprotocol websockets`,
      `listener ${ports.PROXY} 127.0.0.1\nenable_proxy_protocol 2`,
      `listener ${ports.HTTP} 127.0.0.1\nprotocol http_api`,
    ].join('\n'),
  });
  return { broker, ports: { ...ports, TCP: broker.port } };
}

const sockets = inShortOrLong(300, 1_000);

/** @param once one attempt, as `measure` */
function floodTest(
  name: string,
  options: { skip?: string | false },
  once: (t: TestContext) => Promise<string | undefined>,
): void {
  test(name, options, (t) => inAttempts(() => once(t)));
}

describe('floods', { skip: skipInShortest }, () => {
  const idle = shareInSuite('the idle broker', (suite) => startBroker(suite, { workers: 1 }));
  for (const [name, { config = '', memory, p99Today, prepare }] of Object.entries(FLOODS)) {
    floodTest(name, {}, async (t) => {
      const quiet =
        'log_type error\nlog_type warning\nlog_type notice\nlog_type information\nconnection_messages false';
      const broker = await startBroker(t, { workers: 1, config: `${config}\n${quiet}` });
      return measure(t, broker, await idle(), memory, await prepare(t, broker), p99Today);
    });
  }

  const needsOpenssl = skipWithout('/usr/bin/openssl');

  for (const layer of Object.keys(OPENINGS)) {
    floodTest(`${sockets} half-open and slow connections: ${layer}`, { skip: needsOpenssl }, async (t) => {
      const { broker, ports } = await startOnAllLayers(t);
      const { port, bytes } = OPENINGS[layer]!(ports);
      await (await RawClient.connect(t, broker, 4)).disconnect();
      const before = descriptors(broker);
      const opened: Socket[] = [];
      const late = await measure(t, broker, await idle(), 80, async () => {
        for (let i = 0; i < sockets; i += 1) {
          const socket = await openBytes(port);
          opened.push(socket);
          // A third says nothing, a third a part, a third goes on byte by byte.
          if (i % 3 === 1) socket.write(bytes.subarray(0, 1 + (i % (bytes.length - 1))));
        }
        for (let at = 0; at < Math.min(bytes.length - 1, 40); at += 1) {
          for (const [i, socket] of opened.entries())
            if (i % 3 === 2 && socket.writable) socket.write(bytes.subarray(at, at + 1));
          await delay(50);
        }
      });
      for (const socket of opened) socket.destroy();
      if (late !== undefined) return late;
      const rest = () => descriptors(broker) - before;
      await until(() => rest() < 10, `the descriptors of ${sockets} closed connections`);
      return undefined;
    });
  }

  floodTest('handshakes over TLS that come all at once', { skip: needsOpenssl }, async (t) => {
    const { broker, ports } = await startOnAllLayers(t);
    return measure(t, broker, await idle(), 120, async () => {
      const end = Date.now() + inShortOrLong(3_000, 20_000);
      const lane = async () => {
        while (Date.now() < end) {
          const socket = openTls({ host: '127.0.0.1', port: ports.TLS!, rejectUnauthorized: false });
          socket.on('error', () => {});
          await new Promise((resolve) => socket.once('secureConnect', resolve).once('close', resolve));
          socket.destroy();
        }
      };
      await Promise.all(Array.from({ length: 10 }, lane));
    });
  });

  floodTest('1: certificates with an empty subject', { skip: needsOpenssl }, async (t) => {
    const folder = makeFolder(t);
    const { server } = makeCertificates(folder);
    const [certificate, key] = [join(folder, 'nobody.crt'), join(folder, 'nobody.key')];
    const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
    openssl('req', '-x509', ...ec, '-keyout', key, '-out', certificate, '-subj', '/');
    const port = await freePort();
    const tls = `certfile ${server.certificate}\nkeyfile ${server.key}\ncafile ${certificate}`;
    const broker = await startBroker(t, {
      workers: 1,
      config: `allow_anonymous true\nlistener {port} 127.0.0.1\nlistener ${port} 127.0.0.1\n${tls}\nrequire_certificate true\nuse_subject_as_username true`,
    });
    return measure(t, broker, await idle(), 120, async () => {
      const shown = { cert: readFileSync(certificate), key: readFileSync(key) };
      // Whoever is refused waits for the answer: the next ones do not wait for that.
      const refused = Array.from({ length: 50 }, async () => {
        const socket = openTls({ host: '127.0.0.1', port, rejectUnauthorized: false, ...shown });
        socket.on('error', () => {});
        socket.write(encodePacket(connectPacket(4), 4));
        await new Promise((resolve) => socket.once('close', resolve).resume());
      });
      await within(patienceMs, Promise.all(refused), () => 'waiting for the end of refused connections');
    });
  });

  floodTest('19: wrong passwords for a user, and the right one from the same address', {}, async (t) => {
    return floodLogins(t, await idle(), 'sha512-pbkdf2', 2_000);
  });

  floodTest('20: wrong passwords with argon2id, and right ones of others', {}, async (t) => {
    return floodLogins(t, await idle(), 'argon2id', 5_000);
  });

  floodTest(
    'connections beyond the descriptors that there are',
    { skip: skipWithout('/usr/bin/prlimit') },
    async (t) => {
      const broker = await startBroker(t, { workers: 1 });
      await (await RawClient.connect(t, broker, 4)).disconnect();
      return measure(t, broker, await idle(), 80, async () => {
        const limit = descriptors(broker) + 100;
        execFileSync('prlimit', ['--pid', String(broker.pid), `--nofile=${limit}`]);
        const opened: Socket[] = [];
        for (let i = 0; i < 300; i += 1) {
          const socket = await openBytes(broker.port);
          opened.push(socket);
          socket.write(encodePacket(connectPacket(4), 4));
        }
        await delay(2_000);
        for (const socket of opened) socket.destroy();
        // Who comes when others have gone is let in.
        await (await RawClient.connect(t, broker, 4)).disconnect();
      });
    },
  );
});

/** @param slowest milliseconds that a right login may take */
async function floodLogins(
  t: TestContext,
  idle: Broker,
  kind: string,
  slowest: number,
): Promise<string | undefined> {
  const file = join(makeFolder(t), 'passwords');
  writeFileSync(file, '', { mode: 0o600 });
  const passwd = join(dirname(midgeArguments.at(-1)!), 'cli', 'passwd', 'passwd.js');
  for (const user of ['victim', 'other'])
    execFileSync(process.execPath, [passwd, '-H', kind, '-b', file, user, `right-${user}`], {
      stdio: 'ignore',
    });
  const broker = await startBroker(t, {
    workers: 1,
    config: `listener {port} 127.0.0.1\npassword_file ${file}\nallow_anonymous true`,
  });
  const times: number[] = [];
  const late = await measure(t, broker, idle, 250, async () => {
    const end = Date.now() + inShortOrLong(4_000, 20_000);
    const wrong = async (lane: number) => {
      for (let i = 0; Date.now() < end; i += 1) {
        const client = await RawClient.open(t, broker, 4);
        client.send(connectPacket(4, { username: 'victim', password: Buffer.from(`wrong ${lane} ${i}`) }));
        await client.next().catch(() => {});
        client.destroy();
      }
    };
    const right = async (user: string) => {
      while (Date.now() < end) {
        const began = performance.now();
        const login = { username: user, password: Buffer.from(`right-${user}`) };
        await (await RawClient.connect(t, broker, 4, login)).disconnect();
        times.push(performance.now() - began);
        await delay(200);
      }
    };
    await Promise.all([...[1, 2, 3, 4, 5, 6].map(wrong), right('victim'), right('other')]);
  });
  const worst = Math.max(...times);
  t.diagnostic(`${times.length} right logins, the slowest after ${worst.toFixed(0)} ms`);
  assert.ok(worst <= slowest, `a right login took ${worst.toFixed(0)} ms`);
  return late;
}
