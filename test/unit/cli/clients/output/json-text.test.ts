/** JSON in and out. What is expected was printed by Debian's mosquitto_sub, unless said otherwise. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { jsonBytes, parseJson } from '../../../../../src/cli/clients/output/json-text.js';

function reprint(text: string | Buffer, pretty = false): string | undefined {
  const value = parseJson(Buffer.from(text as string));
  return value === undefined ? undefined : jsonBytes(value, pretty).toString('latin1');
}

const latin1 = (text: string) => Buffer.from(text).toString('latin1');

describe('taken', () => {
  const rows: [text: string | Buffer, expected: string][] = [
    ['01', '1'],
    ['1.', '1'],
    ['-.5', '-0.5'],
    ['1e400', 'null'],
    ['12345678901234567890', '1.2345678901234567e+19'],
    ['0.1', '0.1'],
    ['1e5', '100000'],
    ['1.5e300', '1.5e+300'],
    ['3.0', '3'],
    ['1E+2', '100'],
    ['[-0, 0.30000000000000004, 1.7976931348623157e308]', '[-0,0.3,1.79769313486232e+308]'],
    ['[123456789012345678,2147483648,-2147483649]', '[1.2345678901234568e+17,2147483648,-2147483649]'],
    ['[5e-324,0.000001,1e-7,1e15,1e17]', '[4.94065645841247e-324,1e-06,1e-07,1e+15,1e+17]'],
    ['123456.789', '123456.789'],
    ['{"a":1,"a":2,"1":3}', '{"a":1,"a":2,"1":3}'],
    ['\ufeff{"a":1}', '{"a":1}'],
    ['"a\\u0000b"', '"a"'],
    ['{"a\\u0000b":1}', '{"a":1}'],
    ['"\\u00e9\\ud83d\\ude00"', latin1('"é😀"')],
    ['"a\tb"', '"a\\tb"'],
    [Buffer.from('"\xff"', 'latin1'), '"\xff"'],
    ['"\\/"', '"/"'],
    ['"\\u0001\\u001f\\u007f"', '"\\u0001\\u001f\x7f"'],
    ['[ ]', '[]'],
    ['\v1\x01', '1'],
    ['1\n\t ', '1'],
    [' true ', 'true'],
    ['[[[]],{}]', '[[[]],{}]'],
  ];
  for (const [text, expected] of rows) {
    test(JSON.stringify(text.toString()), () => assert.equal(reprint(text), expected));
  }
});

describe('not taken', () => {
  const rows = [
    ...['', '+1', '1-2', '1e', '1e+', '.5', '-', '0x10', 'NaN', 'tru', 'nulll', '1 2', '[]x'],
    ...['[1,2', '[1,]', '[,1]', '{"a":1,}', "{'a':1}", '{1:2}', '{"a" 1}', '"abc', '"\\x"', '"\\u12"'],
    ...['"\\ud83d"', '"\\ud83dx"', '"\\udc00"', '\ufeff', '\x001', '1\0zz', '1\0'],
  ];
  for (const text of rows) {
    test(JSON.stringify(text), () => assert.equal(reprint(text), undefined));
  }

  test('nested too deep', () => {
    const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);
    assert.equal(reprint(nested(1000)), nested(1000));
    assert.equal(reprint(nested(1001)), undefined);
  });
});

test('pretty arrays stay on their line, objects do not', () => {
  const expected = '{\n\t"a":\t[1, 2, {\n\t\t\t"b":\tnull,\n\t\t\t"c":\t[]\n\t\t}],\n\t"e":\t[[1], [2]]\n}';
  assert.equal(reprint('{"a":[1,2,{"b":null,"c":[]}],"e":[[1],[2]]}', true), expected);
});

test('what JSON.stringify writes is read, and what is written JSON.parse reads alike', () => {
  // Strings end at a NUL; the largest numbers, cut to 15 digits, are read back as infinite.
  const jsonWithoutNul = fc.json({ maxDepth: 5 }).filter((text) => !/\\u0000|e\+308/.test(text));
  fc.assert(
    fc.property(jsonWithoutNul, fc.boolean(), (text, pretty) => {
      const printed = Buffer.from(reprint(text, pretty)!, 'latin1').toString();
      assertAlike(JSON.parse(printed), JSON.parse(text));
    }),
  );
});

/** The same but for the last bit of numbers, which 15 digits do not always say. */
function assertAlike(actual: unknown, expected: unknown): void {
  if (typeof expected === 'number') {
    assert.ok(Math.abs((actual as number) - expected) <= Math.abs(expected) * Number.EPSILON);
  } else if (typeof expected === 'object' && expected !== null) {
    assert.deepEqual(Object.keys(actual as object), Object.keys(expected));
    for (const [key, value] of Object.entries(expected)) {
      assertAlike((actual as Record<string, unknown>)[key], value);
    }
  } else {
    assert.equal(actual, expected);
  }
}
