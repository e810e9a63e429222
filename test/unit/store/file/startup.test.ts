import assert from 'node:assert/strict';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { StoreUnavailableError } from '../../../../src/store/file/startup.js';
import { BrokerRuns } from '../../../support/brokers/broker-runs.js';
import { Program } from '../../../support/program.js';
import { builtFolder } from '../../../support/project.js';
import { readSample } from '../../../support/store/mosquitto-db-samples.js';
import { publication, temporaryFolder } from '../../../support/store/stores.js';

describe('autosave mode', () => {
  test('begins with nothing, and saves at an orderly end', async (t) => {
    const runs = new BrokerRuns(t);
    const first = await runs.start();
    assert.equal(first.mode, 'autosave');
    await first.add('a');
    assert.equal(await first.end(), true);
    assert.deepEqual(runs.files, ['mosquitto.db', 'mosquitto.db.state']);
    assert.equal(statSync(runs.path).mode & 0o777, 0o600);
    assert.ok(!existsSync(first.prepared.path), 'nothing stays in memory');
    const second = await runs.start();
    assert.deepEqual(second.names(), ['a']);
    assert.deepEqual(runs.log, []);
  });

  test('is saved at the end though somebody holds the write lock and hangs', async (t) => {
    const runs = new BrokerRuns(t);
    runs.lockMsMax = 300;
    const run = await runs.start();
    await run.add('a');
    const url = pathToFileURL(join(builtFolder, 'src', 'store', 'environment.js')).href;
    const script = `
      const { Environment } = await import(${JSON.stringify(url)});
      new Environment(${JSON.stringify({ path: run.prepared.path, mode: run.mode })}).inTransaction(() => {
        console.log('held');
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
      }, 0, 0);`;
    const holder = new Program(t, 'the holder', [process.execPath, '--input-type=module', '-e', script]);
    await holder.waitForLine(/^held$/);
    run.lifecycle.tick();
    run.lifecycle.tick(); // the tails wait for the lock now
    assert.equal(await run.end(), true);
    await holder.kill();
    assert.deepEqual((await runs.start()).names(), ['a']);
  });

  test('after a kill has everything, from the live store', async (t) => {
    const runs = new BrokerRuns(t);
    const first = await runs.start();
    await first.add('saved');
    await first.lifecycle.autosave.save();
    await first.add('unsaved');
    await first.kill();
    const second = await runs.start();
    assert.deepEqual(second.names(), ['saved', 'unsaved']);
    assert.deepEqual(second.alarms, []);
    assert.equal(runs.log.length, 1);
    await second.lifecycle.autosave.save();
    runs.reboot();
    await second.kill();
    assert.deepEqual((await runs.start()).names(), ['saved', 'unsaved']);
  });

  test('a file that somebody puts in the place of the save is kept, whatever is saved after it', async (t) => {
    const runs = new BrokerRuns(t);
    const run = await runs.start();
    await run.add('ours');
    await run.lifecycle.autosave.save();
    rmSync(runs.path);
    writeFileSync(runs.path, 'a backup');
    for (const name of ['more', 'and more']) {
      await run.add(name);
      await run.lifecycle.autosave.save();
    }
    const [foreign] = runs.files.filter((name) => name.includes('.foreign-'));
    assert.equal(readFileSync(join(dirname(runs.path), foreign!), 'utf8'), 'a backup');
    assert.deepEqual(
      run.events.filter((event) => event.startsWith('kept')),
      [`kept ${join(dirname(runs.path), foreign!)}`],
    );
    await run.end();
    assert.deepEqual((await runs.start()).names(), ['and more', 'more', 'ours']);
  });

  test('after a kill before the first save has everything, too', async (t) => {
    const runs = new BrokerRuns(t);
    const first = await runs.start();
    await first.add('a');
    await first.kill();
    assert.deepEqual((await runs.start()).names(), ['a']);
  });

  test('after a reboot has exactly the last save', async (t) => {
    const runs = new BrokerRuns(t);
    const first = await runs.start();
    await first.add('one');
    await first.lifecycle.autosave.save();
    await first.add('two');
    await first.lifecycle.autosave.save();
    await first.add('three');
    await first.kill();
    runs.reboot();
    const second = await runs.start();
    assert.deepEqual(second.names(), ['one', 'two']);
    assert.deepEqual(second.alarms, []);
    assert.ok(existsSync(`${runs.path}.previous`));
  });

  test('takes the file that was put back by hand, and keeps the live store', async (t) => {
    const runs = new BrokerRuns(t);
    const first = await runs.start();
    await first.add('old');
    await first.lifecycle.autosave.save();
    const backup = join(temporaryFolder(t), 'backup');
    copyFileSync(runs.path, backup);
    await first.add('new');
    await first.lifecycle.autosave.save();
    await first.kill();
    rmSync(runs.path);
    copyFileSync(backup, runs.path);
    const second = await runs.start();
    assert.deepEqual(second.names(), ['old']);
    assert.equal(second.alarms.length, 1);
    assert.ok(runs.files.includes('mosquitto.db.unsaved-20261123T151000Z'));
  });

  test('a broken live store is kept, and the save used', async (t) => {
    const runs = new BrokerRuns(t);
    const first = await runs.start();
    await first.add('saved');
    await first.lifecycle.autosave.save();
    await first.add('unsaved');
    await first.kill();
    writeFileSync(first.prepared.path, Buffer.alloc(20_000, 3));
    const second = await runs.start();
    assert.deepEqual(second.names(), ['saved']);
    assert.equal(second.alarms.length, 1);
    assert.ok(runs.files.includes('mosquitto.db.damaged-20261123T151000Z'));
  });

  test('a damaged save is put aside, and the previous one used', async (t) => {
    const runs = new BrokerRuns(t);
    const first = await runs.start();
    await first.add('one');
    await first.lifecycle.autosave.save();
    await first.add('two');
    assert.equal(await first.end(), true);
    const damaged = Buffer.alloc(100_000, 1);
    writeFileSync(runs.path, damaged);
    const second = await runs.start();
    assert.deepEqual(second.names(), ['one']);
    assert.equal(second.alarms.length, 2);
    assert.deepEqual(readFileSync(`${runs.path}.damaged-20261123T151000Z`), damaged);
    await second.end();
    assert.deepEqual((await runs.start()).names(), ['one']);
  });

  test('an unreadable saved file alone makes an empty start with an alarm', async (t) => {
    const runs = new BrokerRuns(t);
    writeFileSync(runs.path, 'some text of somebody else');
    const first = await runs.start();
    assert.deepEqual(first.names(), []);
    assert.equal(first.alarms.length, 2);
    assert.ok(runs.files.includes('mosquitto.db.damaged-20261123T151000Z'));
    await first.add('a');
    assert.equal(await first.end(), true);
    assert.deepEqual((await runs.start()).names(), ['a']);
  });

  test('an empty file counts as none, with a warning', async (t) => {
    const runs = new BrokerRuns(t);
    writeFileSync(runs.path, '');
    const first = await runs.start();
    assert.deepEqual(first.names(), []);
    assert.deepEqual(runs.log, ['warning: Warning: Persistence file is empty.']);
    await first.add('a');
    await first.end();
    assert.deepEqual((await runs.start()).names(), ['a']);
  });

  test('saves that fail are reported once, tried again, and leave the live store', async (t) => {
    const runs = new BrokerRuns(t);
    const first = await runs.start();
    await first.add('a');
    rmSync(dirname(runs.path), { recursive: true });
    writeFileSync(dirname(runs.path), 'not a folder');
    assert.equal(await first.lifecycle.autosave.save(), false);
    assert.equal(await first.lifecycle.autosave.save(), false);
    assert.equal(first.events.length, 1);
    assert.match(first.events[0]!, /^failed: E/);
    assert.equal(await first.end(), false);
    assert.ok(existsSync(first.prepared.path), 'the live store is all there is');
    rmSync(dirname(runs.path));
    mkdirSync(dirname(runs.path));
    const second = await runs.start();
    assert.deepEqual(second.names(), ['a']);
    assert.equal(await second.end(), true);
    assert.deepEqual((await runs.start()).names(), ['a']);
  });

  test('a save without changes writes nothing', async (t) => {
    const runs = new BrokerRuns(t);
    const first = await runs.start();
    await first.add('a');
    await first.lifecycle.autosave.save();
    const before = statSync(runs.path);
    await first.lifecycle.autosave.save();
    assert.equal(statSync(runs.path).ino, before.ino);
    assert.deepEqual(first.events, ['saved bytes']);
  });
});

describe('a saved file that is removed or replaced while the broker runs', () => {
  test('is written again though nothing has changed', async (t) => {
    const runs = new BrokerRuns(t);
    const run = await runs.start();
    await run.add('a');
    await run.lifecycle.autosave.save();
    rmSync(runs.path);
    assert.equal(await run.lifecycle.autosave.save(), true);
    assert.ok(existsSync(runs.path));
    rmSync(dirname(runs.path), { recursive: true });
    assert.equal(await run.end(), true);
    assert.deepEqual((await runs.start()).names(), ['a']);
  });

  test('leaves the live store where it cannot be written again', async (t) => {
    const runs = new BrokerRuns(t);
    const run = await runs.start();
    await run.add('a');
    await run.lifecycle.autosave.save();
    const folder = dirname(runs.path);
    renameSync(folder, `${folder}.away`);
    writeFileSync(folder, 'in the way');
    assert.equal(await run.end(), false);
    assert.ok(existsSync(run.prepared.path));
    rmSync(folder);
    renameSync(`${folder}.away`, folder);
    assert.deepEqual((await runs.start()).names(), ['a']);
  });

  for (const what of ['removed', 'replaced', 'removed with its folder']) {
    test(`durable: ${what}, is told, nothing is acknowledged, and a new one has everything`, async (t) => {
      const runs = new BrokerRuns(t);
      runs.durable = true;
      const run = await runs.start();
      await run.add('before');
      if (what === 'removed with its folder') rmSync(dirname(runs.path), { recursive: true });
      else rmSync(runs.path);
      if (what === 'replaced') writeFileSync(runs.path, 'of somebody else');
      const mark = run.worker.mark();
      let acknowledged = false;
      run.worker.retained.set(publication('retained/after', 'after'));
      run.worker.whenSettled(mark, () => {
        acknowledged = true;
      });
      assert.equal(await run.worker.flush(), false);
      assert.equal(acknowledged, false);
      run.lifecycle.tick();
      await run.written();
      assert.deepEqual(run.events.slice(0, 1), ['the file is lost']);
      await run.end();
      const next = await runs.start();
      assert.deepEqual(next.names(), ['before']);
      assert.ok(next.worker.retained.get('retained/after'), 'also what was not acknowledged');
      assert.equal(
        runs.files.filter((name) => name.includes('.foreign-')).length,
        what === 'replaced' ? 1 : 0,
      );
    });
  }
});

describe('a saved file that cannot be read', () => {
  /** Puts a link that leads nowhere in the place of a file or folder: a way to make it unreadable for root, too. */
  function makeUnreadable(path: string): () => void {
    renameSync(path, `${path}.hidden`);
    symlinkSync(path, path);
    return () => {
      rmSync(path);
      renameSync(`${path}.hidden`, path);
    };
  }

  for (const what of ['file', 'folder']) {
    test(`autosave: a ${what} is not replaced, and taken up when it can be read`, async (t) => {
      const runs = new BrokerRuns(t);
      const first = await runs.start();
      await first.add('a');
      await first.lifecycle.autosave.save();
      await first.add('b');
      assert.equal(await first.end(), true);
      const makeReadable = makeUnreadable(what === 'file' ? runs.path : dirname(runs.path));
      await assert.rejects(runs.start(), StoreUnavailableError);
      const standIn = await runs.start({ mayStandIn: true });
      assert.equal(standIn.prepared.standIn, 'blind');
      assert.match(standIn.alarms[0]!, /^Error: the store \S+ cannot be used: ELOOP/);
      await standIn.add('meanwhile');
      await standIn.lifecycle.autosave.save();
      await standIn.end();
      makeReadable();
      assert.deepEqual(runs.files, ['mosquitto.db', 'mosquitto.db.previous', 'mosquitto.db.state']);
      assert.deepEqual((await runs.start()).names(), ['a', 'b']);
    });
  }

  test('autosave: the live store of a killed broker stays, and is used when it can be read', async (t) => {
    const runs = new BrokerRuns(t);
    const first = await runs.start();
    await first.add('saved');
    await first.lifecycle.autosave.save();
    await first.add('unsaved');
    await first.kill();
    const makeReadable = makeUnreadable(dirname(runs.path));
    const standIn = await runs.start({ mayStandIn: true });
    assert.equal(standIn.prepared.standIn, 'blind');
    await standIn.end();
    makeReadable();
    assert.deepEqual((await runs.start()).names(), ['saved', 'unsaved']);
  });

  test('deferred: is not replaced', async (t) => {
    const runs = new BrokerRuns(t, '/nowhere');
    const first = await runs.start();
    await first.add('a');
    await first.end();
    const makeReadable = makeUnreadable(runs.path);
    const standIn = await runs.start({ mayStandIn: true });
    assert.equal(standIn.prepared.standIn, 'blind');
    await standIn.end();
    makeReadable();
    assert.deepEqual((await runs.start()).names(), ['a']);
  });
});

test('the live store of a killed broker is used though there is no room for a new one', async (t) => {
  const runs = new BrokerRuns(t);
  const first = await runs.start();
  await first.add('saved');
  await first.lifecycle.autosave.save();
  await first.add('unsaved');
  await first.kill();
  const disk = temporaryFolder(t); // no file system in memory: no room there
  cpSync(runs.memory, disk, { recursive: true, preserveTimestamps: true });
  const second = await runs.start({ memoryFolders: [disk] });
  assert.equal(second.mode, 'autosave');
  assert.deepEqual(second.names(), ['saved', 'unsaved']);
});

describe('durable mode', () => {
  function durableRuns(t: Parameters<typeof temporaryFolder>[0]): BrokerRuns {
    const runs = new BrokerRuns(t);
    runs.durable = true;
    return runs;
  }

  test('has everything after a kill and a reboot', async (t) => {
    const runs = durableRuns(t);
    const first = await runs.start();
    assert.equal(first.mode, 'durable');
    assert.equal(first.prepared.path, runs.path);
    await first.add('a');
    await first.kill();
    runs.reboot();
    const second = await runs.start();
    assert.deepEqual(second.names(), ['a']);
    assert.equal(await second.end(), true);
    assert.deepEqual((await runs.start()).names(), ['a']);
    assert.deepEqual(runs.log, []);
  });

  test('takes over from autosave mode, and back', async (t) => {
    const runs = new BrokerRuns(t);
    const first = await runs.start();
    await first.add('a');
    await first.end();
    runs.durable = true;
    const second = await runs.start();
    await second.add('b');
    await second.kill();
    runs.durable = false;
    const third = await runs.start();
    assert.equal(third.mode, 'autosave');
    assert.deepEqual(third.names(), ['a', 'b']);
    await third.add('c');
    await third.end();
    runs.durable = true;
    assert.deepEqual((await runs.start()).names(), ['a', 'b', 'c']);
    assert.deepEqual(runs.log, []);
  });

  test('puts a damaged store aside and uses the previous save', async (t) => {
    const runs = new BrokerRuns(t);
    const first = await runs.start();
    await first.add('one');
    await first.lifecycle.autosave.save();
    await first.add('two');
    await first.end();
    writeFileSync(runs.path, Buffer.alloc(100_000, 1));
    runs.durable = true;
    const second = await runs.start();
    assert.deepEqual(second.names(), ['one']);
    assert.equal(second.alarms.length, 2);
  });

  test('does not begin where its file cannot be written, unless something may stand in for it', async (t) => {
    const runs = durableRuns(t);
    writeFileSync(join(dirname(runs.path), 'file'), '');
    const path = join(dirname(runs.path), 'file', 'mosquitto.db');
    await assert.rejects(runs.start({ path }), (error) => {
      return error instanceof StoreUnavailableError && /cannot be used/.test(error.message);
    });
    const standIn = await runs.start({ path, mayStandIn: true });
    assert.equal(standIn.mode, 'transient');
    assert.match(
      standIn.alarms[0]!,
      /^Error: the store \S+ cannot be used: .+ clients whose sessions stay are refused/,
    );
    await standIn.end();
  });
});

describe('without memory', () => {
  test('changes are held back until a save', async (t) => {
    const disk = temporaryFolder(t);
    const runs = new BrokerRuns(t, join(disk, 'not a file system in memory'));
    const first = await runs.start();
    assert.equal(first.mode, 'deferred');
    assert.match(runs.log[0]!, /^warning: No file system in memory/);
    await first.add('saved'); // flushes
    first.worker.retained.clear('retained/saved');
    for (let i = 0; i < 100; i += 1) await turn();
    assert.equal(first.worker.statistics().dirty, 1);
    await first.kill();
    const second = await runs.start();
    assert.deepEqual(second.names(), ['saved']);
    second.worker.retained.clear('retained/saved');
    await second.end();
    assert.deepEqual((await runs.start()).names(), []);
  });

  test('and without a folder to write to the broker serves on, says so, and saves when there is one', async (t) => {
    const runs = new BrokerRuns(t, '/nowhere');
    const before = await runs.start();
    await before.add('old');
    await before.end();
    const folder = dirname(runs.path);
    renameSync(folder, `${folder}.away`);
    writeFileSync(folder, 'in the way');
    const first = await runs.start();
    assert.match(first.alarms[0]!, /^Nothing is saved until it can be, the store \S+ cannot be used: /);
    await first.add('new');
    assert.equal(await first.lifecycle.autosave.save(), false);
    rmSync(folder);
    mkdirSync(folder);
    assert.equal(await first.lifecycle.autosave.save(), true);
    await first.kill();
    const second = await runs.start();
    assert.equal(second.mode, 'deferred');
    assert.deepEqual(second.names(), ['new']);
    await second.end();
    rmSync(`${folder}.away`, { recursive: true });
  });

  test('and with a folder that only reads, what is in it is served and saved with the rest later', async (t) => {
    const runs = new BrokerRuns(t, '/nowhere');
    const before = await runs.start();
    await before.add('old');
    await before.end();
    mkdirSync(`${runs.path}.room`); // in the way of the look for room
    const first = await runs.start();
    assert.deepEqual(first.names(), ['old']);
    await first.add('new');
    rmSync(`${runs.path}.room`, { recursive: true });
    assert.equal(await first.end(), true);
    assert.ok(!existsSync(first.prepared.path));
    assert.deepEqual((await runs.start()).names(), ['new', 'old']);
  });
});

test('persistence false keeps nothing', async (t) => {
  const runs = new BrokerRuns(t);
  runs.persistence = false;
  const first = await runs.start();
  assert.equal(first.mode, 'transient');
  await first.add('a');
  await first.kill();
  const second = await runs.start();
  assert.deepEqual(second.names(), []);
  assert.equal(await second.end(), true);
  assert.ok(!existsSync(second.prepared.path));
  assert.deepEqual(runs.files, []);
});

test('a memory folder of somebody else is not used', async (t) => {
  const runs = new BrokerRuns(t);
  const first = await runs.start();
  const folder = dirname(first.prepared.path);
  await first.end();
  chmodSync(folder, 0o777);
  const second = await runs.start();
  assert.equal(second.mode, 'deferred');
  await second.end();
});

describe("Mosquitto's own file", () => {
  for (const durable of [false, true]) {
    test(`is imported at the first start, and kept (${durable ? 'durable' : 'autosave'})`, async (t) => {
      const runs = new BrokerRuns(t);
      runs.durable = durable;
      const original = readSample('v6-2.1.2-all.db');
      writeFileSync(runs.path, original);
      const first = await runs.start();
      assert.deepEqual(first.alarms, []);
      assert.match(
        runs.log[0]!,
        /^notice: Imported a Mosquitto database of version 6: 11 retained messages, 4 sessions, 10 queued messages\.$/,
      );
      assert.equal(runs.log[1], 'notice: Not imported: a message of "v5/expired-soon" has expired.');
      const check = (run: typeof first) => {
        assert.equal(run.worker.retained.count, 11);
        assert.equal(run.worker.sessions.load('sessA')!.outgoing.waiting, 2);
        assert.equal(run.worker.sessions.load('sessA')!.outgoing.inFlight.length, 4);
        assert.equal(run.worker.sessions.load('sessA')!.incoming.inFlight.length, 1);
      };
      check(first);
      assert.equal(await first.end(), true);
      const kept = runs.files.find((name) => name.startsWith('mosquitto.db.imported-'));
      assert.ok(kept);
      assert.deepEqual(readFileSync(join(dirname(runs.path), kept)), original);
      const second = await runs.start();
      check(second);
      assert.equal(runs.log.length, 2);
    });
  }

  test('with damaged chunks is imported as far as it reads', async (t) => {
    const runs = new BrokerRuns(t);
    writeFileSync(runs.path, readSample('v6-2.1.2-all.db').subarray(0, 1800));
    const first = await runs.start();
    assert.equal(first.alarms.length, 1);
    assert.equal(await first.lifecycle.autosave.save(), true);
    await first.end();
  });

  test('of a version that nobody knows is put aside', async (t) => {
    const runs = new BrokerRuns(t);
    const bytes = readSample('v6-2.1.2-all.db');
    bytes[22] = 99;
    writeFileSync(runs.path, bytes);
    const first = await runs.start();
    assert.match(first.alarms[0]!, /version 99/);
    assert.ok(runs.files.includes('mosquitto.db.damaged-20261123T151000Z'));
    await first.add('a');
    assert.equal(await first.end(), true);
  });
});
