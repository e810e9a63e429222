/** Each term of the glossary names a file of the sources, and something that is in it. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { projectFolder } from '../support/project.js';

const source = join(projectFolder, 'src');
const text = readFileSync(join(source, 'GLOSSARY.md'), 'utf8');
const terms = text.split(/^- /m).slice(1);

test('each term of src/GLOSSARY.md is bold, and stands once', () => {
  const names = terms.map((term) => /^\*\*(.+?)\*\* – /.exec(term)?.[1]);
  assert.ok(names.length >= 30, `${names.length} terms`);
  assert.ok(!names.includes(undefined), `${terms[names.indexOf(undefined)]}`);
  assert.equal(new Set(names).size, names.length);
});

for (const term of terms) {
  test(`src/GLOSSARY.md: ${term.slice(0, term.indexOf(' – '))} is where the glossary says`, () => {
    const [, file, name] = /\(`([\w./-]+)`,\s+`(\w+)`\)\.\s*/.exec(term) ?? [];
    assert.ok(file !== undefined && name !== undefined, term);
    assert.match(readFileSync(join(source, file), 'utf8'), new RegExp(`\\b${name}\\b`), `${name} in ${file}`);
  });
}
