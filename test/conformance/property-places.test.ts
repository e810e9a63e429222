/** Every property of MQTT 5.0 on every packet of a client: where it may stand, how often, and with which values. */
import assert from 'node:assert/strict';
import { ReasonCode } from '../../src/mqtt/reason-codes.js';
import { varintLength, writeVarint } from '../../src/mqtt/varint.js';
import { bytes } from '../support/packets/packet-bytes.js';
import { runStatements, type Scene, statement } from './statement.js';

const { malformedPacket, protocolError, topicAliasInvalid, badAuthenticationMethod } = ReasonCode;

/** A packet with properties in the middle. */
interface Holder {
  firstByte: number;
  before: string;
  after: string;
}

const holders: Readonly<Record<string, Holder>> = {
  CONNECT: { firstByte: 0x10, before: '"MQTT" 05 02 0000', after: '"{id}"' },
  will: { firstByte: 0x10, before: '"MQTT" 05 06 0000 00 "{id}"', after: '"w" "x"' },
  PUBLISH: { firstByte: 0x30, before: '"a"', after: '' },
  PUBACK: { firstByte: 0x40, before: '0001 00', after: '' },
  PUBREC: { firstByte: 0x50, before: '0001 00', after: '' },
  PUBREL: { firstByte: 0x62, before: '0001 00', after: '' },
  PUBCOMP: { firstByte: 0x70, before: '0001 00', after: '' },
  SUBSCRIBE: { firstByte: 0x82, before: '0001', after: '"{id}" 00' },
  UNSUBSCRIBE: { firstByte: 0xa2, before: '0001', after: '"{id}"' },
  DISCONNECT: { firstByte: 0xe0, before: '00', after: '' },
};

type PropertyRow = readonly [
  what: string,
  property: string,
  places: string,
  /** Values that are none, each with the reason code. */
  wrong?: readonly (readonly [property: string, reasonCode: number])[],
];

const acknowledgements = 'PUBACK PUBREC PUBREL PUBCOMP';

// biome-ignore format: one property a line
const table: readonly PropertyRow[] = [
  ['payload format indicator', '01 01', 'PUBLISH will', [['01 02', protocolError], ['01 ff', protocolError]]],
  ['message expiry interval', '02 00000064', 'PUBLISH will'],
  ['content type', '03 "text"', 'PUBLISH will', [['03 0001ff', malformedPacket], ['03 000100', malformedPacket]]],
  ['response topic', '08 "t"', 'PUBLISH will', [['08 "+"', protocolError], ['08 "a/#"', protocolError], ['08 0001ff', malformedPacket]]],
  ['correlation data', '09 "data"', 'PUBLISH will'],
  ['subscription identifier', '0b 01', 'SUBSCRIBE', [['0b 00', protocolError], ['0b ffffffff7f', malformedPacket]]],
  ['session expiry interval', '11 00000000', 'CONNECT DISCONNECT'],
  ['assigned client identifier', '12 "a"', ''],
  ['server keep alive', '13 0001', ''],
  ['request problem information', '17 01', 'CONNECT', [['17 02', protocolError]]],
  ['will delay interval', '18 00000001', 'will'],
  ['request response information', '19 01', 'CONNECT', [['19 02', protocolError]]],
  ['response information', '1a "a"', ''],
  ['server reference', '1c "a"', 'DISCONNECT'],
  ['reason string', '1f "why"', `${acknowledgements} DISCONNECT`, [['1f 0001ff', malformedPacket]]],
  ['receive maximum', '21 0001', 'CONNECT', [['21 0000', protocolError]]],
  ['topic alias maximum', '22 0000', 'CONNECT'],
  ['topic alias', '23 0001', 'PUBLISH', [['23 0000', topicAliasInvalid]]],
  ['maximum QoS', '24 01', ''],
  ['retain available', '25 01', ''],
  ['user property', '26 "a" "b"', `CONNECT will PUBLISH ${acknowledgements} SUBSCRIBE UNSUBSCRIBE DISCONNECT`, [['26 0001ff "b"', malformedPacket], ['26 "a" 000100', malformedPacket]]],
  ['maximum packet size', '27 00000064', 'CONNECT', [['27 00000000', protocolError]]],
  ['wildcard subscription available', '28 01', ''],
  ['subscription identifiers available', '29 01', ''],
  ['shared subscription available', '2a 01', ''],
  ['what no property has', '7e 01', ''],
];

/** Sends the packet with these properties. @returns the reason code of CONNACK or DISCONNECT, 0 where it is taken */
async function answerTo(scene: Scene, holder: string, properties: Buffer): Promise<number> {
  const { firstByte, before, after } = holders[holder]!;
  const fill = (text: string) => bytes(text.replace('{id}', scene.id));
  const body = Buffer.concat([fill(before), withLength(properties), fill(after)]);
  const packet = Buffer.concat([Buffer.of(firstByte), withLength(body)]);
  if (firstByte === 0x10) {
    const client = await scene.openWith(packet);
    const { reasonCode } = await client.expectPacket('connack');
    client.destroy();
    return reasonCode;
  }
  const client = await scene.connect();
  client.send(packet);
  client.send({ type: 'pingreq' });
  for (;;) {
    const answer = await client.next().catch(() => undefined);
    if (answer?.type === 'disconnect') {
      await client.expectClosed();
      return answer.reasonCode;
    }
    // A DISCONNECT that is taken ends the connection without an answer.
    assert.equal(answer === undefined, holder === 'DISCONNECT', 'the connection ended');
    if (answer === undefined || answer.type === 'pingresp') return 0;
  }
}

function withLength(content: Buffer): Buffer {
  const length = Buffer.alloc(varintLength(content.length));
  writeVarint(length, 0, content.length);
  return Buffer.concat([length, content]);
}

for (const holder of Object.keys(holders)) {
  statement({ v5: '2.2.2-1 1.5.7-1' }, `the properties of ${holder}`, async (scene) => {
    assert.equal(await answerTo(scene, holder, Buffer.of()), 0);
    for (const [what, property, places, wrong = []] of table) {
      const once = bytes(property);
      const expect = async (properties: Buffer, reasonCode: number): Promise<void> => {
        const answer = await answerTo(scene, holder, properties);
        assert.equal(answer, reasonCode, `${what}: ${properties.toString('hex')}`);
      };
      if (!places.split(' ').includes(holder)) {
        const fromClient = holder === 'PUBLISH' && what === 'subscription identifier';
        await expect(once, fromClient ? protocolError : malformedPacket);
        continue;
      }
      await expect(once, 0);
      await expect(Buffer.concat([once, once]), what === 'user property' ? 0 : protocolError);
      await expect(once.subarray(0, -1), malformedPacket);
      for (const [value, reasonCode] of wrong) await expect(bytes(value), reasonCode);
    }
  });
}

statement({ v5: '4.12.0-1 4.13.1-1' }, 'authentication properties of CONNECT', async (scene) => {
  assert.equal(await answerTo(scene, 'CONNECT', bytes('15 "m"')), badAuthenticationMethod);
  assert.equal(await answerTo(scene, 'CONNECT', bytes('15 "m" 16 "d"')), badAuthenticationMethod);
  assert.equal(await answerTo(scene, 'CONNECT', bytes('16 "d"')), protocolError);
  assert.equal(await answerTo(scene, 'CONNECT', bytes('15 "m" 15 "m"')), protocolError);
});

runStatements(import.meta.url);
