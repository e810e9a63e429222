/** Lines that change nothing, or mostly something else than what was meant. */
import type { Place } from '../../../config/config-messages.js';
import type { BridgeSection, Section } from '../../../config/draft.js';
import { type OptionName, optionSchema } from '../../../config/option-schema.js';
import type { OptionRow } from '../../../config/option-types.js';
import type { BridgeSettings } from '../../../config/settings.js';
import { type Examined, type Finding, listenersOf, placeIn } from './finding.js';
import { isBridgeTls } from './in-force.js';

export function* linesWithoutEffect(examined: Examined): Generator<Finding> {
  yield* deprecatedLines(examined);
  yield* ofTheBroker(examined);
  yield* ofListeners(examined);
  for (const [index, bridge] of examined.settings.bridges.entries()) {
    yield* ofBridge(bridge, examined.draft.bridges[index]!);
  }
}

function* deprecatedLines({ draft }: Examined): Generator<Finding> {
  const sections: Section[] = [draft.global, ...draft.listeners, ...draft.bridges, ...draft.plugins];
  for (const [name, place] of sections.flatMap(({ given }) => [...given])) {
    const { deprecated }: OptionRow = optionSchema[name];
    if (deprecated === undefined) continue;
    const advice = deprecated === '' ? 'It works on; nothing takes its place yet.' : deprecated;
    yield {
      kind: 'deprecated',
      place,
      text: `Mosquitto has announced the end of '${name}' for version 3.0.`,
      advice,
    };
  }
}

/** @returns a finding for each option that is given */
function* idle(
  section: Section,
  options: readonly OptionName[],
  why: string,
  advice: string,
): Generator<Finding> {
  for (const option of options) {
    const place = section.given.get(option);
    if (place !== undefined)
      yield { kind: 'no effect', place, text: `'${option}' has no effect ${why}.`, advice };
  }
}

const persistenceOptions = [
  'autosave_interval',
  'autosave_on_changes',
  'persistence_file',
  'persistence_location',
  'persistence_mode',
] as const;

function* ofTheBroker({ settings, draft }: Examined): Generator<Finding> {
  const { global } = draft;
  if (!settings.persistence) {
    const advice =
      "Add 'persistence true': without it, retained messages and queues are lost with the process.";
    yield* idle(global, persistenceOptions, "without 'persistence true'", advice);
  }
  if (!settings.logTimestamp) {
    yield* idle(
      global,
      ['log_timestamp_format'],
      "with 'log_timestamp false'",
      'Remove one of the two lines.',
    );
  }
  if (!settings.logDest.some(({ kind }) => kind === 'syslog')) {
    yield* idle(
      global,
      ['log_facility'],
      "without 'log_dest syslog'",
      "Add 'log_dest syslog', or remove the line.",
    );
  }
}

function* ofListeners(examined: Examined): Generator<Finding> {
  const { draft, settings } = examined;
  for (const { settings: listener, placeOf, name } of listenersOf(examined)) {
    const section = settings.localOnly ? undefined : draft.listeners.find(({ place }) => place === placeOf());
    const { mountPoint, protocol, requireCertificate, pskHint, pskFile } = listener;
    if (mountPoint !== undefined && !mountPoint.endsWith('/')) {
      yield {
        kind: 'doubtful',
        place: placeOf('mount_point'),
        text: `The mount point '${mountPoint}' is put before topics without a '/' between: a/b becomes ${mountPoint}a/b.`,
        advice: `Write 'mount_point ${mountPoint}/'.`,
      };
    }
    if (pskHint !== undefined && pskFile === undefined) {
      yield {
        kind: 'error',
        place: placeOf('psk_hint'),
        text: `No client can connect to ${name}: psk_hint turns on TLS with keys, and no psk_file has them.`,
        advice: "Add 'psk_file FILE' with lines 'IDENTITY:HEXKEY'.",
      };
    }
    if (section === undefined) continue;
    if (!requireCertificate) {
      yield* idle(
        section,
        ['crlfile'],
        "without 'require_certificate true'",
        "Add 'require_certificate true'.",
      );
    }
    if (protocol !== 'websockets') {
      yield* idle(section, ['websockets_origin'], "without 'protocol websockets'", 'Remove the line.');
    }
  }
  const { global } = draft;
  if (!settings.listeners.some(({ pskHint }) => pskHint !== undefined)) {
    yield* idle(
      global,
      ['psk_file'],
      "without a listener with 'psk_hint'",
      "Add 'psk_hint TEXT' to the listener.",
    );
  }
}

const needsTls = [
  'bridge_alpn',
  'bridge_certfile',
  'bridge_ciphers',
  'bridge_ciphers_tls1.3',
  'bridge_insecure',
  'bridge_keyfile',
  'bridge_require_ocsp',
  'bridge_tls_version',
] as const;
const needsVersion5 = [
  'bridge_max_topic_alias',
  'bridge_receive_maximum',
  'bridge_session_expiry_interval',
] as const;

function* ofBridge(bridge: BridgeSettings, section: BridgeSection): Generator<Finding> {
  const { name, address, topic, cleansession, startType, notifications, roundRobin } = bridge;
  if (!isBridgeTls(bridge)) {
    yield* idle(
      section,
      needsTls,
      `in bridge ${name}, which has no TLS`,
      "Add 'bridge_cafile FILE' or 'bridge_tls_use_os_certs true'.",
    );
  }
  if (bridge.bridgeProtocolVersion !== 'mqttv50') {
    yield* idle(
      section,
      needsVersion5,
      "without 'bridge_protocol_version mqttv50'",
      'Add that line, or remove this one.',
    );
  }
  if (startType !== 'lazy') {
    yield* idle(section, ['idle_timeout', 'threshold'], "without 'start_type lazy'", 'Remove the line.');
  }
  if (!notifications) {
    yield* idle(
      section,
      ['notification_topic', 'notifications_local_only'],
      "with 'notifications false'",
      'Remove one of the two lines.',
    );
  }
  if (address.length === 1 && roundRobin) {
    yield* idle(section, ['round_robin'], 'with one address', 'Remove the line, or add addresses.');
  }
  if (cleansession && topic.some(({ qos }) => qos > 0)) {
    yield {
      kind: 'doubtful',
      place: placeIn(section, ['cleansession']),
      text: `Bridge ${name} begins anew each time: messages of QoS 1 and 2 are lost while it is not connected.`,
      advice: "Write 'cleansession false'.",
    };
  }
  yield* prefixes(bridge, placeIn(section, ['topic']));
}

/** `topic a/# out 0 house remote/` makes "housea/#". */
function* prefixes({ name, topic }: BridgeSettings, place: Place | undefined): Generator<Finding> {
  for (const { pattern, localPrefix, remotePrefix } of topic) {
    for (const prefix of [localPrefix, remotePrefix]) {
      if (prefix === undefined || prefix === '' || pattern === '') continue;
      if (prefix.endsWith('/') || pattern.startsWith('/')) continue;
      yield {
        kind: 'doubtful',
        place,
        text: `Bridge ${name} puts the prefix '${prefix}' before '${pattern}' without a '/' between: ${prefix}${pattern}.`,
        advice: `Write the prefix as '${prefix}/'.`,
      };
    }
  }
}
