/** Our commands beside Debian's, with the same arguments against the same broker: what each does in particular. */
import { encodePacket } from '../../src/mqtt/encode.js';
import { compareAll, type NamedCase } from '../support/clients/compare-all.js';
import type { Case } from '../support/clients/differential.js';

const BINARY = Uint8Array.of(0x00, 0xff, 0x80, 0x0a, 0xc3, 0x22, 0x5c);

const pub = (name: string, args: string, rest: Partial<Case> = {}): NamedCase => {
  return { name, program: 'mosquitto_pub', args: words(args), ...rest };
};

const sub = (name: string, args: string, rest: Partial<Case> = {}): NamedCase => {
  return { name, program: 'mosquitto_sub', args: words(args), ...rest };
};

const rr = (name: string, args: string, rest: Partial<Case> = {}): NamedCase => {
  return { name, program: 'mosquitto_rr', args: words(args), ...rest };
};

/** Split at spaces; `''` is an empty word, `_` stands for a space in one. */
function words(text: string): string[] {
  return text.split(' ').map((word) => (word === "''" ? '' : word.replaceAll('_', ' ')));
}

const LINES = 'one\n\ntwo\rb\nlast';

/** Enough for everything, in an order that we do not keep; MQTT gives it no meaning. */
const PUBLISH_PROPERTIES =
  '-D publish content-type text -D publish correlation-data data -D publish message-expiry-interval 90 ' +
  '-D publish payload-format-indicator 1 -D publish response-topic {topic}/r -D publish user-property a b ' +
  '-D publish user-property a c';

compareAll('mosquitto_pub, in particular', [
  ...[0, 1, 2].map((qos) =>
    pub(`lines with QoS ${qos}`, `-t {topic} -l -q ${qos} -i {id}`, { input: LINES, sorted: true }),
  ),
  pub('lines, one under way', '-t {topic} -l -q 1 -M 1 -i {id} -d', { input: 'a\nb\nc\n' }),
  pub('lines, shown', '-t {topic} -l -q 2 -i {id} -d', { input: LINES, sorted: true }),
  pub('no lines', '-t {topic} -l -q 1 -i {id}', { input: '' }),
  pub('lines by topic alias', '-t {topic} -l -D publish topic-alias 3', { input: LINES }),
  pub('lines, retained', '-t {topic} -l -r', { input: 'a\n' }),
  pub('repeated by topic alias', '-t {topic} -m x -D publish topic-alias 3 --repeat 3 -d'),
  pub('no payload, retained', '-t {topic} -n -r -q 2 -d'),
  pub('all of the input', '-t {topic} -s -q 1', { input: BINARY }),
  pub('an empty input', '-t {topic} -s', { input: '' }),
  pub('an empty text', "-t {topic} -m ''"),
  pub('an empty file', '-t {topic} -f {folder}/nothing'),
  pub('a file that is not there', '-t {topic} -f {folder}/missing', {
    unstable: ['stderr'], // Says why since 2.1.
  }),
  ...['31', '311', '5'].flatMap((version) =>
    [0, 1, 2].map((qos) =>
      pub(`MQTT ${version} with QoS ${qos}`, `-t {topic} -m x -q ${qos} -V ${version} -d -i {id}`),
    ),
  ),
  pub('MQTT 3.1 without an id', '-t {topic} -m x -V 31'),
  pub('an id that is empty', "-t {topic} -m x -i ''"),
  pub('a durable session', '-t {topic} -m x -q 1 -V 5 -c -i {id} -d'),
  pub('properties', `-t {topic} -m x -q 1 ${PUBLISH_PROPERTIES}`),
  pub(
    'properties of the connection',
    '-t {topic} -m x -D connect receive-maximum 7 -D connect maximum-packet-size 999 -D connect topic-alias-maximum 5 -D connect request-problem-information 0 -D connect request-response-information 1 -D connect session-expiry-interval 9 -D disconnect reason-string why -D disconnect session-expiry-interval 4',
  ),
  pub(
    'a will',
    '-t {topic} -m x --will-topic {topic}/w --will-payload bye --will-qos 1 --will-retain -D will will-delay-interval 3 -D will user-property a b',
  ),
  pub('a will, MQTT 3.1', '-t {topic} -m x --will-topic {topic}/w --will-qos 2 -V 31 -i {id}'),
  pub('a topic that is empty', "-t '' -m x", {
    known: {
      reason: 'as 2.1',
      code: 1,
      stderr:
        "Error: Invalid publish topic '', does it contain '+' or '#'?\n\nUse 'mosquitto_pub --help' to see usage\n",
      sent: [],
    },
  }),
  pub('a password alone', '-t {topic} -m x -P pw'),
  pub('a password alone, MQTT 5', '-t {topic} -m x -P pw -V 5'),
  pub('names that are empty', "-t {topic} -m x -u '' -P ''"),
  pub('will properties before MQTT 5', '-t {topic} -m x --will-topic w -D will user-property a b -V 311'),
  pub('connect properties before MQTT 5', '-t {topic} -m x -D connect user-property a b -V 311'),
  pub('a property twice', '-t {topic} -m x -D publish content-type a -D publish content-type b'),
  pub('an alias of 0', '-t {topic} -m x -D publish topic-alias 0'),
  pub('a session expiry twice', '-t {topic} -m x -V 5 -D connect session-expiry-interval 5 -x 7'),
  pub('options from a file', '-t {topic}', { env: { HOME: '{folder}' } }),
  pub('options from a file, and others', '-t {topic} -q 2 -d -i {id}', { env: { HOME: '{folder}' } }),
  pub('a source in the file and another', '-t {topic} -m x', { env: { HOME: '{folder}' } }),
  pub('nobody listens', '-t a -m x -p 1'),
  pub('nobody listens, and no word of it', '-t a -m x -p 1 --quiet'),
  pub('a host that is not there', '-t a -m x -h nosuch.invalid'),
  pub('a socket that is not there', '-t a -m x --unix {folder}/missing'),
  pub('a URL without topic', '-L mqtt://127.0.0.1:{port} -m x'),
  pub('a URL with an empty topic', '-L mqtt://127.0.0.1:{port}/ -m x', {
    unstable: ['stdout'],
    known: {
      reason: 'as 2.1',
      code: 1,
      stderr:
        "Error: Invalid publish topic '', does it contain '+' or '#'?\n\nUse 'mosquitto_pub --help' to see usage\n",
      sent: [],
    },
  }),
  pub('a URL with a user', '-L mqtt://user@127.0.0.1:{port}/{topic} -m x'),
  pub('a URL of another scheme', '-L http://127.0.0.1:{port}/{topic} -m x', {
    known: {
      reason: '2.1 begins with a capital',
      stderr: "Error: Unsupported URL scheme\n\n\nUse 'mosquitto_pub --help' to see usage\n",
    },
  }),
  pub('nothing to publish', '-t a', { unstable: ['stdout'] }),
  pub(
    'a proxy that asks who it is',
    '-t {topic} -m x --proxy socks5h://us%3Aer:pa%25ss@127.0.0.1:{strictSocks}',
  ),
  pub('a proxy that does not know it', '-t {topic} -m x --proxy socks5h://us:no@127.0.0.1:{strictSocks}'),
  pub('a proxy that cannot connect', '-t {topic} -m x --proxy socks5h://127.0.0.1:{brokenSocks}'),
  pub('a broker that nobody vouches for', '-t {topic} -m x --cafile {otherCa} -p {tls}', {
    unstable: ['code', 'stderr'], // 2.0.11 ends in one of two ways, by chance.
  }),
  pub('--insecure is about the name only', '-t {topic} -m x --cafile {otherCa} -p {tls} --insecure', {
    unstable: ['code', 'stderr'],
  }),
  pub('a wrong pre-shared key', '-t {topic} -m x --psk 01 --psk-identity name -p {psk}', {
    unstable: ['code', 'stderr'], // As above.
  }),
  pub('a key that is no number', '-t {topic} -m x --psk xy --psk-identity name -p {psk}'),
  pub('an authority that is not there', '-t {topic} -m x --cafile {folder}/missing'),
  pub('a version of TLS that is none', '-t {topic} -m x --tls-version tlsv1.9 --cafile {ca} -p {tls}'),
  pub(
    'a key form that is none',
    '-t {topic} -m x --cert {cert} --key {key} --keyform odd --cafile {ca} -p {tls}',
  ),
]);

compareAll('mosquitto_sub, in particular', [
  sub('several topics', '-t {topic} -t {topic}/# -t {topic}/+/x -q 1 -E -d -i {id}'),
  sub(
    'with options of MQTT 5',
    '-t {topic} -q 2 -E -V 5 -R --retain-as-published -D subscribe subscription-identifier 9 -D subscribe user-property a b',
  ),
  sub('unsubscribing', '-t {topic} -U {topic}/a -U {topic}/b -D unsubscribe user-property a b -W 2 -i {id}'),
  sub('messages of all kinds', '-t {topic} -C 4 -v', { retained: ['kept'], live: ['one', '', BINARY] }),
  sub('messages without newline', '-t {topic} -C 4 -v -N', { retained: ['kept'], live: ['one', '', BINARY] }),
  sub('payloads only', '-t {topic} -C 4', { retained: ['kept'], live: ['one', '', BINARY] }),
  ...[0, 1, 2].map((qos) =>
    sub(`QoS ${qos}, shown`, `-t {topic} -q ${qos} -C 1 -d -i {id}`, { live: ['x'] }),
  ),
  ...[0, 1, 2].map((qos) =>
    sub(`QoS ${qos} of MQTT 5, shown`, `-t {topic} -q ${qos} -C 1 -d -V 5`, { live: ['x'] }),
  ),
  sub('numbers', '-t {topic} -C 2 -q 1 -F %l|%5l|%05l|%-5l|%.2l|%m|%05m|%q|%5q|%r|%05r|', {
    retained: ['a'],
    live: ['b'],
  }),
  sub('payloads in formats', '-t {topic} -C 2 -F %5p|%3p|%-8p|%08p|%-08p|%8.2p|%.p|%%|', {
    retained: [BINARY],
    live: ['hello'],
  }),
  sub('hexadecimal', '-t {topic} -C 2 -F %x|%X|', { retained: [BINARY], live: ['hell'] }),
  sub('hexadecimal with a width', '-t {topic} -C 1 -F %11x|%011X|%-11X|', {
    live: ['hell'],
    known: {
      reason: '2.0.11 leaves out the second half of the payload',
      stdout: '   68656c6c|00068656C6C|68656C6C   |\n',
    },
  }),
  sub('topics in formats', '-t {topic} -C 1 -F %20t|%.2t|%-20t|%020t|%20.2t|%.t|%0t', { live: ['x'] }),
  sub('escapes', '-t {topic} -C 1 -F \\\\|\\0|\\a|\\e|\\n|\\r|\\t|\\v|@@|é', { live: ['x'] }),
  sub('absent properties', '-t {topic} -C 1 -V 5 -F %A|%C|%D|%E|%F|%P|%R|%S|%5A|%05E|%-5S|%5C|%5R|', {
    live: ['x'],
  }),
  sub(
    'dates',
    '-t {topic} -C 1 -F @a|@A|@b|@B|@C|@d|@D|@e|@F|@g|@G|@h|@j|@m|@u|@U|@V|@w|@W|@y|@Y|@z|@Z|@t|@n|@!|@Q',
    { live: ['x'] },
  ),
  sub('JSON', '-t {topic} -C 2 -q 1 -F %j', { retained: ['{"a":[1,2.50,null]}'], live: ['tab\t"\\\u0001é'] }),
  sub('JSON of JSON', '-t {topic} -C 2 -F %J', {
    retained: ['{"a":[1,2.50,null,"\\u00e9"]}'],
    live: ['1e3'],
  }),
  sub('JSON of what is none', '-t {topic} -C 2 -F <%J>', { live: ['{', '{}'] }),
  sub('pretty JSON', '-t {topic} -C 1 -F %J --pretty', { live: ['{"a":[1,{"b":[]}],"c":{}}'] }),
  sub('no retained messages', '-t {topic} -C 1 -R', { retained: ['kept'], live: ['new'] }),
  sub('retained messages only', '-t {topic} --retained-only', { retained: ['kept'], live: ['new'] }),
  sub('topics left out', '-t {topic} -T {topic} -W 2 -i {id}', { live: ['x'] }),
  sub('a large message', '-t {topic} -C 1 -q 1', { live: ['x'.repeat(200_000)] }),
  sub('time out', '-t {topic} -W 2 -V 5 -d -i {id}'),
  sub('time out before MQTT 5', '-t {topic} -W 2'),
  sub('time out in silence', '-t {topic} -W 2 --quiet'),
  ...(['SIGINT', 'SIGTERM'] as const).flatMap((signal) =>
    ['311', '5'].map((version) =>
      sub(`${signal}, MQTT ${version}`, `-t {topic} -V ${version} -i {id}`, { signal }),
    ),
  ),
  sub('a time out before the broker answers', '-t a -W 2', { script: [{}] }),
  sub('no topic', '-d', {
    known: {
      reason: '2.1 takes -U too',
      stderr:
        'Error: You must specify a topic to subscribe to (-t) or unsubscribe from (-U)\n\n' +
        "Use 'mosquitto_sub --help' to see usage\n",
    },
  }),
  sub('-R and --retained-only', '-t a -R --retained-only'),
  sub('a format that is none', '-t a -F %y'),
]);

compareAll('mosquitto_rr, in particular', [
  rr('MQTT 3.1.1', '-t {topic} -e {topic} -m x -V 311 -q 2 -v -i {id}'),
  rr(
    'with properties',
    `-t {topic} -e {topic} -m x -D publish content-type t -D publish user-property a b -D subscribe user-property c d -F %p|%C|%R|%P`,
  ),
  rr('two response topics', '-t {topic} -e {topic}/r -D publish response-topic x -m y'),
  rr('no response', '-t {topic} -e {topic}/r -m x -W 2 -q 1 -i {id} -d'),
  rr('no response before MQTT 5', '-t {topic} -e {topic}/r -n -W 2 -V 31 -i {id}'),
  rr('an empty response', '-t {topic} -e {topic} -n'),
  rr('an empty response, with its topic', '-t {topic} -e {topic} -n -v'),
  rr('a time out before the broker answers', '-t a -e b -n -W 2', { script: [{}] }),
  rr('nobody listens', '-t a -e b -m x -p 1'),
]);

// -------------------------------------------------------------------------------------------- scripted servers

const CONNACK = '20020000';
const CONNACK_5 = '2003000000';
const SUBACK = '9003000100';
const SUBACK_5 = '900400010000';

compareAll('servers that do not take the connection', [
  ...[1, 2, 3, 4, 5, 9].flatMap((code) => {
    const script = [{ connect: `2002000${code}` }];
    return [
      pub(`mosquitto_pub, return code ${code}`, '-t a -m x', { script }),
      sub(`mosquitto_sub, return code ${code}`, '-t a', { script }),
    ];
  }),
  ...['80', '84', '86', '87', '8a', '9f'].flatMap((code) => {
    const script = [{ connect: `200300${code}00` }];
    return [
      pub(`mosquitto_pub, reason code ${code}`, '-t a -m x -V 5', { script }),
      sub(`mosquitto_sub, reason code ${code}`, '-t a -V 5', { script }),
      rr(`mosquitto_rr, reason code ${code}`, '-t a -e b -m x', { script }),
    ];
  }),
  pub('a server of before MQTT 5', '-t a -m x -V 5 -d', { script: [{ connect: '20020001' }] }),
  rr('mosquitto_rr before MQTT 5', '-t a -e b -m x -V 311', {
    script: [{ connect: '20020005' }],
    known: {
      reason: '2.0.11 looks up the code in the wrong table',
      stderr: 'Connection error: Connection Refused: not authorised\n',
    },
  }),
]);

const RICH_MESSAGE = encodePacket(
  {
    type: 'publish',
    topic: 'a',
    payload: Buffer.from('x'),
    qos: 0,
    retain: false,
    dup: false,
    packetId: 0,
    properties: {
      payloadFormatIndicator: 1,
      messageExpiryInterval: 100,
      contentType: 'c/t',
      responseTopic: 'a/b',
      correlationData: Buffer.from('abc'),
      subscriptionIdentifiers: [5],
      userProperties: [
        ['k', 'v'],
        ['k', 'wx'],
      ],
    },
  },
  5,
).toString('hex');

compareAll('servers that behave oddly', [
  pub('no message taken', '-t a -m x -q 1 -V 5 -d', {
    script: [{ connect: CONNACK_5, publish: '400400018700' }],
  }),
  pub('no message taken, and why', '-t a -m x -q 1 -V 5', {
    script: [{ connect: CONNACK_5, publish: '400d000187091f00066e6f77656c6c' }],
  }),
  pub('no message taken with QoS 2', '-t a -m x -q 2 -V 5 -d', {
    script: [{ connect: CONNACK_5, publish: '500400019700' }],
  }),
  pub('no QoS 2', '-t a -m x -q 2 -V 5 -d', {
    script: [{ connect: '2005000002' + '2401' }],
    known: { reason: 'nothing was sent', code: 1 },
  }),
  pub('nothing retained', '-t a -m x -q 1 -r -V 5', {
    script: [{ connect: '20050000022500', publish: '400400010000' }],
  }),
  pub('small packets only', '-t a -m 123456789012345 -q 1 -V 5', {
    script: [{ connect: '20080000052700000010' }],
    known: {
      reason: '2.0.11 says nothing of the message that it did not send',
      code: 1,
      stderr: 'Error: Message payload is too large\n',
    },
  }),
  pub('one message at once', '-t a -l -q 1 -V 5', {
    input: 'a\n',
    script: [{ connect: '2006000003210001', publish: '400400010000' }],
  }),
  pub('an id from the server', '-t a -m x -V 5 -d', { script: [{ connect: '20080000051200026964' }] }),
  pub('a goodbye', '-t a -m x -q 1 -V 5 -d', { script: [{ connect: CONNACK_5, publish: 'e0028e00' }] }),
  sub('a goodbye to a subscriber', '-t a -V 5 -d', {
    script: [{ connect: CONNACK_5, subscribe: 'e0028e00' }],
  }),
  rr('a goodbye to a requester', '-t a -e b -m x -d', {
    script: [{ connect: CONNACK_5, subscribe: 'e0028e00' }],
  }),
  pub('the end instead of an answer', '-t a -m x -d', { script: [{ connect: 'close' }] }),
  pub('the end after a message', '-t a -m x -q 1 -d', { script: [{ connect: CONNACK, publish: 'close' }] }),
  rr('the end after a request', '-t a -e b -m x -V 311', {
    script: [{ connect: CONNACK, subscribe: SUBACK, publish: 'close' }],
  }),
  sub('the end, and all again', '-t a -C 1 -i {id} -d', {
    script: [
      { connect: CONNACK, subscribe: 'close' },
      { connect: CONNACK, subscribe: `${SUBACK}300400016178` },
    ],
  }),
  sub('no subscription taken', '-t a -d', { script: [{ connect: CONNACK, subscribe: '9003000180' }] }),
  sub('no subscription taken, MQTT 5', '-t a -t b -V 5', {
    script: [{ connect: CONNACK_5, subscribe: '90050001008797' }],
  }),
  sub('one of two taken', '-t a -t b -W 2 -d', { script: [{ connect: CONNACK, subscribe: '900400018001' }] }),
  rr('no subscription taken for a response', '-t a -e b -m x', {
    script: [{ connect: CONNACK_5, subscribe: '900400010087' }],
    known: { reason: 'nothing was sent', code: 1 },
    unstable: ['sent'], // whether the DISCONNECT is seen before the end
  }),
  sub('properties in all formats', '-t a -C 1 -V 5 -F %A|%C|%D|%E|%F|%P|%R|%S|%5A|%05E|%-5S|%6C|%.2R|', {
    script: [{ connect: CONNACK_5, subscribe: SUBACK_5 + RICH_MESSAGE }],
  }),
]);
