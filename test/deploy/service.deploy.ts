/** What starts and stops the broker as a service, as far as that can be seen without being process 1. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { afterTest, makeFolder } from '../support/cleanup.js';
import { freePort } from '../support/network/free-port.js';
import { midgeCommand, projectFolder } from '../support/project.js';
import { until } from '../support/within.js';

/** Tenths, of `systemd-analyze security`: 0 is closed, 100 open. */
const EXPOSURE_MAX = 25;

const deploy = join(projectFolder, 'deploy');

test("systemd's unit is right, and leaves the broker few rights", () => {
  const unit = join(deploy, 'midge.service');
  const { stderr } = spawnSync('systemd-analyze', ['verify', unit], { encoding: 'utf8' });
  assert.doesNotMatch(stderr, /midge\.service:/);
  const security = ['security', '--offline=true', `--threshold=${EXPOSURE_MAX}`, unit];
  const { status, stdout } = spawnSync('systemd-analyze', security, { encoding: 'utf8' });
  assert.equal(status, 0, stdout);
});

test('users and folders for systemd', () => {
  const folder = execFileSync('mktemp', ['-d'], { encoding: 'utf8' }).trim();
  try {
    mkdirSync(join(folder, 'etc'));
    execFileSync('systemd-sysusers', [`--root=${folder}`, join(deploy, 'midge.sysusers')], { stdio: 'pipe' });
    assert.match(readFileSync(join(folder, 'etc/passwd'), 'utf8'), /^mosquitto:/m);
    const make = [`--root=${folder}`, '--create', join(deploy, 'midge.tmpfiles')];
    execFileSync('systemd-tmpfiles', make, { stdio: 'pipe' });
    const list = execFileSync(
      'stat',
      ['-c', '%a %n', 'var/lib/mosquitto', 'var/log/mosquitto', 'run/mosquitto'],
      {
        cwd: folder,
        encoding: 'utf8',
      },
    );
    assert.equal(list, '740 var/lib/mosquitto\n740 var/log/mosquitto\n750 run/mosquitto\n');
  } finally {
    execFileSync('rm', ['-rf', folder]);
  }
});

test('logrotate accepts its file', () => {
  const state = ['-d', join(deploy, 'midge.logrotate')];
  const { stderr, status } = spawnSync('logrotate', state, { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  assert.match(stderr, /considering log \/var\/log\/mosquitto\/mosquitto\.log/);
  assert.doesNotMatch(stderr, /error/);
});

test('the shell reads the script for procd', () => {
  execFileSync('sh', ['-n', join(deploy, 'midge.procd')]);
});

test('the script for SysV starts, reloads, restarts and stops the broker', async (t) => {
  const folder = makeFolder(t);
  const pidFile = join(folder, 'run/mosquitto/mosquitto.pid');
  const config = join(folder, 'mosquitto.conf');
  const log = join(folder, 'broker.log');
  mkdirSync(join(folder, 'run/mosquitto'), { recursive: true });
  const lines = [
    `pid_file ${pidFile}`,
    `log_dest file ${log}`,
    'user root',
    `listener ${await freePort()} 127.0.0.1`,
  ];
  writeFileSync(config, `${lines.join('\n')}\n`);
  const starter = join(folder, 'midge');
  writeFileSync(starter, `#!/bin/sh\nexec ${midgeCommand.join(' ')} "$@"\n`, { mode: 0o755 });
  const script = join(folder, 'init');
  writeFileSync(
    script,
    readFileSync(join(deploy, 'midge.init'), 'utf8')
      .replace('MIDGE=/usr/bin/midge', `MIDGE=${starter}`)
      .replace('CONFIG=/etc/mosquitto/mosquitto.conf', `CONFIG=${config}`)
      .replace('PID_FILE=/run/mosquitto/mosquitto.pid', `PID_FILE=${pidFile}`)
      .replaceAll(/\/(run|var\/log|var\/lib)\/mosquitto(?=[ ;])/g, `${folder}$&`),
  );
  const call = (verb: string) => spawnSync('sh', [script, verb], { encoding: 'utf8' });
  afterTest(t, () => call('stop'));
  const written = (pattern: RegExp, times: number) => () => {
    try {
      return (readFileSync(log, 'utf8').match(pattern) ?? []).length >= times;
    } catch {
      return false;
    }
  };

  assert.equal(call('status').status, 3);
  assert.equal(call('start').status, 0);
  await until(written(/running$/gm, 1), 'the line that the broker runs');
  assert.equal(call('status').stdout, 'midge is running.\n');
  assert.equal(call('start').stdout, 'midge is running already.\n');
  assert.equal(call('reload').status, 0);
  await until(written(/Reloading config/g, 1), 'the line about the reload');
  const first = readFileSync(pidFile, 'utf8');
  assert.equal(call('restart').status, 0);
  await until(written(/running$/gm, 2), 'the second broker');
  assert.notEqual(readFileSync(pidFile, 'utf8'), first);
  assert.equal(call('stop').status, 0);
  assert.equal(call('status').status, 3);
  assert.equal(call('stop').status, 0);
  assert.equal(call('nonsense').status, 2);
});
