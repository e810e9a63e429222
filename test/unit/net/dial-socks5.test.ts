/** The handshake with a SOCKS5 proxy, byte for byte; the first rows are what Debian's mosquitto_pub sends. */
import assert from 'node:assert/strict';
import { Duplex } from 'node:stream';
import { describe, test } from 'node:test';
import { connectRequest, passProxy } from '../../../src/net/dial-socks5.js';
import { ProxyError } from '../../../src/net/proxy-error.js';

describe('CONNECT', () => {
  const rows: [host: string, bytes: string][] = [
    ['10.1.2.3', '050100010a010203075b'],
    ['::1', '0501000400000000000000000000000000000001075b'],
    ['fe80::1', '05010004fe800000000000000000000000000001075b'],
    ['1234', '050100030431323334075b'],
    ['::', '0501000400000000000000000000000000000000075b'],
    ['1:2:3:4:5:6:7:8', '0501000400010002000300040005000600070008075b'],
    ['::ffff:192.0.2.1', '0501000400000000000000000000ffffc0000201075b'],
    ['fe80::1%eth0', '05010004fe800000000000000000000000000001075b'],
  ];
  for (const [host, bytes] of rows) {
    test(host, () => assert.equal(connectRequest(host, 1883).toString('hex'), bytes));
  }

  test('a name that is too long', () => {
    assert.throws(() => connectRequest('x'.repeat(256), 1883), ProxyError);
  });
});

/** A proxy that says all of this whatever it hears, in pieces of so many bytes. */
class Scripted extends Duplex {
  heard = '';

  constructor(answers: string, pieceLength: number) {
    super();
    const bytes = Buffer.from(answers, 'hex');
    for (let at = 0; at < bytes.length; at += pieceLength) this.push(bytes.subarray(at, at + pieceLength));
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.heard += chunk.toString('hex');
    done();
  }
}

const server = { host: 'h', port: 1 };
const nobody = { host: 'p', port: 1080, username: undefined, password: undefined };
const somebody = { ...nobody, username: 'us', password: 'pw' };

describe('the whole', () => {
  for (const pieceLength of [1, 3, 100]) {
    test(`without a name, in pieces of ${pieceLength}`, async () => {
      const proxy = new Scripted('0500' + '05000001010203040506' + '20020000', pieceLength);
      await passProxy(proxy, nobody, server);
      assert.equal(proxy.heard, '050100' + '05010003016800' + '01');
      let rest = '';
      for (let chunk = proxy.read(); chunk !== null; chunk = proxy.read()) rest += chunk.toString('hex');
      assert.equal(rest, '20020000', 'what follows is the server speaking');
    });
  }

  test('with name and password, answered with a name', async () => {
    const proxy = new Scripted('0502' + '0100' + '0500000302616200' + '01', 100);
    await passProxy(proxy, somebody, server);
    assert.equal(proxy.heard, '05020002' + '01027573027077' + '05010003016800' + '01');
  });
});

describe('what goes wrong', () => {
  const rows: [name: string, answers: string, kind: string][] = [
    ['another version', '0400', 'failed'],
    ['no method in common', '05ff', 'not-allowed'],
    ['a method that was not offered', '0501', 'not-allowed'],
    ['a wrong password', '05020101', 'failed'],
    ['forbidden', '05000502', 'not-allowed'],
    ['unreachable', '05000505', 'unreachable'],
    ['something else', '05000501', 'failed'],
  ];
  for (const [name, answers, kind] of rows) {
    test(name, async () => {
      const proxy = new Scripted(`${answers}0001000000000000`, 100);
      await assert.rejects(passProxy(proxy, somebody, server), (error) => {
        assert.equal(error instanceof ProxyError && error.kind, kind);
        return true;
      });
    });
  }

  test('the end in the middle', async () => {
    const proxy = new Scripted('0500', 100);
    proxy.push(null);
    await assert.rejects(passProxy(proxy, nobody, server), /closed the connection/);
  });
});
