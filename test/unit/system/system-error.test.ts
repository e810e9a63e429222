import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { test } from 'node:test';
import { cLibraryErrorText, nodeErrorText } from '../../../src/system/system-error.js';

function systemError(code: keyof typeof constants.errno): Error {
  return Object.assign(new Error(`connect ${code} 10.0.0.1:1883`), { code, errno: -constants.errno[code] });
}

test('the C library and Node have other words for the same error', () => {
  const error = systemError('EHOSTUNREACH');
  assert.equal(nodeErrorText(error), 'Host is unreachable');
  assert.equal(cLibraryErrorText(error), 'No route to host');
});

test('where they agree the first letter is made a capital', () => {
  for (const textOf of [nodeErrorText, cLibraryErrorText]) {
    assert.equal(textOf(systemError('ECONNREFUSED')), 'Connection refused');
    assert.throws(
      () => readFileSync('/nowhere/at/all'),
      (error) => textOf(error) === 'No such file or directory',
    );
  }
});

test("an error that is not the system's says what it says", () => {
  assert.equal(
    cLibraryErrorText(new Error('the old content is in x.backup')),
    'the old content is in x.backup',
  );
});
