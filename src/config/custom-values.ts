/** Parsers of values with a grammar of their own, except the `topic` lines of bridges (`bridge-topic.ts`). */
import { appendAll } from '../base/append-all.js';
import { bridgeTopics } from './bridge-topic.js';
import { leadingInteger, parseInteger } from './integer.js';
import { trimSpace, words } from './lexer.js';
import { nearestWord } from './nearest-word.js';
import {
  type BridgeAddress,
  type CustomValues,
  type LogDestination,
  type LogType,
  logTypes,
  type ProtocolVersion,
  type RestartTimeout,
  type TcpKeepAlive,
} from './option-types.js';
import { accepted, type Parsed, type RawValue, type Remark, refused } from './parsed-value.js';
import { allowedValues, notAllowed, notInteger } from './value-syntax.js';

/** A parser for each; they are given a value that is not blank. */
export const customValueParsers: {
  readonly [Name in keyof CustomValues]: (raw: RawValue) => Parsed<CustomValues[Name]>;
} = {
  acceptedProtocols,
  bridgeAddresses,
  bridgeTopics,
  duration,
  logDestinations,
  logTypes: logTypesInAll,
  restartTimeout,
  tcpKeepAlive,
  memoryLimit,
  workerThreads,
};

/** [mosq: accept_protocol_versions] Separated by commas, spaces or tabs; words that are no version are ignored. */
function acceptedProtocols(raw: RawValue): Parsed<readonly ProtocolVersion[]> {
  const versions = new Set<ProtocolVersion>();
  const remarks: Remark[] = [];
  for (const word of raw.rest.split(/[, \t]+/)) {
    if (word === '3' || word === '4' || word === '5') versions.add(Number(word) as ProtocolVersion);
    else if (word !== '') remarks.push(ignoredVersion(raw, word));
  }
  return accepted([...versions].sort(), remarks);
}

function ignoredVersion(raw: RawValue, word: string): Remark {
  return {
    type: 'warning',
    text: `Warning: '${word}' in '${raw.name}' is none of 3, 4 and 5 and was ignored.`,
  };
}

const bridgePortDefault = 1883;

/** [mosq: address] A word that begins with `#` ends the list. */
function bridgeAddresses(raw: RawValue): Parsed<readonly BridgeAddress[]> {
  const addresses: BridgeAddress[] = [];
  const remarks: Remark[] = [];
  for (const word of words(raw.rest)) {
    if (word.startsWith('#')) break;
    const address = bridgeAddress(raw, word);
    if (!address.ok) return address;
    addresses.push(address.value);
    appendAll(remarks, address.remarks);
  }
  if (addresses.length === 0) {
    return refused(
      'Error: Empty address value in configuration.',
      `No address is given: ${allowedValues(raw)}`,
    );
  }
  return accepted(addresses, remarks);
}

/** [mosq: address] The last colon separates the port, even if it was meant as a part of an IPv6 address. */
function bridgeAddress(raw: RawValue, word: string): Parsed<BridgeAddress> {
  const colon = word.lastIndexOf(':');
  if (colon === -1) return accepted({ host: word, port: bridgePortDefault });
  const host = word.slice(0, colon);
  const port = leadingInteger(word.slice(colon + 1));
  if (port < 1 || port > 65535) {
    return refused(
      `Error: Invalid bridge port value (${port}).`,
      `'${word}' is not allowed: ${allowedValues(raw)} PORT is from 1 to 65535, and an IPv6 address needs one.`,
    );
  }
  if (host === '') {
    return refused(
      'Error: Empty address value in configuration.',
      `'${word}' names no host: ${allowedValues(raw)}`,
    );
  }
  if (!/(^|[^:]):$/.test(host)) return accepted({ host, port });
  const text = `Warning: '${word}' is read as host '${host}' and port ${port}: an IPv6 address needs its port.`;
  return accepted({ host, port }, [{ type: 'warning', text }]);
}

const minute = 60;
const hour = 60 * minute;
const day = 24 * hour;

/** Seconds of each unit. [mosq: persistent_client_expiration] A month is 30 days, a year 365. */
const unitSeconds: Readonly<Record<string, number>> = {
  s: 1,
  h: hour,
  d: day,
  w: 7 * day,
  m: 30 * day,
  y: 365 * day,
};

function duration(raw: RawValue): Parsed<number> {
  const text = trimSpace(raw.rest);
  const match = /^\+?(\d+)([shdwmy])$/.exec(text);
  const count = match === null ? 0 : Number(match[1]);
  if (match === null || count < 1 || count > 0x7fffffff) {
    return notAllowed(raw, text, `Error: Invalid '${raw.name}' duration in configuration.`);
  }
  return accepted(count * unitSeconds[match[2]!]!);
}

const plainDestinations = ['stdout', 'stderr', 'syslog', 'topic', 'dlt', 'android'] as const;

/** [mosq: log_dest] Destinations add up; `none` drops those before it. */
function logDestinations(raw: RawValue): Parsed<readonly LogDestination[]> {
  const before = (raw.previous as readonly LogDestination[] | undefined) ?? [];
  const word = words(raw.rest)[0]!;
  if (word === 'none') return accepted([]);
  if (word === 'file') return logFile(raw, before);
  const kind = plainDestinations.find((name) => name === word);
  if (kind === undefined) {
    const known = ['none', 'file', ...plainDestinations];
    return notAllowed(raw, word, `Error: Invalid '${raw.name}' value (${word}).`, nearestWord(word, known));
  }
  return accepted(before.some((destination) => destination.kind === kind) ? before : [...before, { kind }]);
}

function logFile(raw: RawValue, before: readonly LogDestination[]): Parsed<readonly LogDestination[]> {
  const path = trimSpace(trimSpace(raw.rest).slice('file'.length));
  if (path === '') {
    return refused(
      'Error: Empty "log_dest file" value in configuration.',
      "The path is missing: 'log_dest file PATH'.",
    );
  }
  const first = before.find((destination) => destination.kind === 'file');
  if (first !== undefined) {
    return refused(
      'Error: Duplicate "log_dest file" value.',
      `'${path}' is a second file; lines go to '${first.path}' already.`,
    );
  }
  return accepted([...before, { kind: 'file', path }]);
}

/** [mosq: log_type] Types add up; `none` drops those before it, `all` is every type. */
function logTypesInAll(raw: RawValue): Parsed<readonly LogType[]> {
  const before = (raw.previous as readonly LogType[] | undefined) ?? [];
  const word = words(raw.rest)[0]!;
  if (word === 'none') return accepted([]);
  if (word === 'all') return accepted(logTypes);
  const type = logTypes.find((name) => name === word);
  if (type === undefined) {
    const known = ['none', 'all', ...logTypes];
    return notAllowed(raw, word, `Error: Invalid '${raw.name}' value (${word}).`, nearestWord(word, known));
  }
  return accepted(before.includes(type) ? before : [...before, type]);
}

const restartSecondsMax = 3600;
const restartCapSecondsMax = 7200;

/** [mosq: restart_timeout] One number is a constant wait; text counts as 0. */
function restartTimeout(raw: RawValue): Parsed<RestartTimeout> {
  const [base, cap, stable] = words(raw.rest);
  const first = firstRestartSeconds(leadingInteger(base!));
  if (cap === undefined) return accepted({ kind: 'constant', seconds: first.value }, first.remarks);
  const baseSeconds = first.value;
  const capSeconds = Math.min(leadingInteger(cap), restartCapSecondsMax);
  const stableSeconds = stable === undefined ? 0 : leadingInteger(stable);
  if (capSeconds < baseSeconds) {
    return notAllowed(raw, cap, 'Error: backoff cap is lower than the base in restart_timeout.');
  }
  if (stableSeconds < 0) {
    return notAllowed(raw, stable!, 'Error: stable connection period cannot be negative.');
  }
  return accepted({ kind: 'jitter', baseSeconds, capSeconds, stableSeconds }, first.remarks);
}

function firstRestartSeconds(seconds: number): { value: number; remarks: readonly Remark[] } {
  if (seconds < 1) {
    return {
      value: 1,
      remarks: [{ type: 'notice', text: 'restart_timeout interval too low, using 1 second.' }],
    };
  }
  if (seconds > restartSecondsMax) {
    const text = `restart_timeout interval too high, using ${restartSecondsMax} seconds.`;
    return { value: restartSecondsMax, remarks: [{ type: 'notice', text }] };
  }
  return { value: seconds, remarks: [] };
}

/** [mosq: bridge_tcp_keepalive] Each of the three numbers has a name of its own in errors. */
function tcpKeepAlive(raw: RawValue): Parsed<TcpKeepAlive> {
  const given = words(raw.rest);
  const numbers: number[] = [];
  for (const [position, part] of ['idle', 'interval', 'counter'].entries()) {
    const name = `${raw.name}_${part}`;
    const word = given[position];
    if (word === undefined) {
      return refused(
        `Error: Empty '${name}' value in configuration.`,
        `A number is missing: ${allowedValues(raw)}`,
      );
    }
    const number = parseInteger(word);
    if (typeof number === 'string') return notInteger(raw, word, number, name);
    if (number < 1) return notAllowed(raw, word, `Error: invalid TCP keepalive ${part} value.`);
    numbers.push(number);
  }
  const [idleSeconds, intervalSeconds, probes] = numbers as [number, number, number];
  return accepted({ idleSeconds, intervalSeconds, probes });
}

const workerThreadsMax = 32;

function workerThreads(raw: RawValue): Parsed<'auto' | number> {
  const word = words(raw.rest)[0]!;
  if (word === 'auto') return accepted(word);
  const number = parseInteger(word);
  if (typeof number === 'string' || number < 1 || number > workerThreadsMax) {
    return notAllowed(
      raw,
      word,
      `Error: Invalid '${raw.name}' value (${word}).`,
      nearestWord(word, ['auto']),
    );
  }
  return accepted(number);
}

/** [mosq: memory_limit] Bytes, or `auto`, which is ours. */
function memoryLimit(raw: RawValue): Parsed<'auto' | number> {
  const word = words(raw.rest)[0]!;
  if (word === 'auto') return accepted(word);
  const number = parseInteger(word, Number.MAX_SAFE_INTEGER);
  if (typeof number === 'string' || number < 0) {
    return notAllowed(
      raw,
      word,
      `Error: Invalid '${raw.name}' value (${word}).`,
      nearestWord(word, ['auto']),
    );
  }
  return accepted(number);
}
