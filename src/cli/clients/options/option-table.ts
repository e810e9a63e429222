/**
 * The options of mosquitto_pub, mosquitto_sub and mosquitto_rr: the one place that knows them. The parser, the usage
 * text and the shell completions follow from this table.
 */
import type { ProtocolVersion, Qos } from '../../../mqtt/packets.js';
import { isValidTopicFilter } from '../../../topic/topic-filter.js';
import { isValidTopicNameText } from '../../../topic/topic-name.js';
import { leadingInteger, leadingNumber } from '../c-numbers.js';
import { isPacketString, textBytes } from './argument-text.js';
import { applyBrokerUrl, parseProxyUrl } from './broker-url.js';
import type { ClientSettings, MessageSource, SessionExpiry } from './client-settings.js';
import { UsageError } from './usage-error.js';

export interface OptionArgument {
  /** In the usage text: `HOST`. */
  name: string;
  /** The noun in "argument given but no … specified". */
  what: string;
  /** The values that a shell's completion offers. */
  complete?: 'file' | 'directory' | readonly string[];
}

export interface OptionRow {
  short?: string;
  long?: string;
  /** P = mosquitto_pub, S = mosquitto_sub, R = mosquitto_rr. */
  clients: string;
  /** Absent for an option without a value. `properties`: three words or four follow, see `takePropertyOption`. */
  argument?: OptionArgument | 'properties';
  /** The option's name in error messages. Default: the short name, even if the long one was used [mosq: observed]. */
  shownAs?: string;
  /** The error text for a missing argument, if it is not the usual one. */
  missing?: string;
  /** One sentence for the usage text and the completions. */
  help: string;
  /** The first Mosquitto release with the option; absent: 1.4 or earlier. */
  since?: '1.5' | '1.6' | '2.0' | '2.1';
  /** @throws UsageError */
  set?: (settings: ClientSettings, value: string) => void;
}

/** `--help` and `--version` are left to the program. */
export const OPTION_TABLE: readonly OptionRow[] = [
  {
    short: '-A',
    clients: 'PSR',
    argument: { name: 'ADDRESS', what: 'address' },
    help: 'Connect from this local address.',
    set: (settings, value) => {
      settings.bindAddress = value;
    },
  },
  {
    short: '-C',
    clients: 'SR',
    argument: { name: 'COUNT', what: 'count' },
    help: 'End after this many messages.',
    set: (settings, value) => {
      const count = leadingInteger(value);
      if (count < 1) throw new UsageError(`Error: Invalid message count "${count}".`);
      settings.messageCount = count;
    },
  },
  {
    short: '-c',
    long: '--disable-clean-session',
    clients: 'PSR',
    help: 'Continue the session that the broker keeps for the client id (needs -i).',
    set: (settings) => {
      settings.cleanSession = false;
    },
  },
  {
    short: '-D',
    long: '--property',
    clients: 'PSR',
    argument: 'properties',
    help: 'Add an MQTT v5 property to a packet: -D COMMAND NAME VALUE. Selects MQTT v5.',
    since: '1.6',
  },
  {
    short: '-d',
    long: '--debug',
    clients: 'PSR',
    help: 'Show the packets that are sent and received.',
    set: (settings) => {
      settings.debug = true;
    },
  },
  {
    short: '-E',
    clients: 'S',
    help: 'End as soon as the broker has confirmed the subscriptions.',
    since: '1.6',
    set: (settings) => {
      settings.exitAfterSubscribing = true;
    },
  },
  {
    short: '-e',
    clients: 'R',
    argument: { name: 'TOPIC', what: 'response topic' },
    help: 'The topic on which the response is expected.',
    since: '1.6',
    set: (settings, value) => {
      settings.responseTopic = topicName(value, '-e', 'response');
    },
  },
  {
    short: '-F',
    clients: 'SR',
    argument: { name: 'FORMAT', what: 'format' },
    help: 'Print messages in this format, such as "%I %t %p".',
    since: '1.5',
    set: (settings, value) => {
      settings.format = value;
    },
  },
  {
    short: '-f',
    long: '--file',
    clients: 'PR',
    argument: { name: 'FILE', what: 'file', complete: 'file' },
    help: 'Publish the content of a file.',
    set: (settings, value) => chooseMessage(settings, { kind: 'file', path: value }),
  },
  {
    short: '-h',
    long: '--host',
    clients: 'PSR',
    argument: { name: 'HOST', what: 'host' },
    help: 'The broker to connect to (default: localhost).',
    set: (settings, value) => {
      settings.host = value;
    },
  },
  {
    short: '-I',
    long: '--id-prefix',
    clients: 'PSR',
    argument: { name: 'PREFIX', what: 'id prefix' },
    help: 'Make the client id of this text and the process id.',
    set: (settings, value) => {
      if (settings.clientId !== undefined) throw bothIds();
      checkUtf8(value, '-I');
      settings.idPrefix = value;
    },
  },
  {
    short: '-i',
    long: '--id',
    clients: 'PSR',
    argument: { name: 'ID', what: 'id' },
    help: 'The client id (default: the broker gives one).',
    set: (settings, value) => {
      if (settings.idPrefix !== undefined) throw bothIds();
      checkUtf8(value, '-i');
      settings.clientId = value;
    },
  },
  {
    short: '-k',
    long: '--keepalive',
    clients: 'PSR',
    argument: { name: 'SECONDS', what: 'keepalive' },
    help: 'Show the broker a sign of life at least this often, 5 to 65535 (default: 60).',
    set: (settings, value) => {
      settings.keepAlive = leadingInteger(value);
      if (settings.keepAlive >= 5 && settings.keepAlive <= 65535) return;
      throw new UsageError('Error: Invalid keepalive given, it must be between 5 and 65535 inclusive.');
    },
  },
  {
    short: '-L',
    long: '--url',
    clients: 'PSR',
    argument: { name: 'URL', what: 'URL' },
    help: 'Broker and topic in one: mqtt[s]|ws[s]://[USER[:PASSWORD]@]HOST[:PORT]/TOPIC.',
    since: '1.5',
    set: (settings, value) => {
      const topic = applyBrokerUrl(settings, value);
      addTopic(settings, topic, '-L topic');
    },
  },
  {
    short: '-l',
    long: '--stdin-line',
    clients: 'P',
    help: 'Publish each line of standard input as a message.',
    set: (settings) => chooseMessage(settings, { kind: 'stdin-lines' }),
  },
  {
    short: '-M',
    clients: 'PSR',
    argument: { name: 'COUNT', what: '' },
    missing: 'Error: -M argument given but max_inflight not specified.',
    help: 'How many QoS 1 and 2 messages may be under way at once (default: 20).',
    set: (settings, value) => {
      settings.inFlightMax = leadingInteger(value);
      if (settings.inFlightMax >= 1) return;
      throw new UsageError('Error: Maximum inflight messages must be greater than 0.');
    },
  },
  {
    short: '-m',
    long: '--message',
    clients: 'PR',
    argument: { name: 'TEXT', what: 'message' },
    help: 'The message to publish.',
    set: (settings, value) => chooseMessage(settings, { kind: 'text', payload: textBytes(value) }),
  },
  {
    short: '-N',
    clients: 'SR',
    help: 'Print no newline after a message.',
    set: (settings) => {
      settings.noNewline = true;
    },
  },
  {
    short: '-n',
    long: '--null-message',
    clients: 'PR',
    help: 'Publish a message without payload; with -r it removes the retained message.',
    set: (settings) => chooseMessage(settings, { kind: 'empty' }),
  },
  {
    short: '-o',
    clients: 'PSR',
    argument: { name: 'FILE', what: 'options file', complete: 'file' },
    help: 'Read options from this file instead of the usual one.',
    since: '2.1',
    // The file was read before the command line.
    set: () => {},
  },
  {
    short: '-P',
    long: '--pw',
    clients: 'PSR',
    argument: { name: 'PASSWORD', what: 'password' },
    help: 'The password.',
    set: (settings, value) => {
      settings.password = textBytes(value);
    },
  },
  {
    short: '-p',
    long: '--port',
    clients: 'PSR',
    argument: { name: 'PORT', what: 'port' },
    help: 'The port to connect to (default: 1883, with --cafile, --capath or --psk 8883).',
    set: (settings, value) => {
      const port = leadingInteger(value);
      if (port < 0 || port > 65535) {
        throw new UsageError(`Error: Invalid port given: ${port}`, 'one-blank-line');
      }
      settings.port = port;
    },
  },
  {
    short: '-q',
    long: '--qos',
    clients: 'PSR',
    argument: { name: 'QOS', what: 'QoS', complete: ['0', '1', '2'] },
    help: 'The quality of service, 0 to 2 (default: 0).',
    set: (settings, value) => {
      const qos = leadingInteger(value);
      if (!isQos(qos)) throw new UsageError(`Error: Invalid QoS given: ${qos}`, 'one-blank-line');
      settings.qos = qos;
    },
  },
  {
    short: '-R',
    clients: 'SR',
    help: 'Leave retained messages out.',
    set: (settings) => {
      settings.noRetained = true;
      settings.retainHandling = 2;
    },
  },
  {
    short: '-r',
    long: '--retain',
    clients: 'P',
    help: 'Have the broker keep the message for later subscribers.',
    set: (settings) => {
      settings.retain = true;
    },
  },
  {
    short: '-s',
    long: '--stdin-file',
    clients: 'PR',
    help: 'Publish all of standard input as one message.',
    set: (settings) => chooseMessage(settings, { kind: 'stdin' }),
  },
  {
    short: '-T',
    long: '--filter-out',
    clients: 'S',
    argument: { name: 'FILTER', what: 'topic filter' },
    help: 'Leave out messages whose topic matches; may be repeated.',
    set: (settings, value) => {
      settings.filterOut.push(topicFilter(value, '-T', 'filter'));
    },
  },
  {
    short: '-t',
    long: '--topic',
    clients: 'PSR',
    argument: { name: 'TOPIC', what: 'topic' },
    help: 'The topic to publish to, or a filter to subscribe to (repeatable then).',
    set: (settings, value) => addTopic(settings, value, '-t'),
  },
  {
    short: '-U',
    long: '--unsubscribe',
    clients: 'S',
    argument: { name: 'FILTER', what: 'unsubscribe topic' },
    help: 'End a subscription that the session has; may be repeated.',
    since: '1.5',
    set: (settings, value) => {
      settings.unsubscribeFilters.push(topicFilter(value, '-U', 'unsubscribe'));
    },
  },
  {
    short: '-u',
    long: '--username',
    clients: 'PSR',
    argument: { name: 'NAME', what: 'username' },
    help: 'The user name.',
    set: (settings, value) => {
      settings.username = value;
    },
  },
  {
    short: '-V',
    long: '--protocol-version',
    shownAs: '--protocol-version',
    clients: 'PSR',
    argument: {
      name: 'VERSION',
      what: 'version',
      complete: ['mqttv31', 'mqttv311', 'mqttv5', '31', '311', '5'],
    },
    help: 'The version of MQTT: mqttv31, mqttv311 or mqttv5 (default: mqttv311, mosquitto_rr: mqttv5).',
    set: (settings, value) => {
      settings.version = protocolVersion(value);
    },
  },
  {
    short: '-v',
    long: '--verbose',
    clients: 'SR',
    help: 'Print the topic before the message.',
    set: (settings) => {
      settings.verbose = true;
    },
  },
  {
    short: '-W',
    clients: 'SR',
    argument: { name: 'SECONDS', what: 'timeout' },
    help: 'End with status 27 after this time.',
    since: '1.5',
    set: (settings, value) => {
      const seconds = leadingInteger(value);
      if (seconds < 1) throw new UsageError(`Error: Invalid timeout "${seconds}".`);
      settings.timeoutSeconds = seconds;
    },
  },
  {
    short: '-w',
    long: '--watch',
    clients: 'S',
    help: 'Give each topic a line of the screen and print its messages there.',
    since: '2.1',
    set: (settings) => {
      settings.watch = true;
    },
  },
  {
    short: '-x',
    clients: 'PSR',
    argument: { name: 'SECONDS', what: 'session expiry interval' },
    help: 'How long the broker keeps the session; -1 or ∞ for ever. Selects MQTT v5.',
    since: '2.0',
    set: (settings, value) => {
      settings.sessionExpiry = sessionExpiry(value);
      settings.version = 5;
    },
  },
  {
    long: '--cafile',
    clients: 'PSR',
    argument: { name: 'FILE', what: 'file', complete: 'file' },
    help: 'Use TLS and trust the authorities in this file.',
    set: (settings, value) => {
      settings.tls.caFile = value;
    },
  },
  {
    long: '--capath',
    clients: 'PSR',
    argument: { name: 'DIRECTORY', what: 'directory', complete: 'directory' },
    help: 'Use TLS and trust the authorities in this directory (made with openssl rehash).',
    set: (settings, value) => {
      settings.tls.caPath = value;
    },
  },
  {
    long: '--cert',
    clients: 'PSR',
    argument: { name: 'FILE', what: 'file', complete: 'file' },
    help: 'The certificate of this client.',
    set: (settings, value) => {
      settings.tls.certFile = value;
    },
  },
  {
    long: '--key',
    clients: 'PSR',
    argument: { name: 'FILE', what: 'file', complete: 'file' },
    help: "The certificate's private key.",
    set: (settings, value) => {
      settings.tls.keyFile = value;
    },
  },
  {
    long: '--keyform',
    clients: 'PSR',
    argument: { name: 'FORM', what: 'keyform', complete: ['pem', 'engine'] },
    help: 'Whether --key is a PEM file or the name of a key in the engine.',
    since: '1.6',
    set: (settings, value) => {
      settings.tls.keyForm = value;
    },
  },
  {
    long: '--ciphers',
    clients: 'PSR',
    argument: { name: 'LIST', what: 'ciphers' },
    help: 'The TLS ciphers to offer, as OpenSSL names them.',
    set: (settings, value) => {
      settings.tls.ciphers = value;
    },
  },
  {
    long: '--insecure',
    clients: 'PSR',
    help: "Do not check the server's certificate. For tests only.",
    set: (settings) => {
      settings.tls.insecure = true;
    },
  },
  {
    long: '--tls-version',
    clients: 'PSR',
    argument: { name: 'VERSION', what: 'version', complete: ['tlsv1.2', 'tlsv1.3'] },
    help: 'The version of TLS: tlsv1.2 or tlsv1.3.',
    set: (settings, value) => {
      settings.tls.version = value;
    },
  },
  {
    long: '--tls-alpn',
    clients: 'PSR',
    argument: { name: 'PROTOCOL', what: 'protocol' },
    help: 'The application protocol to ask for (ALPN).',
    since: '1.6',
    set: (settings, value) => {
      settings.tls.alpn = value;
    },
  },
  {
    long: '--tls-engine',
    clients: 'PSR',
    argument: { name: 'ENGINE', what: 'engine_id' },
    help: 'The OpenSSL engine to use.',
    since: '1.6',
    set: (settings, value) => {
      settings.tls.engine = value;
    },
  },
  {
    long: '--tls-engine-kpass-sha1',
    clients: 'PSR',
    argument: { name: 'SHA1', what: 'kpass sha1' },
    help: "The SHA1 of the password of the engine's key, 40 hexadecimal digits.",
    since: '1.6',
    set: (settings, value) => {
      settings.tls.engineKeyPasswordSha1 = value;
    },
  },
  {
    long: '--tls-use-os-certs',
    clients: 'PSR',
    help: 'Use TLS and trust the authorities of the system.',
    since: '2.0',
    set: (settings) => {
      settings.tls.useOsCerts = true;
    },
  },
  {
    long: '--tls-keylog',
    clients: 'PSR',
    argument: { name: 'FILE', what: 'file', complete: 'file' },
    help: "Write the connection's secrets to this file, for network analysers.",
    since: '2.1',
    set: (settings, value) => {
      settings.tls.keyLogFile = value;
    },
  },
  {
    long: '--no-tls',
    clients: 'PSR',
    help: 'Use no TLS, whatever other options say.',
    since: '2.1',
    set: (settings) => {
      settings.tls.off = true;
    },
  },
  {
    long: '--psk',
    clients: 'PSR',
    argument: { name: 'HEX', what: 'key' },
    help: 'Use TLS with this pre-shared key, hexadecimal.',
    set: (settings, value) => {
      settings.tls.psk = value;
    },
  },
  {
    long: '--psk-identity',
    clients: 'PSR',
    argument: { name: 'NAME', what: 'identity' },
    help: 'The name under which the broker knows the pre-shared key.',
    set: (settings, value) => {
      settings.tls.pskIdentity = value;
    },
  },
  {
    long: '--proxy',
    clients: 'PSR',
    argument: { name: 'URL', what: 'proxy url' },
    help: 'Connect through a proxy: socks5h://[USER[:PASSWORD]@]HOST[:PORT].',
    set: (settings, value) => {
      settings.proxy = parseProxyUrl(value);
    },
  },
  {
    long: '--unix',
    clients: 'PSR',
    argument: { name: 'PATH', what: 'socket path', complete: 'file' },
    help: 'Connect to a unix domain socket.',
    since: '2.0',
    set: (settings, value) => {
      settings.unixSocket = value;
    },
  },
  {
    long: '--ws',
    clients: 'PSR',
    help: 'Connect by WebSockets.',
    since: '2.1',
    set: (settings) => {
      settings.webSocket = true;
    },
  },
  {
    long: '--nodelay',
    clients: 'PSR',
    help: 'Send small packets at once (TCP_NODELAY).',
    since: '2.0',
    set: (settings) => {
      settings.noDelay = true;
    },
  },
  {
    long: '--quiet',
    clients: 'PSR',
    help: 'Print no errors once the options are understood.',
    set: (settings) => {
      settings.quiet = true;
    },
  },
  {
    long: '--will-topic',
    clients: 'PSR',
    argument: { name: 'TOPIC', what: 'will topic' },
    help: 'The topic of the message that the broker publishes when the connection is lost.',
    set: (settings, value) => {
      settings.will.topic = topicName(value, '--will-topic', 'will');
    },
  },
  {
    long: '--will-payload',
    clients: 'PSR',
    argument: { name: 'TEXT', what: 'will payload' },
    help: 'Its payload (default: empty).',
    set: (settings, value) => {
      settings.will.payload = textBytes(value);
    },
  },
  {
    long: '--will-qos',
    clients: 'PSR',
    argument: { name: 'QOS', what: 'will QoS', complete: ['0', '1', '2'] },
    help: 'Its quality of service (default: 0).',
    set: (settings, value) => {
      const qos = leadingInteger(value);
      if (!isQos(qos)) throw new UsageError(`Error: Invalid will QoS ${qos}.`);
      settings.will.qos = qos;
    },
  },
  {
    long: '--will-retain',
    clients: 'PSR',
    help: 'Have the broker keep it.',
    set: (settings) => {
      settings.will.retain = true;
    },
  },
  {
    long: '--repeat',
    clients: 'P',
    argument: { name: 'COUNT', what: 'count' },
    help: 'Publish the message this many times (default: 1).',
    since: '1.6',
    set: (settings, value) => {
      settings.repeat = leadingInteger(value);
      if (settings.repeat < 1) throw new UsageError('Error: --repeat argument must be >0.');
    },
  },
  {
    long: '--repeat-delay',
    clients: 'P',
    argument: { name: 'SECONDS', what: 'time' },
    help: 'Pause between repetitions, fractions allowed.',
    since: '1.6',
    set: (settings, value) => {
      settings.repeatDelayMs = leadingNumber(value) * 1000;
      if (settings.repeatDelayMs < 0) throw new UsageError('Error: --repeat-delay argument must be >=0.0.');
    },
  },
  {
    long: '--pretty',
    clients: 'SR',
    help: 'Print JSON (%j and %J) one member a line.',
    since: '2.0',
    set: (settings) => {
      settings.pretty = true;
    },
  },
  {
    long: '--random-filter',
    clients: 'S',
    argument: { name: 'PERCENT', what: 'chance' },
    help: 'Print this share of the messages, chosen at random, 0.1 to 100.',
    since: '2.0',
    set: (settings, value) => {
      const percent = leadingNumber(value);
      if (percent < 0.1 || percent > 100) {
        throw new UsageError('Error: --random-filter chance must be between 0.1-100.0');
      }
      settings.randomFilter = percent;
    },
  },
  {
    long: '--message-rate',
    clients: 'S',
    help: 'Print the number of messages each second instead of the messages.',
    since: '2.1',
    set: (settings) => {
      settings.messageRate = true;
    },
  },
  {
    long: '--remove-retained',
    clients: 'S',
    help: 'Remove the retained messages that arrive from the broker.',
    since: '1.6',
    set: (settings) => {
      settings.removeRetained = true;
    },
  },
  {
    long: '--retained-only',
    clients: 'S',
    help: 'Print retained messages only, and end at the first that is not.',
    since: '1.5',
    set: (settings) => {
      settings.retainedOnly = true;
    },
  },
  {
    long: '--retain-as-published',
    clients: 'SR',
    help: 'Have messages keep the retain flag of their publisher (MQTT v5).',
    since: '1.6',
    set: (settings) => {
      settings.retainAsPublished = true;
    },
  },
  {
    long: '--retain-handling',
    clients: 'SR',
    argument: { name: 'WHEN', what: 'option', complete: ['always', 'new', 'never'] },
    help: 'When the broker sends retained messages on subscribing: always, new or never (MQTT v5).',
    since: '2.1',
    set: (settings, value) => {
      const handling = RETAIN_HANDLINGS.get(value);
      if (handling === undefined) {
        throw new UsageError(`Error: Unknown value '${value}' for --retain-handling.`);
      }
      settings.retainHandling = handling;
    },
  },
  {
    long: '--latency',
    clients: 'R',
    help: 'Print the time between request and response.',
    since: '2.1',
    set: (settings) => {
      settings.latency = true;
    },
  },
  { long: '--help', clients: 'PSR', help: 'Show this text.' },
  { long: '--version', clients: 'PSR', help: 'Show the version.', since: '2.0' },
];

const RETAIN_HANDLINGS: ReadonlyMap<string, 0 | 1 | 2> = new Map([
  ['always', 0],
  ['new', 1],
  ['never', 2],
]);

const PROTOCOL_VERSIONS: ReadonlyMap<string, ProtocolVersion> = new Map([
  ['mqttv31', 3],
  ['31', 3],
  ['mqttv311', 4],
  ['311', 4],
  ['mqttv5', 5],
  ['5', 5],
]);

function protocolVersion(value: string): ProtocolVersion {
  const version = PROTOCOL_VERSIONS.get(value);
  if (version === undefined) throw new UsageError('Error: Invalid protocol version argument given.');
  return version;
}

const SESSION_EXPIRY_NEVER = 0xffffffff;

function sessionExpiry(value: string): SessionExpiry {
  if (value === '∞') return 'never';
  if (!/^\s*[+-]?\d+$/.test(value)) throw new UsageError('Error: session-expiry-interval not a number.');
  const seconds = Number(value);
  if (seconds === -1 || seconds === SESSION_EXPIRY_NEVER) return 'never';
  if (seconds >= 0 && seconds < SESSION_EXPIRY_NEVER) return seconds;
  throw new UsageError('Error: session-expiry-interval out of range.');
}

function isQos(value: number): value is Qos {
  return value >= 0 && value <= 2;
}

function bothIds(): UsageError {
  return new UsageError('Error: -i and -I argument cannot be used together.');
}

function chooseMessage(settings: ClientSettings, message: MessageSource): void {
  if (settings.message !== undefined) {
    throw new UsageError('Error: Only one type of message can be sent at once.');
  }
  settings.message = message;
}

/** A filter for mosquitto_sub, a name for the others. */
function addTopic(settings: ClientSettings, topic: string, argument: string): void {
  const isFilter = settings.program === 'mosquitto_sub';
  settings.topics.push(
    isFilter ? topicFilter(topic, argument, 'subscription') : topicName(topic, argument, 'publish'),
  );
}

function topicName(topic: string, argument: string, what: string): string {
  checkUtf8(topic, argument);
  if (isValidTopicNameText(topic)) return topic;
  throw new UsageError(
    `Error: Invalid ${what} topic '${topic}', does it contain '+' or '#'?`,
    'one-blank-line',
  );
}

function topicFilter(filter: string, argument: string, what: string): string {
  checkUtf8(filter, argument);
  if (isValidTopicFilter(filter)) return filter;
  throw new UsageError(
    `Error: Invalid ${what} topic '${filter}', are all '+' and '#' wildcards correct?`,
    'one-blank-line',
  );
}

function checkUtf8(text: string, argument: string): void {
  if (!isPacketString(text)) throw new UsageError(`Error: Malformed UTF-8 in ${argument} argument.`);
}
