import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type OptionName, optionSchema } from '../../../src/config/option-schema.js';
import { settingName } from '../../../src/config/option-types.js';
import { type BridgeSettings, defaultSettings, defaultsOf } from '../../../src/config/settings.js';
import { shownSettings } from '../../../src/http-api/shown-settings.js';

/** Paths of files, and what is sent to everybody. */
const NO_SECRETS: readonly string[] = ['password_file', 'psk_file', 'psk_hint'];

test('each option that holds a secret is hidden, and shows that it is set', () => {
  const secrets = (Object.keys(optionSchema) as OptionName[]).filter(
    (name) => /password|psk|secret/.test(name) && !NO_SECRETS.includes(name),
  );
  assert.ok(secrets.length >= 3, secrets.join());
  const given = Object.fromEntries(secrets.map((name) => [settingName(name), 'geheim']));
  const bridge = { ...defaultsOf('bridge'), ...given, name: 'b' } as unknown as BridgeSettings;
  const plugin = { ...defaultsOf('plugin'), name: 'p', path: 'p', global: true };
  const settings = {
    ...defaultSettings(),
    bridges: [bridge],
    plugins: [{ ...plugin, options: [{ key: 'db_password', value: 'geheim' }] }],
  };
  const shown = JSON.stringify(shownSettings(settings));
  for (const name of secrets) {
    assert.equal(optionSchema[name].scope, 'bridge', name);
    assert.ok(shown.includes(`"${settingName(name)}":"(hidden)"`), name);
  }
  assert.ok(!shown.includes('geheim'), shown);
});
