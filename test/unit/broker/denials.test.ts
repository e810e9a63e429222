/** How often denials are told of. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileAcl } from '../../../src/auth/acl-check.js';
import { DenialLog } from '../../../src/broker/denials.js';
import { logMaskAll } from '../../../src/log/log-types.js';

test('ten lines in ten seconds, and how many there were besides', () => {
  const lines: string[] = [];
  const denials = new DenialLog({ mask: logMaskAll, write: (_type, text) => lines.push(text) });
  const acl = compileAcl([]).forClient('user', 'client');
  for (let number = 0; number < 15; number += 1) denials.denied('client', 'a', acl, 1000);
  assert.equal(lines.length, 10);
  assert.equal(lines[0], "Client client may not publish 'a': no rule grants it.");
  denials.tick(10_999);
  assert.equal(lines.length, 10);
  denials.tick(11_000);
  assert.deepEqual(lines.slice(10), ['5 further messages were denied.']);
  denials.tick(21_000);
  denials.denied('client', 'b', acl, 21_000);
  assert.equal(lines.length, 12);
});
