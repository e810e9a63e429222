import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LogMask, logMaskAll, logMaskDefault, logTypes, maskOf } from '../../../src/log/log-types.js';

test('each log type has a bit of its own', () => {
  assert.equal(new Set(Object.values(LogMask)).size, 9);
  assert.equal(logMaskAll, 0b111111111);
  assert.equal(
    logTypes.reduce((sum, type) => sum + LogMask[type], 0),
    logMaskAll,
  );
});

test('a mask holds exactly the types it is made of', () => {
  assert.equal(maskOf([]), 0);
  assert.equal(maskOf(['debug', 'debug']), LogMask.debug);
  assert.equal(maskOf(['error', 'subscribe']), LogMask.error | LogMask.subscribe);
});

test('errors, warnings, notices and information are logged by default', () => {
  assert.deepEqual(
    logTypes.filter((type) => (logMaskDefault & LogMask[type]) !== 0),
    ['error', 'warning', 'notice', 'information'],
  );
});
