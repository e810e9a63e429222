/** MQTT over WebSockets [6]: what frames hold, and the handshake before them. */
import assert from 'node:assert/strict';
import { encodePacket } from '../../src/mqtt/encode.js';
import { FrameSocket, Opcode, upgradeRequest } from '../support/clients/frame-socket.js';
import { connectPacket } from '../support/clients/packet-socket.js';
import { runStatements, type Scene, statement } from './statement.js';

const config = 'listener {port} 127.0.0.1\nprotocol websockets\nallow_anonymous true';
const PINGREQ = Buffer.from('c000', 'hex');
const PINGRESP = 'd000';

function connect(scene: Scene): Buffer {
  return encodePacket(connectPacket(scene.version, { clientId: scene.id }), scene.version);
}

/** A WebSocket whose client is connected. */
async function connected(scene: Scene): Promise<FrameSocket> {
  const socket = await FrameSocket.open(scene.t, scene.broker);
  socket.sendFrame(Opcode.binary, connect(scene));
  await expectConnack(socket);
  return socket;
}

async function expectConnack(socket: FrameSocket): Promise<void> {
  const { opcode, payload } = await socket.next();
  assert.equal(opcode, Opcode.binary);
  assert.match(payload.toString('hex'), /^20..0000/);
}

statement(
  { v3: '', v4: '6.0.0-1', v5: '6.0.0-1' },
  'packets come and go in binary frames; a text frame ends the connection',
  async (scene) => {
    const socket = await connected(scene);
    socket.sendFrame(Opcode.text, PINGREQ);
    await socket.expectClose(1003);
    const first = await FrameSocket.open(scene.t, scene.broker);
    first.sendFrame(Opcode.text, connect(scene));
    await first.expectClose(1003);
  },
  { config },
);

statement(
  { v3: '', v4: '6.0.0-1', v5: '6.0.0-1' },
  'a frame of a kind that is not defined ends the connection',
  async (scene) => {
    for (const opcode of [3, 7, 11]) {
      const socket = await connected(scene);
      socket.sendFrame(opcode, PINGREQ);
      await socket.expectClose(1002);
    }
  },
  { config },
);

statement(
  { v3: '', v4: '6.0.0-2', v5: '6.0.0-2' },
  'a frame with several packets, and packets over several frames',
  async (scene) => {
    const several = await FrameSocket.open(scene.t, scene.broker);
    several.sendFrame(Opcode.binary, Buffer.concat([connect(scene), PINGREQ, PINGREQ]));
    let answers = '';
    while (!answers.endsWith(PINGRESP + PINGRESP)) answers += (await several.next()).payload.toString('hex');
    assert.match(answers, /^20/);

    const pieces = await FrameSocket.open(scene.t, scene.broker);
    for (const byte of connect(scene)) pieces.sendFrame(Opcode.binary, Buffer.from([byte]));
    await expectConnack(pieces);
    // The end of one packet and the beginning of the next.
    pieces.sendFrame(Opcode.binary, PINGREQ.subarray(0, 1));
    pieces.sendFrame(Opcode.binary, Buffer.from('00c0', 'hex'));
    await pieces.expectFrame(Opcode.binary, PINGRESP);
    pieces.sendFrame(Opcode.binary, Buffer.alloc(0));
    pieces.sendFrame(Opcode.binary, PINGREQ.subarray(1));
    await pieces.expectFrame(Opcode.binary, PINGRESP);
  },
  { config },
);

statement(
  { v3: '', v4: '6.0.0-2', v5: '6.0.0-2' },
  'a message in fragments, with a ping between them',
  async (scene) => {
    const socket = await FrameSocket.open(scene.t, scene.broker);
    const packet = connect(scene);
    socket.sendFrame(Opcode.binary, packet.subarray(0, 3), { fin: false });
    socket.sendFrame(Opcode.ping, Buffer.from('there?'));
    await socket.expectFrame(Opcode.pong, Buffer.from('there?').toString('hex'));
    socket.sendFrame(Opcode.continuation, packet.subarray(3, 7), { fin: false });
    socket.sendFrame(Opcode.continuation, packet.subarray(7));
    await expectConnack(socket);
  },
  { config },
);

statement(
  { v3: '', v4: '6.0.0-3 6.0.0-4', v5: '6.0.0-3 6.0.0-4' },
  'the sub-protocol "mqtt" is answered; who does not offer it is refused',
  async (scene) => {
    for (const offered of ['mqtt', 'mqttv3.1', 'other, mqtt', 'mqtt,other', 'mqttv3.1, mqtt']) {
      const socket = await FrameSocket.open(scene.t, scene.broker, { 'Sec-WebSocket-Protocol': offered });
      const answered = offered === 'mqttv3.1' ? 'mqttv3.1' : 'mqtt';
      assert.match(socket.response, new RegExp(`\r\nSec-WebSocket-Protocol: ${answered}(\r\n|$)`));
    }
    for (const offered of [null, '', 'other', 'MQTT', 'mqtt5']) {
      const request = upgradeRequest({ 'Sec-WebSocket-Protocol': offered });
      const answer = await FrameSocket.ask(scene.t, scene.broker, request);
      assert.match(answer, /^HTTP\/1\.1 400 Bad Request\r\n/);
    }
  },
  { config },
);

runStatements(import.meta.url);
