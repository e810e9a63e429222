/**
 * One run of mosquitto_pub, mosquitto_sub or mosquitto_rr: connects, reconnects if the role wants it, passes events to
 * the role and ends the process with the right status. Each command has a role of its own.
 */

import { ClientConnection } from '../../client/client-connection.js';
import type { ClientEvent } from '../../client/client-events.js';
import { ClientSession } from '../../client/client-session.js';
import type { ConnackPacket, ConnectPacket, Properties } from '../../mqtt/packets.js';
import { ReasonCode } from '../../mqtt/reason-codes.js';
import { ClientLink } from '../../net/client-link.js';
import { type DialError, type DialTarget, dial } from '../../net/dial.js';
import { monotonicMs } from '../../system/monotonic-clock.js';
import type { ClientSettings } from './options/client-settings.js';
import { receivedLines, sentLines } from './output/debug-lines.js';
import {
  CONNECTION_LOST,
  connectionRefusal,
  dialFailure,
  ExitCode,
  KEEP_ALIVE_EXCEEDED,
  NOT_CONNECTED,
  PROTOCOL_ERROR,
} from './output/failure-texts.js';
import { flushOutput, print, printError } from './output/stdio.js';

/** The part of a command that is its own. */
export interface ClientRole {
  /** Whether a lost connection is made again. */
  readonly reconnects: boolean;
  /** The line after the reason if the broker refuses the connection. */
  refusalComment?(packet: ConnackPacket): string;
  /** Called after each successful CONNACK. */
  connected(): void;
  /** Called for every other event of the connection. */
  received(event: ClientEvent): void;
}

const RECONNECT_MS = 1000;

export class ClientRun {
  readonly settings: ClientSettings;
  readonly session = new ClientSession();
  /** Called when the transport to the broker is open for the first time, before the CONNECT. */
  opened: (() => void) | undefined;
  readonly #connect: ConnectPacket;
  readonly #target: DialTarget;
  readonly #disconnectProperties: Properties;
  #role: ClientRole | undefined;
  #connection: ClientConnection | undefined;
  #link: ClientLink | undefined;
  #clientId: string;
  /** Whether there was a connection before. */
  #wasConnected = false;
  #ending = false;

  constructor(
    settings: ClientSettings,
    plan: { connect: ConnectPacket; target: DialTarget; disconnectProperties: Properties },
  ) {
    this.settings = settings;
    this.#connect = plan.connect;
    this.#target = plan.target;
    this.#disconnectProperties = plan.disconnectProperties;
    this.#clientId = plan.connect.clientId;
  }

  /** @param role passed here, because making it needs this run */
  start(role: ClientRole): void {
    this.#role = role;
    this.#dial();
  }

  /** Whether the transport to the broker is open, before or after the CONNACK. */
  get isOpen(): boolean {
    return this.#link !== undefined && !this.#link.isClosed;
  }

  /** The current connection. Valid while a method of the role runs, or while `isConnected`. */
  get connection(): ClientConnection {
    return this.#connection!;
  }

  get isConnected(): boolean {
    return this.#connection?.isConnected ?? false;
  }

  /** The current link; valid as `connection` is. */
  get link(): ClientLink {
    return this.#link!;
  }

  /** Sends DISCONNECT, and ends the process when it has left. */
  disconnect(exitCode: number, reasonCode: number = ReasonCode.normalDisconnection): void {
    if (this.#ending) return;
    this.#ending = true;
    const properties = this.#connect.version === 5 ? this.#disconnectProperties : {};
    this.connection.disconnect(reasonCode, properties, monotonicMs());
    this.link.end(() => exit(exitCode));
  }

  /** Ends the process at once, with an error. */
  fail(text: string, exitCode: number): void {
    if (this.#ending) return;
    this.#ending = true;
    this.error(text);
    this.#link?.destroy();
    exit(exitCode);
  }

  /** Prints an error line, unless `--quiet` is given. */
  error(text: string): void {
    if (!this.settings.quiet) printError(text);
  }

  #dial(): void {
    dial(this.#target).then(
      (stream) => {
        if (this.#ending) return;
        this.#open(stream);
      },
      (error) => this.#dialFailed(error),
    );
  }

  #open(stream: ConstructorParameters<typeof ClientLink>[0]): void {
    const options = {
      connect: this.#connect,
      inFlightMax: this.settings.inFlightMax,
      trace: this.settings.debug,
    };
    const connection = new ClientConnection(options, this.session, (event) => this.#event(event));
    this.#connection = connection;
    this.#link = new ClientLink(stream, connection, () => this.#closed());
    if (!this.#wasConnected) this.opened?.();
    this.#link.start();
  }

  #dialFailed(error: DialError): void {
    if (this.#wasConnected && this.#role!.reconnects) {
      this.#reconnectLater();
      return;
    }
    if (this.settings.debug && error.stage === 'tls') print(`OpenSSL Error: ${error.message}\n`);
    const { text, exitCode } = dialFailure(error);
    this.fail(text, exitCode);
  }

  #closed(): void {
    if (this.#ending) return;
    if (this.#role!.reconnects) this.#reconnectLater();
    else this.fail(CONNECTION_LOST, ExitCode.connectionLost);
  }

  #reconnectLater(): void {
    this.#wasConnected = true;
    setTimeout(() => {
      if (!this.#ending) this.#dial();
    }, RECONNECT_MS);
  }

  #event(event: ClientEvent): void {
    switch (event.kind) {
      case 'sent':
        this.#debug(sentLines(event.packet, this.#clientId));
        return;
      case 'received':
        this.#debugReceived(event.packet);
        return;
      case 'connected':
        this.#wasConnected = true;
        this.#role!.connected();
        return;
      case 'refused':
        this.#refused(event.packet);
        return;
      case 'failed':
        this.#failed(event.fault);
        return;
      case 'disconnected':
        this.#disconnected();
        return;
      default:
        if (!this.#ending) this.#role!.received(event);
    }
  }

  #debugReceived(packet: Extract<ClientEvent, { kind: 'received' }>['packet']): void {
    if (packet.type === 'connack') {
      this.#clientId = packet.properties.assignedClientIdentifier ?? this.#clientId;
    }
    this.#debug(receivedLines(packet, this.#clientId));
  }

  #debug(lines: string[]): void {
    for (const line of lines) print(`${line}\n`);
  }

  #refused(packet: ConnackPacket): void {
    const { text, exitCode } = connectionRefusal(packet, this.#connect.version, this.settings.program);
    this.error(text);
    const comment = this.#role!.refusalComment?.(packet);
    if (comment !== undefined) this.error(comment);
    this.#ending = true;
    this.link.end(() => exit(exitCode));
  }

  #failed(fault: Extract<ClientEvent, { kind: 'failed' }>['fault']): void {
    if (fault === 'protocol-error') {
      this.error(PROTOCOL_ERROR);
      this.#ending = true;
      this.link.end(() => exit(ExitCode.protocolError));
    } else if (this.#role!.reconnects) {
      this.link.destroy();
      this.#reconnectLater();
    } else {
      this.fail(KEEP_ALIVE_EXCEEDED, ExitCode.keepAlive);
    }
  }

  /** The broker sent DISCONNECT: an ordinary end for a subscriber, a failure for a publisher. */
  #disconnected(): void {
    if (this.settings.program === 'mosquitto_pub') {
      this.fail(NOT_CONNECTED, ExitCode.notConnected);
      return;
    }
    this.#ending = true;
    this.link.destroy();
    exit(0);
  }
}

function exit(exitCode: number): never {
  flushOutput();
  process.exit(exitCode);
}
