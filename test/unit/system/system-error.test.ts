import assert from 'node:assert/strict';
import { lookup } from 'node:dns/promises';
import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { test } from 'node:test';
import { getSystemErrorMap } from 'node:util';
import { loadCLibrary } from '../../../src/system/c-library.js';
import { cLibraryErrorText } from '../../../src/system/system-error.js';

function systemError(code: keyof typeof constants.errno): Error {
  return Object.assign(new Error(`connect ${code} 10.0.0.1:1883`), { code, errno: -constants.errno[code] });
}

test('every error has the words of the C library', () => {
  const { libc } = loadCLibrary();
  const strerror = libc.func('const char *strerror(int)');
  for (const [errno, [code]] of getSystemErrorMap()) {
    if (!(code in constants.errno)) continue;
    const text = cLibraryErrorText(systemError(code as keyof typeof constants.errno));
    assert.equal(text, strerror(-errno), code);
  }
});

test('an error of a file', () => {
  assert.throws(
    () => readFileSync('/nowhere/at/all'),
    (error) => cLibraryErrorText(error) === 'No such file or directory',
  );
});

test('a name that nobody knows', async () => {
  await assert.rejects(lookup('nobody.invalid'), (error) =>
    /^(Name or service not known|Temporary failure in name resolution)$/.test(cLibraryErrorText(error)),
  );
});

test("an error that is not the system's says what it says", () => {
  assert.equal(
    cLibraryErrorText(new Error('the old content is in x.backup')),
    'The old content is in x.backup',
  );
});
