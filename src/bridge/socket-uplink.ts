/** The way to the other broker over real sockets: names, TCP, TLS, all of it asynchronous and bounded in time. */
import { connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { BridgeAddress } from '../config/option-types.js';
import type { BridgeSettings } from '../config/settings.js';
import { type DialError, dial } from '../net/dial.js';
import type { TlsTarget } from '../net/dial-tls.js';
import { setTcpOptions } from '../net/socket-options.js';
import { LINGER_MS } from '../net/time-limits.js';
import { cLibraryErrorText } from '../system/system-error.js';
import { bridgeTlsTarget } from './bridge-tls.js';
import { dialFailureText } from './dial-failure.js';
import { OPEN_TIMEOUT_MS, PROBE_TIMEOUT_MS } from './time-limits.js';
import type { Channel, ChannelEvents, Uplink } from './uplink.js';

export const socketUplink: Uplink = {
  open(settings, address, opened, failed) {
    const attempt = new Attempt(settings, address, opened, failed);
    return () => attempt.giveUp();
  },

  probe(settings, { host, port }, answer) {
    const { bridgeBindAddress } = settings;
    const local = bridgeBindAddress === undefined ? {} : { localAddress: bridgeBindAddress };
    const socket = connect({ host, port, ...local });
    const finish = (listens: boolean): void => {
      if (socket.destroyed) return;
      clearTimeout(timer);
      socket.destroy();
      answer(listens);
    };
    const timer = setTimeout(() => finish(false), PROBE_TIMEOUT_MS);
    socket.once('connect', () => finish(true));
    socket.on('error', () => {
      clearTimeout(timer);
      answer(false);
    });
    return () => {
      clearTimeout(timer);
      socket.removeAllListeners().on('error', () => {});
      socket.destroy();
    };
  },
};

/** One attempt to open a connection. */
class Attempt {
  #socket: Socket | undefined;
  #isOver = false;
  readonly #timer: NodeJS.Timeout;

  constructor(
    settings: BridgeSettings,
    address: BridgeAddress,
    opened: (channel: Channel) => void,
    failed: (why: string) => void,
  ) {
    this.#timer = setTimeout(() => {
      this.giveUp();
      failed(`${address.host}:${address.port} does not answer`);
    }, OPEN_TIMEOUT_MS);
    this.#dial(settings, address).then(
      (stream) => {
        if (this.#isOver) stream.destroy();
        else this.#end(() => opened(new StreamChannel(stream)));
      },
      (error: DialError | Error) => {
        if (!this.#isOver)
          this.#end(() => failed(dialFailureText(error, address, settings.bridgeBindAddress)));
      },
    );
  }

  giveUp(): void {
    this.#end(() => this.#socket?.destroy());
  }

  #end(then: () => void): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
    then();
  }

  async #dial(settings: BridgeSettings, { host, port }: BridgeAddress): Promise<Duplex> {
    // Read again each time: certificates are renewed while a bridge runs.
    const tls: TlsTarget | undefined = await bridgeTlsTarget(settings);
    return dial({
      host,
      port,
      bindAddress: settings.bridgeBindAddress,
      noDelay: true,
      tls,
      onSocket: (socket) => this.#setUp(socket, settings),
    });
  }

  #setUp(socket: Socket, settings: BridgeSettings): void {
    this.#socket = socket;
    // Errors reach whoever reads the stream; a socket under TLS that is given up has nobody else to tell.
    socket.on('error', () => {});
    socket.once('connect', () =>
      setTcpOptions(socket, settings.bridgeTcpKeepalive, settings.bridgeTcpUserTimeout),
    );
  }
}

class StreamChannel implements Channel {
  readonly #stream: Duplex;
  #events: ChannelEvents | null = null;
  #why = '';
  #isTheirs = true;
  /** The write that has to be over before there can be another. */
  #pending: object | null = null;

  constructor(stream: Duplex) {
    this.#stream = stream;
    stream.pause();
    stream.on('error', (error: NodeJS.ErrnoException) => {
      this.#why = cLibraryErrorText(error);
      this.#isTheirs = error.code === 'ECONNRESET' || error.code === 'EPIPE';
    });
    stream.on('end', () => this.#closed());
    stream.on('close', () => this.#closed());
  }

  serve(events: ChannelEvents): void {
    this.#events = events;
    if (this.#stream.destroyed) setImmediate(() => this.#closed());
    this.#stream.on('data', (chunk: Buffer) => this.#events?.received(chunk, chunk.length));
  }

  write(chunk: Buffer, length: number): boolean {
    const stream = this.#stream;
    if (stream.destroyed || stream.writableEnded) return true;
    const write = {};
    stream.write(chunk.subarray(0, length), () => this.#written(write));
    if (stream.writableLength === 0) return true;
    this.#pending = write;
    return false;
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  end(): void {
    const stream = this.#stream;
    this.#events = null;
    stream.end(() => stream.destroy());
    setTimeout(() => stream.destroy(), LINGER_MS).unref();
  }

  destroy(): void {
    this.#events = null;
    this.#stream.destroy();
  }

  #written(write: object): void {
    if (this.#pending !== write) return;
    this.#pending = null;
    this.#events?.drained();
  }

  #closed(): void {
    const events = this.#events;
    this.#events = null;
    this.#stream.destroy();
    events?.closed(this.#why, this.#isTheirs);
  }
}
