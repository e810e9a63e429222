/** Settings that let somebody do or learn what they should not, or that let nobody in. */
import { isTls } from '../../../config/listener-tls.js';
import type { BridgeSettings, ListenerSettings } from '../../../config/settings.js';
import {
  type Examined,
  type ExaminedListener,
  type Finding,
  isLoopback,
  isReachable,
  listenersOf,
  placeIn,
} from './finding.js';
import { isBridgeTls } from './in-force.js';

export function* weakSettings(examined: Examined): Generator<Finding> {
  for (const listener of listenersOf(examined)) {
    yield* whoMayCome(listener);
    yield* secretsInTheClear(listener);
    yield* identities(listener);
  }
  const { settings, draft } = examined;
  for (const [index, bridge] of settings.bridges.entries()) {
    const place = placeIn(draft.bridges[index], ['remote_password', 'remote_username']);
    if (
      place !== undefined &&
      bridge.remotePassword !== undefined &&
      !isBridgeTls(bridge) &&
      leavesMachine(bridge)
    ) {
      yield {
        kind: 'weak',
        place,
        text: `Bridge ${bridge.name} sends its password without TLS: whoever is on the way can read it.`,
        advice:
          "Add 'bridge_cafile FILE' (or 'bridge_tls_use_os_certs true') and the port for TLS, mostly 8883.",
      };
    }
  }
  if (settings.maxQueuedMessages === 0 && settings.maxQueuedBytes === 0) {
    yield {
      kind: 'weak',
      place: placeIn(draft.global, ['max_queued_messages']),
      text: 'The queue of a client that is away has no limit: one that never comes back fills the memory and the disk.',
      advice: "Write a number, or set 'max_queued_bytes'.",
    };
  }
}

/** Anonymous clients, or nobody at all. */
function* whoMayCome({ settings, placeOf, name }: ExaminedListener): Generator<Finding> {
  const { allowAnonymous, aclFile, passwordFile, protocol } = settings;
  if (!allowAnonymous && !hasWayIn(settings)) {
    yield {
      kind: 'error',
      place: placeOf('allow_anonymous', 'listener_allow_anonymous'),
      text: `No client can log in on ${name}: anonymous clients are refused, and there is no password_file.`,
      advice:
        "Add 'password_file FILE' (mosquitto_passwd -c FILE USER makes one), or 'allow_anonymous true'.",
    };
  }
  if (!allowAnonymous || isGuarded(settings)) return;
  const place = placeOf('listener_allow_anonymous', 'allow_anonymous');
  if (isReachable(settings)) {
    const rights =
      protocol === 'http_api'
        ? 'sees clients, topics, the log and the configuration'
        : aclFile === undefined
          ? 'publishes and reads every topic'
          : `has the rights of anonymous clients in ${aclFile}`;
    yield {
      kind: 'weak',
      place,
      text: `Whoever reaches ${name} connects without a password and ${rights}.`,
      advice:
        "Write 'allow_anonymous false' with a 'password_file', or give the listener the address 127.0.0.1.",
    };
  } else if (passwordFile !== undefined) {
    yield {
      kind: 'doubtful',
      place,
      text: `${capital(name)} has a password_file, but clients without a user name are let in, too.`,
      advice: "Write 'allow_anonymous false'.",
    };
  }
}

const capital = (text: string) => text[0]!.toUpperCase() + text.slice(1);

/** For names from certificates see `identities`. */
function hasWayIn(settings: ListenerSettings): boolean {
  return settings.passwordFile !== undefined || takesIdentity(settings);
}

function takesIdentity({
  useIdentityAsUsername,
  useSubjectAsUsername,
  enableProxyProtocol,
}: ListenerSettings): boolean {
  return useIdentityAsUsername || useSubjectAsUsername || enableProxyProtocol === 2;
}

/** Whether only peers with a certificate or a key come as far as to log in. */
function isGuarded({
  certfile,
  requireCertificate,
  pskHint,
  enableProxyProtocol,
}: ListenerSettings): boolean {
  return (certfile !== undefined && requireCertificate) || pskHint !== undefined || enableProxyProtocol === 2;
}

function* secretsInTheClear({ settings, placeOf, name }: ExaminedListener): Generator<Finding> {
  if (settings.passwordFile === undefined || !isReachable(settings) || isTls(settings)) return;
  if (settings.enableProxyProtocol !== undefined) return; // The proxy does TLS.
  yield {
    kind: 'weak',
    place: placeOf('password_file'),
    text: `Clients send their passwords to ${name} without TLS: whoever is on the way can read them.`,
    advice: "Add 'certfile FILE' and 'keyfile FILE' to the listener, or give it the address 127.0.0.1.",
  };
}

/** A name that is taken from a certificate which nobody has to show. */
function* identities({ settings, placeOf, name }: ExaminedListener): Generator<Finding> {
  const { useIdentityAsUsername, useSubjectAsUsername, pskHint, requireCertificate, enableProxyProtocol } =
    settings;
  if (!useIdentityAsUsername && !useSubjectAsUsername) return;
  const isShown = pskHint !== undefined || requireCertificate || enableProxyProtocol === 2;
  if (isShown) return;
  yield {
    kind: 'error',
    place: placeOf('use_identity_as_username', 'use_subject_as_username'),
    text: `No client can log in on ${name}: the user name comes from a client certificate, and none is asked for.`,
    advice: "Add 'require_certificate true' and the 'cafile' of the authority that has signed them.",
  };
}

function leavesMachine({ address }: BridgeSettings): boolean {
  return address.some(({ host }) => !isLoopback(host));
}
