/** Every row of the table of malformed packets against a listening broker: what it answers, and that it goes on. */
import {
  type MalformedPacket,
  malformedConnects,
  malformedPackets,
} from '../support/packets/malformed-packets.js';
import { type Citations, runStatements, type Scene, statement } from './statement.js';

/** The statements that the name of a row begins with, as numbers of the row's version. */
function citationsOf({ name, version = 5 }: MalformedPacket): Citations {
  const numbers = [...name.matchAll(/\[MQTT-([\d.]+-\d+)\]/g)].map(([, number]) => number!);
  return { [`v${version}`]: version === 3 ? '' : numbers.join(' ') };
}

/** The table reads a CONNECT's version from its answer; what has none to be answered in is taken for 5.0. */
async function expectConnectRefused(scene: Scene, row: MalformedPacket): Promise<void> {
  const client = await scene.openWith(row.bytes);
  if (row.connackCode !== undefined) {
    await client.expectPacket('connack', { sessionPresent: false, reasonCode: row.connackCode });
  }
  await client.expectClosed();
}

async function expectPacketRefused(scene: Scene, row: MalformedPacket): Promise<void> {
  const client = await scene.connect();
  client.send(row.bytes);
  if (row.silent) await client.expectClosed();
  else await scene.expectFault(client, row.reasonCode);
}

for (const row of malformedConnects) {
  statement(citationsOf(row), row.name, (scene) => expectConnectRefused(scene, row));
}
for (const row of malformedPackets.filter(({ origin }) => origin === 'client')) {
  statement(citationsOf(row), row.name, (scene) => expectPacketRefused(scene, row));
}

runStatements(import.meta.url);
