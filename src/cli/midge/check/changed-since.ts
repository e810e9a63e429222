/**
 * What the same file meant under an earlier version of Mosquitto, as far as it means something else here. Midge follows
 * Mosquitto 2.1, so a rule names the last version with the old behaviour.
 */
import type { OptionName } from '../../../config/option-schema.js';
import { type Examined, type Finding, type MosquittoVersion, mosquittoVersions, placeIn } from './finding.js';

interface Change {
  /** The last version with the old behaviour. */
  readonly until: MosquittoVersion;
  /** The first one that had it. Default: 1.4. */
  readonly since?: MosquittoVersion;
  readonly find: (examined: Examined, from: MosquittoVersion) => Omit<Finding, 'kind'> | undefined;
}

export function changedSince(examined: Examined, from: MosquittoVersion): Finding[] {
  const at = mosquittoVersions.indexOf(from);
  const holds = ({ since = '1.4', until }: Change) =>
    mosquittoVersions.indexOf(since) <= at && at <= mosquittoVersions.indexOf(until);
  return changes.filter(holds).flatMap(({ find }) => {
    const found = find(examined, from);
    return found === undefined ? [] : [{ kind: 'changed' as const, ...found }];
  });
}

/** A default that is another one now, for files that do not give the option. */
function newDefault(
  option: OptionName,
  before: string,
  now: string,
  advice = `Write '${option} ${before}' to have it as before.`,
): Change['find'] {
  return ({ draft }) => {
    const isGiven = [draft.global, ...draft.listeners].some(({ given }) => given.has(option));
    if (isGiven) return undefined;
    return {
      place: undefined,
      text: `'${option}' is not given: it was ${before}, and is ${now}.`,
      advice,
    };
  };
}

/** The same, for bridges. */
function newBridgeDefault(option: OptionName, before: string, now: string, line: string): Change['find'] {
  return ({ draft }) => {
    const bridge = draft.bridges.find(({ given }) => !given.has(option));
    if (bridge === undefined) return undefined;
    return {
      place: bridge.place,
      text: `'${option}' is not given for bridge ${bridge.name}: it was ${before}, and is ${now}.`,
      advice: `Write '${line}' to have it as before.`,
    };
  };
}

const changes: readonly Change[] = [
  {
    until: '1.6',
    find: ({ settings }) =>
      settings.localOnly
        ? {
            place: undefined,
            text: 'Without a listener the broker was open on port 1883 of all addresses; now only this machine reaches it.',
            advice:
              "Write 'listener 1883', and who may connect: a 'password_file', or 'allow_anonymous true'.",
          }
        : undefined,
  },
  {
    until: '1.6',
    find: ({ settings, draft }, from) => {
      if (
        settings.localOnly ||
        isGiven(draft, 'allow_anonymous') ||
        isGiven(draft, 'listener_allow_anonymous')
      )
        return;
      const hasLogin =
        isGiven(draft, 'password_file') || isGiven(draft, 'psk_file') || draft.plugins.length > 0;
      if (hasLogin && from !== '1.4') return;
      return {
        place: undefined,
        text: "'allow_anonymous' is not given: clients without a user name were let in, and are refused now.",
        advice: hasLogin
          ? "If such clients are wanted, write 'allow_anonymous true'."
          : "Add a 'password_file', or write 'allow_anonymous true'.",
      };
    },
  },
  {
    until: '2.0',
    find: newDefault(
      'max_packet_size',
      'no limit',
      '2000000 bytes: a larger packet ends the connection',
      "If your messages are larger, write 'max_packet_size BYTES'.",
    ),
  },
  {
    until: '2.0',
    find: newDefault(
      'allow_duplicate_messages',
      'false',
      'true: a client gets a message once for each of its subscriptions that fit',
    ),
  },
  { until: '1.6', find: newDefault('max_queued_messages', '100', '1000') },
  {
    until: '1.4',
    find: newBridgeDefault(
      'bridge_protocol_version',
      'mqttv31',
      'mqttv311',
      'bridge_protocol_version mqttv31',
    ),
  },
  {
    until: '1.5',
    find: newBridgeDefault(
      'restart_timeout',
      '30 seconds',
      'a random time from 5 to 30 seconds',
      'restart_timeout 30',
    ),
  },
  {
    until: '1.6',
    find: ({ settings, draft }) => {
      const index = settings.listeners.findIndex(({ tlsVersion }) => tlsVersion !== undefined);
      const version = settings.listeners[index]?.tlsVersion;
      if (version === undefined || version === 'tlsv1.3') return;
      return {
        place: placeIn(draft.listeners[index], ['tls_version']),
        text: `'tls_version ${version}' was the only version that the listener took; it is the lowest now.`,
        advice: 'Nothing has to be done: clients that can do better are served better.',
      };
    },
  },
  {
    since: '1.6',
    until: '2.0',
    find: newDefault(
      'max_keepalive',
      '65535',
      'no limit',
      "Write 'max_keepalive 65535' to have it as before.",
    ),
  },
];

function isGiven({ global, listeners }: Examined['draft'], option: OptionName): boolean {
  return [global, ...listeners].some(({ given }) => given.has(option));
}
