/** Which OCSP responses prove that a certificate was not revoked; made by `openssl ocsp`. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import { ocspFault } from '../../../src/net/ocsp-proof.js';
import { skipWithout } from '../../support/brokers/debian.js';
import { makeFolder } from '../../support/cleanup.js';
import { type KeyPair, makeCertificates } from '../../support/network/certificates.js';
import { OcspAuthority } from '../../support/network/ocsp-responder.js';

const skip = skipWithout('/usr/bin/openssl');
const hourMs = 3600_000;
const responders = 'extendedKeyUsage=OCSPSigning';
const noCertificates = ['-ndays', '1', '-resp_no_certs'];

const load = ({ certificate }: Pick<KeyPair, 'certificate'>) =>
  new X509Certificate(readFileSync(certificate));

/** Judges responses about the server's certificate. */
function judge({ server, authority }: OcspAuthority, response: Uint8Array, laterMs = 0): string | null {
  const nowMs = Date.now() + laterMs;
  return ocspFault(response, { certificate: load(server), issuer: load(authority), nowMs });
}

describe('OCSP', { skip }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'midge-test-'));
  let made: OcspAuthority;
  before(() => {
    made = new OcspAuthority(folder);
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  test('a good answer, by the authority or by whom it lets sign', () => {
    const delegate = made.delegate('responder', responders);
    assert.equal(judge(made, made.respond()), null);
    assert.equal(judge(made, made.respond({ args: noCertificates })), null);
    assert.equal(judge(made, made.respond({ signer: delegate })), null);
    for (const digest of ['sha384', 'sha512']) {
      assert.equal(judge(made, made.respond({ args: ['-ndays', '1', `-rmd`, digest] })), null);
    }
  });

  test('an answer that is not good', () => {
    assert.match(judge(made, made.respond({ status: 'revoked' }))!, /has been revoked/);
    assert.match(judge(made, made.respond({ status: 'unknown' }))!, /does not know its certificate/);
  });

  test('times: five minutes may lie between the clocks', () => {
    const response = made.respond();
    for (const [laterMs, why] of [
      [-hourMs, /is not valid yet/],
      [-0.05 * hourMs, null],
      [24.05 * hourMs, null],
      [25 * hourMs, /has expired/],
    ] as const) {
      const fault = judge(made, response, laterMs);
      if (why === null) assert.equal(fault, null);
      else assert.match(fault!, why);
    }
    assert.match(judge(made, made.respondLongAgo())!, /has expired/);
  });

  test('an answer without an end is good for a day', () => {
    const response = made.respond({ args: [] });
    assert.equal(judge(made, response, 23 * hourMs), null);
    assert.match(judge(made, response, 25 * hourMs)!, /has expired/);
  });

  test('signed by somebody else', () => {
    const signers = {
      namesake: made.namesake(),
      'not for that': made.delegate('client', 'extendedKeyUsage=clientAuth'),
      'for nothing': made.delegate('plain', ''),
      'the server itself': made.server,
    };
    for (const [name, signer] of Object.entries(signers)) {
      assert.match(judge(made, made.respond({ signer }))!, /is not signed by the authority/, name);
    }
    const sha1 = made.respond({ args: ['-ndays', '1', '-rmd', 'sha1'] });
    assert.match(judge(made, sha1)!, /is not signed by the authority/);
  });

  test('a responder whose own certificate has run out', () => {
    const delegate = made.delegate('responder', responders);
    const response = made.respond({ signer: delegate, args: ['-ndays', '9'] });
    assert.equal(judge(made, response, 24 * hourMs), null);
    assert.match(judge(made, response, 72 * hourMs)!, /is not signed by the authority/);
  });

  test('about another certificate, or from an authority that has not signed this one', (t) => {
    const certificate = load({ certificate: made.delegate('other', '').certificate });
    const question = { certificate, issuer: load(made.authority), nowMs: Date.now() };
    assert.match(ocspFault(made.respond(), question)!, /is about another certificate/);
    const issuer = load({ certificate: makeCertificates(makeFolder(t)).authority });
    const stranger = { certificate: load(made.server), issuer, nowMs: Date.now() };
    assert.match(ocspFault(made.respond(), stranger)!, /authority of its certificate is not known/);
  });

  test('a responder that only says why it gives no answer', () => {
    assert.match(judge(made, Buffer.of(0x30, 3, 0x0a, 1, 3))!, /only said "try later"/);
    assert.match(judge(made, Buffer.of(0x30, 3, 0x0a, 1, 0))!, /cannot be used/);
  });

  test('no byte can be changed, added or left out', () => {
    const response = made.respond({ args: noCertificates });
    for (let at = 0; at < response.length; at += 1) {
      const changed = Buffer.from(response);
      // Every bit in its turn.
      changed[at]! ^= 1 << (at % 8);
      assert.notEqual(judge(made, changed), null, `byte ${at}`);
      assert.notEqual(judge(made, response.subarray(0, at)), null, `the first ${at} bytes`);
    }
    assert.notEqual(judge(made, Buffer.concat([response, Buffer.of(0)])), null);
  });

  test('bytes from nowhere are no proof, and do no harm', () => {
    const response = made.respond({ signer: made.delegate('responder', responders) });
    const splice = fc.tuple(fc.nat(response.length), fc.nat(8), fc.uint8Array({ maxLength: 8 }));
    fc.assert(
      fc.property(fc.array(splice, { minLength: 1, maxLength: 4 }), (splices) => {
        let bytes = [...response];
        for (const [at, count, inserted] of splices) bytes = bytes.toSpliced(at, count, ...inserted);
        if (Buffer.compare(response, Buffer.from(bytes)) === 0) return;
        const fault = judge(made, Uint8Array.from(bytes));
        assert.ok(fault === null || fault.length > 0);
      }),
      { numRuns: 500 },
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => assert.notEqual(judge(made, bytes), null)),
      { numRuns: 500 },
    );
  });
});
