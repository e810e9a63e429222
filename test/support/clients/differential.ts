/**
 * Runs one of Debian's commands and ours with the same arguments, one after the other, and compares what they print,
 * how they end and what they say to the broker.
 *
 * What differs between any two runs is evened out: process ids, ids given by brokers, the time. So is what Mosquitto
 * 2.1 changed throughout since the 2.0.11 that Debian has, and we follow 2.1 in: messages without a full stop at
 * their end, `null` instead of `(null)` for an id that is not there, and truth values and the time in JSON.
 */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { ProgramName } from '../../../src/cli/clients/options/client-settings.js';
import type { Packet } from '../../../src/mqtt/packets.js';
import { type CommandEnd, runCommand } from '../run-command.js';
import { COMMAND_ENVIRONMENT, debianCommand, ourCommand } from './client-commands.js';
import { RecordingProxy, type Script, ScriptedServer } from './wire-record.js';

/** What of a run is compared. */
export interface Outcome {
  stdout: string;
  stderr: string;
  code: number | null;
  /** What was said to the broker, a connection after the other. */
  sent: Packet[];
}

export interface Case {
  program: ProgramName;
  /**
   * `{topic}` = one of this case's own, `{id}` = a client id of its own, and what `Surroundings.words` has. The
   * broker's address is put before them, unless they have `-L`, or `address` is false.
   */
  args: readonly string[];
  address?: boolean;
  input?: string | Uint8Array;
  env?: Record<string, string>;
  /** Retained messages of the case's topic before each run. */
  retained?: readonly (string | Uint8Array)[];
  /** Published to the case's topic once the command has subscribed. */
  live?: readonly (string | Uint8Array)[];
  /** Instead of the broker: a server that answers by a script. */
  script?: readonly Script[];
  /** Packets may pass in another order, by chance: they and the lines about them are compared sorted. */
  sorted?: boolean;
  /** Aspects that are not the same between two runs of the same command. */
  unstable?: readonly (keyof Outcome)[];
  /** Where we differ on purpose, and why: what ours does, of the aspects in which it differs. */
  known?: Partial<Omit<Outcome, 'sent'>> & { reason: string; sent?: readonly string[] };
  /** Sent a signal once it has subscribed. */
  signal?: NodeJS.Signals;
}

/** What cases share. */
export interface Surroundings {
  brokerPort: number;
  words: Readonly<Record<string, string>>;
  publish(topic: string, payload: string | Uint8Array, retain: boolean): Promise<void>;
  /** Removes what is retained for the topic. */
  clear(topic: string): Promise<void>;
}

let caseNumber = 0;

export async function compareWithDebian(t: TestContext, around: Surroundings, it: Case): Promise<void> {
  caseNumber += 1;
  const words = { ...around.words, topic: `d/${process.pid}/${caseNumber}`, id: `id${caseNumber}` };
  const debian = await run(t, around, it, words, debianCommand(it.program));
  const ours = await run(t, around, it, words, ourCommand(it.program));
  const stable = (['code', 'stderr', 'stdout', 'sent'] as const).filter(
    (aspect) => !it.unstable?.includes(aspect),
  );
  for (const aspect of stable) compareAspect(aspect, it, debian, ours);
}

function compareAspect(aspect: keyof Outcome, { known, sorted }: Case, debian: Outcome, ours: Outcome): void {
  const shown = (outcome: Outcome) => {
    if (aspect === 'code' || aspect === 'stderr') return outcome[aspect];
    const lines = aspect === 'sent' ? outcome.sent.map(describePacket) : outcome.stdout.split('\n');
    return sorted ? lines.sort() : lines;
  };
  const expected = known?.[aspect];
  if (expected === undefined) {
    assert.deepEqual(shown(ours), shown(debian), `${aspect} (ours first, then Debian's)`);
    return;
  }
  assert.notDeepEqual(shown(ours), shown(debian), `${aspect} is the same now: ${known!.reason}`);
  assert.deepEqual(aspect === 'sent' ? ours.sent.map(({ type }) => type) : ours[aspect], expected, aspect);
}

async function run(
  t: TestContext,
  around: Surroundings,
  it: Case,
  words: Record<string, string>,
  command: string[],
): Promise<Outcome> {
  const topic = words.topic!;
  await around.clear(topic);
  for (const payload of it.retained ?? []) await around.publish(topic, payload, true);
  const server =
    it.script === undefined
      ? await RecordingProxy.start(t, around.brokerPort)
      : await ScriptedServer.start(t, ...it.script);
  const fill = (word: string) =>
    word.replace(/\{(\w+)\}/g, (whole, name) =>
      name === 'port' ? String(server.port) : (words[name] ?? whole),
    );
  const hasUrl = it.args.includes('-L') || it.args.includes('--url');
  const address = hasUrl || it.address === false ? [] : ['-h', '127.0.0.1', '-p', String(server.port)];

  let kill: (signal: NodeJS.Signals) => void = () => {};
  let subscribed = false;
  if (server instanceof RecordingProxy) {
    server.onSuback = async () => {
      if (subscribed) return;
      subscribed = true;
      for (const payload of it.live ?? []) await around.publish(topic, payload, false);
      if (it.signal !== undefined) setTimeout(() => kill(it.signal!), 20);
    };
  }
  const end = await runCommand([...command, ...address, ...it.args.map(fill)], {
    input: it.input,
    env: { ...COMMAND_ENVIRONMENT, ...fillAll(it.env ?? {}, fill) },
    started: (process) => {
      kill = process.kill;
    },
  });
  assert.notEqual(
    end.signal,
    'SIGKILL',
    `${command.at(-1)} ${it.args.join(' ')} did not end\n${end.stdout}\n${end.stderr}`,
  );
  await server.heardAll();
  return outcome(end, server.sent.flat(), it.program);
}

function fillAll(env: Record<string, string>, fill: (text: string) => string): Record<string, string> {
  return Object.fromEntries(Object.entries(env).map(([name, value]) => [name, fill(value)]));
}

function outcome(end: CommandEnd, sent: Packet[], program: ProgramName): Outcome {
  // 2.0.11's mosquitto_rr goes without a word after the response.
  const isFarewell = program === 'mosquitto_rr' && end.code === 0 && sent.at(-1)?.type === 'disconnect';
  const stdout = evenOut(end.stdout.toString('latin1'));
  return {
    code: end.code,
    stdout: isFarewell ? stdout.replace(/^Client \S+ sending DISCONNECT\n/m, '') : stdout,
    stderr: evenOut(end.stderr.toString('latin1')).replace(/\.$/gm, '').replace(/\.\)$/gm, ')'),
    sent: isFarewell ? sent.slice(0, -1) : sent,
  };
}

function evenOut(text: string): string {
  return text
    .replace(/^Client \(null\) /gm, 'Client null ')
    .replace(/auto-[0-9A-F]{8}-[0-9A-F-]{27}/g, 'auto-ID')
    .replace(/"tst":(\t?)"[^"]*"/g, '"tst":$1"TIME"')
    .replace(/"retain":(\t?)([01])\b/g, (_, tab, digit) => `"retain":${tab}${digit === '1'}`);
}

/** All of a packet in one line; the order of properties means nothing in MQTT. */
function describePacket(packet: Packet): string {
  return JSON.stringify(packet, (key, value) => {
    if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
    if (key === 'clientId') return evenOutId(value);
    if (key === 'properties') return Object.fromEntries(Object.entries(value).sort());
    return value;
  });
}

/** Ids made of the process id (with `-I`, in these tests always behind a dash) or of random characters. */
function evenOutId(id: string): string {
  return id.replace(/^mosq-[A-Za-z0-9]{18}$/, 'mosq-RANDOM').replace(/-\d+$/, '-PID');
}
