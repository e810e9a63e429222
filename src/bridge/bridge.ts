/**
 * One bridge: a client of another broker that lives inside this one [mosq: connection].
 *
 *            ┌──────────────────────── waiting ◄─────────────────────────────┐
 *            ▼                                                               │ failed, refused, lost
 *   claiming ──► (lazy: resting) ──► dialling ──► connecting ──► connected ──┤
 *                     ▲   └─ threshold ─▲                                    │ lazy and idle
 *                     └──────────────────────────────────────────────────────┘
 *
 * `LocalEnd` stores messages in every state of the bridge, `RemoteEnd` exists while the bridge is connected. Nothing
 * here blocks: the way to the other broker (`Uplink`) calls back, and `tick` passes the time in.
 */
import { assertNever } from '../base/assert.js';
import type { Broker } from '../broker/broker.js';
import type { BridgeSettings } from '../config/settings.js';
import * as bridgeLines from '../log/bridge-lines.js';
import { clientDisconnected } from '../log/mosquitto-lines.js';
import type { ConnackPacket, SubackPacket } from '../mqtt/packets.js';
import { reasonText } from '../mqtt/reason-codes.js';
import type { BridgeRow } from '../routing/client-questions.js';
import { Counter } from '../sys/counters.js';
import { BacklogAge } from './backlog-age.js';
import { type BridgeFigures, BridgeReport } from './bridge-report.js';
import { Incoming } from './incoming.js';
import { LocalEnd } from './local-end.js';
import { AddressList, Backoff, type Random } from './reconnect.js';
import { connectPacket, type Demands, firstDemands, lesserDemands, refusalText } from './remote-connect.js';
import { RemoteConnection } from './remote-connection.js';
import { RemoteEnd } from './remote-end.js';
import { isAboutPackets, StuckMessage } from './stuck-message.js';
import { CONNACK_TIMEOUT_MS, PROBE_MS } from './time-limits.js';
import { TopicMap } from './topic-map.js';
import type { Channel, Uplink } from './uplink.js';

/** Milliseconds between two lines about dropped messages. */
const DROPS_LOG_MS = 600_000;

export interface BridgeWorld {
  broker: Broker;
  uplink: Uplink;
  /** Milliseconds on a clock that only goes forward. */
  monotonicMs: () => number;
  random: Random;
}

/** A connection to the other broker, from CONNECT on. */
interface Line {
  channel: Channel;
  remote: RemoteConnection;
}

type State =
  | { kind: 'claiming' }
  | { kind: 'waiting'; untilMs: number }
  | { kind: 'resting' }
  | { kind: 'dialling'; giveUp: () => void }
  | ({ kind: 'connecting'; deadlineMs: number } & Line)
  | ({ kind: 'connected'; sinceMs: number; end: RemoteEnd; incoming: Incoming } & Line)
  | { kind: 'over' };

export class Bridge {
  readonly #world: BridgeWorld;
  readonly #broker: Broker;
  readonly #local: LocalEnd;
  readonly #report: BridgeReport;
  readonly #age = new BacklogAge();
  #settings: BridgeSettings;
  /** Settings that come into force with the next connection. */
  #nextSettings: BridgeSettings | null = null;
  #topics!: TopicMap;
  #addresses!: AddressList;
  #backoff!: Backoff;
  #demands!: Demands;
  #state: State = { kind: 'over' };
  #lastError = '';
  /** That error is in the log, and no connection came about since. */
  #isErrorLogged = false;
  /** Messages that the other broker refused on earlier connections. */
  #refused = 0;
  readonly #stuck = new StuckMessage();
  /** Messages that were dropped because the other broker ended each connection over them. */
  #endedConnection = 0;
  /** Messages of the other broker that were dropped because they are malformed. */
  #malformed = 0;
  #malformedLoggedAtMs = Number.NEGATIVE_INFINITY;
  #probe: (() => void) | null = null;
  #probedAtMs = 0;
  #reportedAtMs = Number.NEGATIVE_INFINITY;
  #oldestAgeMs = 0;
  /** Milliseconds since the epoch; 0 = no attempt is planned. */
  #nextTryAt = 0;
  /** Dropped messages that the log knows of. */
  #loggedDrops = 0;
  #dropsLoggedAtMs = Number.NEGATIVE_INFINITY;
  /** The backlog at the beginning of this connection. */
  #backlog = 0;

  constructor(world: BridgeWorld, settings: BridgeSettings) {
    this.#world = world;
    this.#broker = world.broker;
    this.#settings = settings;
    this.#report = new BridgeReport(world.broker, settings.name);
    this.#local = new LocalEnd(world.broker, settings, new TopicMap(settings.topic));
    this.#apply(settings);
  }

  get settings(): BridgeSettings {
    return this.#nextSettings ?? this.#settings;
  }

  start(): void {
    this.#broker.refreshNow();
    this.#report.notify(this.#settings, false);
    this.#begin();
  }

  /** New settings: at once if there is no connection to lose, or if that is wanted [mosq: bridge_reload_type]. */
  change(settings: BridgeSettings): void {
    this.#broker.refreshNow();
    this.#nextSettings = settings;
    const isUp = this.#state.kind === 'connected';
    if (isUp && settings.bridgeReloadType === 'lazy') return;
    if (isUp) this.#leave();
    this.#abandon();
    this.#begin();
  }

  /** The bridge is not in the configuration any more. */
  remove(): void {
    this.#broker.refreshNow();
    if (this.#state.kind === 'connected') this.#leave();
    this.#abandon();
    this.#state = { kind: 'over' };
    this.#local.end();
    this.#report.notify(this.#settings, false);
    this.#report.clear();
  }

  /** The broker ends. The connection closes without DISCONNECT, so that the will tells of it [mosq: state topic]. */
  stop(): void {
    const state = this.#state;
    if (state.kind === 'connected') {
      state.remote.close();
      state.channel.end();
      this.#local.detach();
    }
    this.#abandon();
    this.#state = { kind: 'over' };
  }

  /** Some link to another worker has room again. */
  relieve(): void {
    if (this.#state.kind === 'connected' && this.#state.incoming.isRelieved) this.#state.channel.resume();
  }

  /** To be called a few times a second. */
  tick(): void {
    this.#broker.refreshNow();
    const nowMs = this.#world.monotonicMs();
    const state = this.#state;
    switch (state.kind) {
      case 'waiting':
        if (nowMs >= state.untilMs) this.#begin();
        break;
      case 'resting':
        if (this.#isUrged) this.#begin();
        break;
      case 'connecting':
        if (nowMs >= state.deadlineMs) this.#lose('it does not answer the CONNECT');
        break;
      case 'connected':
        this.#tickConnected(state, nowMs);
        break;
      case 'claiming':
      case 'dialling':
      case 'over':
        break;
      default:
        assertNever(state);
    }
    this.#reportFigures(nowMs);
  }

  // ----------------------------------------------------------------- towards a connection

  #apply(settings: BridgeSettings): void {
    this.#settings = settings;
    this.#nextSettings = null;
    this.#topics = new TopicMap(settings.topic);
    this.#addresses = new AddressList(settings.address, settings.roundRobin);
    this.#backoff = new Backoff(settings.restartTimeout, this.#world.random);
    this.#demands = firstDemands(settings);
    this.#local.change(settings, this.#topics);
  }

  /** Enough waits for a lazy bridge to connect. */
  get #isUrged(): boolean {
    const { startType, threshold } = this.#settings;
    return startType !== 'lazy' || (this.#local.session?.outbound.queuedCount ?? 0) >= threshold;
  }

  #begin(): void {
    if (this.#nextSettings !== null) {
      this.#apply(this.#nextSettings);
      this.#local.restartPacketIds();
    }
    const state: State = { kind: 'claiming' };
    this.#state = state;
    this.#local.claim(
      () => {
        if (this.#state !== state) return;
        this.#broker.refreshNow();
        if (this.#local.storesMessages) this.#local.open();
        if (this.#isUrged) this.#dial();
        else this.#rest();
      },
      (why) => {
        if (this.#state === state) this.#failed(why, 0);
      },
    );
  }

  #rest(): void {
    this.#state = { kind: 'resting' };
    this.#reportState(0);
  }

  #dial(): void {
    const address = this.#addresses.current;
    this.#log('notice', bridgeLines.connectingBridge(this.#settings.name, address.host, address.port));
    const giveUp = this.#world.uplink.open(
      this.#settings,
      address,
      (channel) => this.#opened(channel),
      (why) => {
        this.#broker.refreshNow();
        this.#failed(why, 0);
      },
    );
    this.#state = { kind: 'dialling', giveUp };
  }

  #opened(channel: Channel): void {
    const { broker, monotonicMs } = this.#world;
    broker.refreshNow();
    const packet = connectPacket(this.#settings, this.#demands, broker.settings.givenPacketSizeMax ?? 0);
    const remote: RemoteConnection = new RemoteConnection(packet, channel, broker.flushList, {
      connack: (connack) => this.#connack(connack),
      publish: (publication) => this.#traffic(({ incoming }) => incoming.publish(publication)),
      malformed: (message) => this.#traffic(({ incoming }) => incoming.drop(message)),
      acknowledged: (type, packetId, reasonCode) =>
        this.#traffic(({ end }) => end.acknowledged(type, packetId, reasonCode)),
      subscribed: (suback) => this.#subscribed(suback),
      disconnected: ({ reasonCode }) => {
        if (isAboutPackets(reasonCode)) this.#endedByOther();
        this.#lose(`it ends the connection: ${reasonText(reasonCode)}`);
      },
      failed: (why) => this.#lose(why),
    });
    this.#state = { kind: 'connecting', deadlineMs: monotonicMs() + CONNACK_TIMEOUT_MS, channel, remote };
    channel.serve({
      received: (buffer, length) => {
        try {
          broker.counters[Counter.bytesReceived]! += length;
          remote.receive(buffer, length, monotonicMs(), broker.refreshNow());
        } catch (error) {
          this.#broken(error);
        }
      },
      drained: () => {
        try {
          broker.refreshNow();
          remote.out.written();
          if (this.#state.kind === 'connected') this.#state.end.pump();
        } catch (error) {
          this.#broken(error);
        }
      },
      closed: (why, isTheirs) => {
        broker.refreshNow();
        if (isTheirs) this.#endedByOther();
        this.#lose(why === '' ? 'it closes the connection' : why);
      },
    });
    this.#log('debug', bridgeLines.bridgeSendingConnect(this.#settings.remoteClientid));
    remote.start(monotonicMs());
    channel.resume();
  }

  /** An exception that nobody expected came of what the other broker sends. @throws if the worker has to fall */
  #broken(error: unknown): void {
    const { host, port } = this.#addresses.current;
    const from = `${this.#settings.name} [${host}:${port}]`;
    this.#broker.guard.caught(error, { from, what: 'what comes over the bridge' });
    this.#lose('this broker failed over what it sends');
  }

  #connack(packet: ConnackPacket): void {
    const state = this.#state;
    if (state.kind !== 'connecting') return;
    this.#log('debug', bridgeLines.receivedConnack(this.#local.clientId));
    if (packet.reasonCode === 0) this.#connected(state, packet);
    else this.#refuse(packet);
  }

  /** Asks for less if that may help, and tries again later if it does not. */
  #refuse(packet: ConnackPacket): void {
    const { name } = this.#settings;
    const why = refusalText(packet, this.#demands.version);
    this.#log('error', bridgeLines.connectionRefused(why));
    const lesser = lesserDemands(this.#demands, packet);
    if (lesser === null) {
      this.#lose(`it refuses the connection: ${why}`);
      return;
    }
    if (lesser.version !== this.#demands.version) this.#log('warning', bridgeLines.remoteLacksVersion5(name));
    this.#demands = lesser;
    this.#abandon();
    this.#begin();
  }

  #connected({ channel, remote }: Line, connack: ConnackPacket): void {
    const nowMs = this.#world.monotonicMs();
    const { bridgeMaxPacketSize, bridgeMaxTopicAlias, cleansession } = this.#settings;
    const { maximumPacketSize = Number.MAX_SAFE_INTEGER, topicAliasMaximum = 0 } = connack.properties;
    remote.accept(connack, {
      packetSizeMax: Math.min(bridgeMaxPacketSize || Number.MAX_SAFE_INTEGER, maximumPacketSize),
      aliasesMax: Math.min(bridgeMaxTopicAlias, topicAliasMaximum),
    });
    const session = this.#local.open();
    // MQTT 3.1 does not say whether it remembers: only what was asked for is known.
    const isRemembered = remote.version === 3 ? !cleansession : connack.sessionPresent;
    if (!isRemembered) session.inbound.clear();
    const { broker } = this.#world;
    const incoming = new Incoming(
      broker,
      session,
      this.#topics,
      remote,
      (why) => this.#lose(why),
      (topic, fault) => this.#dropMalformed(topic, fault),
    );
    const end = new RemoteEnd({
      broker,
      settings: this.#settings,
      topics: this.#topics,
      demands: this.#demands,
      session,
      remote,
      incoming,
      connack,
      takenOver: () => this.#lose('a client of this broker has taken its local_clientid'),
      drained: () => this.#drained(),
      acknowledged: () => this.#stuck.acknowledged(),
      sendsSingly: this.#stuck.isSuspected,
      nowMs,
    });
    this.#state = { kind: 'connected', sinceMs: nowMs, channel, remote, end, incoming };
    this.#backlog = session.outbound.queuedCount + session.outbound.inflightCount;
    this.#report.notify(this.#settings, true);
    const { host, port } = this.#addresses.current;
    this.#log('notice', bridgeLines.bridgeConnected(this.#settings.name, host, port, this.#backlog));
    this.#isErrorLogged = false;
    this.#reportState(0);
    end.introduce();
    for (const { subscription, match } of this.#local.retained(session)) {
      end.addRetained(subscription, match);
    }
    this.#local.attach(session, end);
    end.pump();
  }

  /** Handles the received packets. If they went to busy workers, reads no more for now. */
  #traffic(work: (state: State & { kind: 'connected' }) => void): void {
    const state = this.#state;
    if (state.kind !== 'connected') return;
    state.end.lastTrafficMs = this.#world.monotonicMs();
    work(state);
    if (state.incoming.isCongested) state.channel.pause();
  }

  #subscribed({ reasonCodes }: SubackPacket): void {
    for (const reasonCode of reasonCodes) {
      if (reasonCode < 0x80) continue;
      const filters = this.#topics.remoteFilters.map(({ filter }) => filter).join(', ');
      const why = reasonText(reasonCode);
      this.#log('warning', bridgeLines.subscriptionRefused(this.#settings.name, filters, why));
    }
  }

  // ----------------------------------------------------------------- while connected

  #drained(): void {
    if (this.#state.kind !== 'connected') return;
    const seconds = Math.round((this.#world.monotonicMs() - this.#state.sinceMs) / 1000);
    this.#log('information', bridgeLines.backlogDrained(this.#settings.name, this.#backlog, seconds));
  }

  #tickConnected({ remote, end }: State & { kind: 'connected' }, nowMs: number): void {
    remote.tick(nowMs);
    if (this.#state.kind !== 'connected') return;
    end.tick(nowMs);
    const { startType, idleTimeout } = this.#settings;
    if (startType === 'lazy' && end.isIdle && nowMs - end.lastTrafficMs >= idleTimeout * 1000) {
      this.#log('notice', bridgeLines.idleTimeoutExceeded(this.#local.clientId));
      this.#leave();
      this.#begin();
      return;
    }
    if (this.#addresses.wantsProbe && this.#probe === null && nowMs - this.#probedAtMs >= PROBE_MS) {
      this.#probePrimary(nowMs);
    }
  }

  #probePrimary(nowMs: number): void {
    this.#probedAtMs = nowMs;
    const { host, port } = this.#addresses.primary;
    this.#probe = this.#world.uplink.probe(this.#settings, { host, port }, (listens) => {
      this.#probe = null;
      if (!listens || this.#state.kind !== 'connected') return;
      this.#broker.refreshNow();
      this.#log('notice', bridgeLines.primaryAnswersAgain(this.#settings.name, host, port));
      this.#addresses.backToPrimary();
      this.#leave();
      this.#begin();
    });
  }

  // ----------------------------------------------------------------- the end of a connection

  /** In good order. The other side's state topic says so too, which a DISCONNECT without a will would not. */
  #leave(): void {
    const state = this.#state;
    if (state.kind !== 'connected') return;
    state.end.notify('0');
    state.remote.disconnect();
    state.remote.close();
    state.channel.end();
    this.#disconnected(state, undefined);
    this.#state = { kind: 'over' };
  }

  /** The connection is lost, or did not come about. @param why a clause */
  #lose(why: string): void {
    const state = this.#state;
    if (state.kind !== 'connected' && state.kind !== 'connecting') return;
    const { host, port } = this.#addresses.current;
    state.remote.close();
    state.channel.destroy();
    let connectedMs = 0;
    if (state.kind === 'connected') {
      connectedMs = this.#world.monotonicMs() - state.sinceMs;
      this.#disconnected(state, why);
    }
    this.#failed(`${host}:${port}: ${why}`, connectedMs);
  }

  /** It may have done so because of a message: one that is the first at several ends in a row is dropped. */
  #endedByOther(): void {
    if (this.#state.kind !== 'connected') return;
    const first = this.#local.session?.outbound.firstUnacknowledged;
    if (!this.#stuck.ended(first) || first === undefined) return;
    const { name } = this.#settings;
    const { host, port } = this.#addresses.current;
    const message = first.publication!.toStored();
    this.#log('warning', bridgeLines.endsConnection(name, host, port, message.topic, this.#stuck.ends));
    this.#local.giveUp(message);
    this.#stuck.dropped();
    this.#endedConnection += 1;
    this.#broker.counters[Counter.publishDropped]! += 1;
  }

  #disconnected({ end, remote }: State & { kind: 'connected' }, reason: string | undefined): void {
    this.#broker.counters[Counter.bytesSent]! += remote.out.bytesWritten;
    this.#refused += end.refused;
    this.#local.detach();
    this.#report.notify(this.#settings, false);
    const { host: address, port } = this.#addresses.current;
    const { clientId } = this.#local;
    this.#log('notice', clientDisconnected({ clientId, address, port, reason }));
  }

  /** Gives up whatever is under way, without a word. */
  #abandon(): void {
    const state = this.#state;
    this.#probe?.();
    this.#probe = null;
    if (state.kind === 'dialling') state.giveUp();
    if (state.kind === 'connecting') {
      state.remote.close();
      state.channel.destroy();
    }
  }

  /** @param connectedMs how long the connection had stood; 0 = there was none */
  #failed(why: string, connectedMs: number): void {
    const { name, startType } = this.#settings;
    if (!this.#isErrorLogged || why !== this.#lastError) {
      const waiting = this.#local.session?.outbound.queuedCount ?? 0;
      this.#log('warning', bridgeLines.bridgeDown(name, why, waiting));
    }
    this.#lastError = why;
    this.#isErrorLogged = true;
    this.#addresses.moveOn();
    if (startType === 'once') {
      this.#state = { kind: 'over' };
      this.#reportState(0);
      return;
    }
    const { delayMs, wasStable } = this.#backoff.next(connectedMs);
    if (wasStable) this.#log('information', bridgeLines.stableEnough(name));
    this.#log('information', bridgeLines.nextBackoff(name, delayMs));
    this.#state = { kind: 'waiting', untilMs: this.#world.monotonicMs() + delayMs };
    this.#reportState(this.#broker.now + delayMs);
  }

  // ----------------------------------------------------------------- what is told

  #reportState(nextTryAt: number): void {
    this.#nextTryAt = nextTryAt;
    const connected = this.#state.kind === 'connected';
    this.#report.state({ connected, lastError: this.#lastError, nextTryAt });
  }

  #reportFigures(nowMs: number): void {
    const { session } = this.#local;
    const waitingMessages = session?.outbound.queuedCount ?? 0;
    this.#oldestAgeMs = this.#age.sample(session?.outbound.leftQueue ?? 0, waitingMessages, nowMs);
    if (nowMs - this.#reportedAtMs < this.#broker.settings.sysInterval * 1000) return;
    this.#reportedAtMs = nowMs;
    this.#report.figures(this.#figures());
    this.#logDropped(this.#droppedOnTheWay(), nowMs);
  }

  #figures(): BridgeFigures {
    const { session } = this.#local;
    const dropped = this.#droppedOnTheWay();
    return {
      waitingMessages: session?.outbound.queuedCount ?? 0,
      waitingBytes: session?.outbound.pendingBytes ?? 0,
      oldestAgeMs: this.#oldestAgeMs,
      dropped: {
        ...dropped,
        malformed: dropped.malformed + this.#malformed,
        'ends connection': this.#endedConnection,
      },
    };
  }

  #droppedOnTheWay() {
    const refused = this.#refused + (this.#state.kind === 'connected' ? this.#state.end.refused : 0);
    return { ...this.#local.dropCounts, refused };
  }

  /** For somebody who looks. */
  describe(): BridgeRow {
    const { name, address } = this.#settings;
    const { kind } = this.#state;
    return {
      name,
      addresses: address.map(({ host, port }) => `${host}:${port}`),
      connected: kind === 'connected',
      state: kind,
      lastError: this.#lastError === '' ? null : this.#lastError,
      nextTryAt: kind === 'waiting' && this.#nextTryAt !== 0 ? new Date(this.#nextTryAt).toISOString() : null,
      ...this.#figures(),
    };
  }

  /** The first one is named at once, then one each ten minutes. */
  #dropMalformed(topic: string, fault: string): void {
    const { counters } = this.#broker;
    counters[Counter.publishDropped]! += 1;
    this.#malformed += 1;
    const nowMs = this.#world.monotonicMs();
    if (nowMs - this.#malformedLoggedAtMs < DROPS_LOG_MS) return;
    this.#malformedLoggedAtMs = nowMs;
    const { host, port } = this.#addresses.current;
    this.#log(
      'warning',
      bridgeLines.malformedMessage(this.#settings.name, host, port, topic, fault, this.#malformed),
    );
  }

  /** The first drop at once, and further ones together: a full queue may drop for days. */
  #logDropped(dropped: Readonly<Record<string, number>>, nowMs: number): void {
    const count = Object.values(dropped).reduce((sum, one) => sum + one, 0);
    if (count === this.#loggedDrops || nowMs - this.#dropsLoggedAtMs < DROPS_LOG_MS) return;
    this.#loggedDrops = count;
    this.#dropsLoggedAtMs = nowMs;
    this.#log('warning', bridgeLines.bridgeDropped(this.#settings.name, dropped));
  }

  #log(type: 'error' | 'warning' | 'notice' | 'information' | 'debug', text: string): void {
    this.#broker.log.write(type, text);
  }
}
