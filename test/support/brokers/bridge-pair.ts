/** Two brokers, one of which has a bridge to the other, by way of a proxy that can be a bad link. */
import type { TestContext } from 'node:test';
import type { ProtocolVersion, PublishPacket, Qos } from '../../../src/mqtt/packets.js';
import { SessionClient } from '../clients/session-client.js';
import { FlakyProxy } from '../network/flaky-proxy.js';
import { patienceMs, within } from '../within.js';
import { type Broker, startBroker, startMosquitto } from './broker.js';

export type Kind = 'Midge' | 'Mosquitto';

export interface BridgePair {
  /** The one with the bridge. */
  near: Broker;
  far: Broker;
  proxy: FlakyProxy;
}

export interface BridgePairOptions {
  near?: Kind;
  far?: Kind;
  /** Lines for the bridge; name, address and a quick `restart_timeout` are there. */
  bridge: string;
  /** Lines before the bridge's. */
  nearConfig?: string;
  farConfig?: string;
  /** Where the bridge goes, if not to the listener of the far broker's other clients. */
  farPort?: number;
  workers?: number;
  nearEnv?: Record<string, string>;
}

const openListener = 'listener {port} 127.0.0.1\nallow_anonymous true\n';

export async function startPair(t: TestContext, options: BridgePairOptions): Promise<BridgePair> {
  const { near: nearKind = 'Midge', far: farKind = 'Midge' } = options;
  const far = await start(
    t,
    farKind,
    `${options.farConfig ?? openListener}\nsys_interval 1`,
    options.workers,
  );
  const proxy = await FlakyProxy.open(t, options.farPort ?? far.port);
  const nearConfig = [
    options.nearConfig ?? openListener,
    'sys_interval 1',
    'connection up',
    `address localhost:${proxy.port}`,
    'restart_timeout 1',
    options.bridge,
  ];
  const { workers, nearEnv } = options;
  const near = await start(t, nearKind, nearConfig.join('\n'), workers, nearEnv);
  return { near, far, proxy };
}

function start(
  t: TestContext,
  kind: Kind,
  config: string,
  workers?: number,
  env: Record<string, string> = {},
): Promise<Broker> {
  if (kind === 'Mosquitto') return startMosquitto(t, { config });
  return startBroker(t, workers === undefined ? { config, env } : { config, env, workers });
}

/** A client that collects what it is sent. */
export class Listener {
  readonly messages: PublishPacket[] = [];
  #arrived: () => void = () => {};
  client!: SessionClient;

  static async connect(
    t: TestContext,
    broker: Broker,
    filters: readonly string[],
    { version = 4, qos = 2 }: { version?: ProtocolVersion; qos?: Qos } = {},
  ): Promise<Listener> {
    const listener = new Listener();
    listener.client = await SessionClient.connect(t, broker, version, {
      onMessage: (message) => {
        listener.messages.push(message);
        listener.#arrived();
      },
    });
    for (const filter of filters) await listener.client.subscribe(filter, qos);
    return listener;
  }

  /** The payloads received on a topic. */
  on(topic: string): string[] {
    return this.messages
      .filter((message) => message.topic === topic)
      .map(({ payload }) => Buffer.from(payload).toString());
  }

  /** @returns once it is so. @throws with what had arrived. */
  until(what: string, isSo: () => boolean, timeoutMs = patienceMs): Promise<void> {
    const reached = new Promise<void>((resolve) => {
      this.#arrived = () => {
        if (isSo()) resolve();
      };
      this.#arrived();
    });
    const last = () =>
      this.messages
        .slice(-10)
        .map(({ topic, payload }) => `${topic} ${Buffer.from(payload)}`)
        .join(', ');
    return within(
      timeoutMs,
      reached,
      () => `waiting for ${what}; ${this.messages.length} messages came, the last: ${last()}`,
    );
  }

  /** Waits until a message with this payload is the topic's last. */
  untilLast(topic: string, payload: string, timeoutMs?: number): Promise<void> {
    return this.until(`${topic} ${payload}`, () => this.on(topic).at(-1) === payload, timeoutMs);
  }
}
