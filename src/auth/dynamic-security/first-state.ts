/** What the file holds if it is made at the first start, as by Mosquitto 2.1. */
import { createPasswordHash, formatPasswordHash, SALT_BYTES_2_0 } from '../password-hash.js';
import {
  type AclType,
  DynamicSecurityState,
  emptyClient,
  emptyGroup,
  emptyRole,
  NO_PRIORITY,
  sortedAcls,
} from './state.js';

const SEND = 'publishClientSend';
const RECEIVE = 'publishClientReceive';
const SUBSCRIBE = 'subscribePattern';
const UNSUBSCRIBE = 'unsubscribePattern';
const ALL: readonly AclType[] = [SEND, RECEIVE, SUBSCRIBE, UNSUBSCRIBE];

const ROLES: readonly [rolename: string, description: string, acltypes: readonly AclType[], topic: string][] =
  [
    ['client', 'May use all ordinary topics.', ALL, '#'],
    ['broker-admin', 'May ask the broker for its plugins and listeners.', ALL, '$CONTROL/broker/#'],
    ['dynsec-admin', 'May change clients, groups and roles.', ALL, '$CONTROL/dynamic-security/#'],
    ['super-admin', 'May send every request to the broker.', ALL, '$CONTROL/#'],
    ['sys-notify', 'May say whether its own bridge is connected.', [SEND], '$SYS/broker/connection/%c/state'],
    ['sys-observe', 'May read what the broker says about itself.', [RECEIVE, SUBSCRIBE], '$SYS/#'],
    ['topic-observe', 'May read all ordinary topics.', [RECEIVE, SUBSCRIBE, UNSUBSCRIBE], '#'],
  ];

const ANONYMOUS = 'unauthenticated';

/** @param demoPassword of a second client, which may use all ordinary topics; `undefined` = there is none */
export async function firstState(
  adminPassword: string,
  demoPassword: string | undefined,
): Promise<DynamicSecurityState> {
  const state = new DynamicSecurityState();
  for (const [rolename, textdescription, acltypes, topic] of ROLES) {
    const acls = acltypes.map((acltype) => ({ acltype, topic, priority: 0, allow: true }));
    state.roles.set(rolename, { ...emptyRole(rolename), textdescription, acls: sortedAcls(acls) });
  }
  await addClient(state, 'admin', adminPassword, 'Admin user', [
    'super-admin',
    'sys-observe',
    'topic-observe',
  ]);
  if (demoPassword !== undefined) {
    const textname = 'Demonstration client, which may use all ordinary topics';
    await addClient(state, 'democlient', demoPassword, textname, ['client']);
  }
  state.groups.set(ANONYMOUS, {
    ...emptyGroup(ANONYMOUS),
    textname: 'Unauthenticated group',
    textdescription: 'The rights of clients without a username.',
  });
  state.anonymousGroup = ANONYMOUS;
  return state;
}

async function addClient(
  state: DynamicSecurityState,
  username: string,
  password: string,
  textname: string,
  roles: readonly string[],
): Promise<void> {
  state.clients.set(username, {
    ...emptyClient(username),
    textname,
    encodedPassword: await newPassword(password),
    roles: new Map(roles.map((rolename) => [rolename, NO_PRIORITY])),
  });
}

/** As dynamic security stores a password: with a salt that Mosquitto 2.0 reads, too. */
export async function newPassword(password: string): Promise<string> {
  const options = { algorithm: 'sha512-pbkdf2', saltBytes: SALT_BYTES_2_0 } as const;
  return formatPasswordHash(await createPasswordHash(Buffer.from(password), options));
}
