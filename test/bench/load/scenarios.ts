/** What is measured: how the load generator is called, and which of its figures count. */

export type Group = 'live' | 'gateway' | 'connections' | 'store';

export interface Figure {
  /** In the generator's report. */
  key: string;
  title: string;
  digits: number;
}

export interface Scenario {
  name: string;
  group: Group;
  /** For tables. */
  title: string;
  args: readonly string[];
  /** Whether it goes on for a given time, and not until something is done. */
  isTimed: boolean;
  /** Whether the broker has its store on. */
  isStored: boolean;
  figures: readonly Figure[];
}

const figure = (key: string, title: string, digits = 0): Figure => ({ key, title, digits });

const speed = [
  figure('deliveriesPerSecond', 'msg/s'),
  figure('cpuMicrosPerDelivery', 'CPU µs/msg', 2),
  figure('latencyP50Micros', 'p50 µs'),
  figure('latencyP99Micros', 'p99 µs'),
  figure('peakRssKilobytes', 'peak kB'),
];
const accepting = [
  figure('connectionsPerSecond', 'conn/s'),
  figure('cpuMicrosPerConnection', 'CPU µs/conn', 1),
  figure('latencyP99Micros', 'p99 µs'),
  figure('peakRssKilobytes', 'peak kB'),
];
const standing = [
  figure('rssBytesPerConnection', 'RSS B/conn'),
  figure('privateDirtyBytesPerConnection', 'dirty B/conn'),
  figure('startRssKilobytes', 'start kB'),
  figure('startPrivateDirtyKilobytes', 'start dirty kB'),
  figure('cpuMicrosPerPing', 'CPU µs/ping', 1),
];
const queueing = [
  figure('queuedPerSecond', 'queued/s'),
  figure('queuedCpuMicros', 'CPU µs', 2),
  figure('drainedPerSecond', 'sent/s'),
  figure('drainedCpuMicros', 'CPU µs', 2),
  figure('queuedRssKilobytes', 'full kB'),
];
const retaining = [
  figure('setPerSecond', 'set/s'),
  figure('setCpuMicros', 'CPU µs', 2),
  figure('readPerSecond', 'read/s'),
  figure('readCpuMicros', 'CPU µs', 2),
  figure('rssBytesPerMessage', 'RSS B/msg'),
];

function traffic(name: string, group: Group, title: string, options: string): Scenario {
  const args = ['traffic', ...options.split(' ')];
  return { name, group, title, args, isTimed: true, isStored: false, figures: speed };
}

function stored(name: string, messages: number, figures: readonly Figure[]): Scenario {
  const [kind] = name.split('-') as [string];
  const title = `${kind} of ${messages}`;
  const args = [kind, '--qos', '1', '--window', '100', '--messages', String(messages)];
  return { name, group: 'store', title, args, isTimed: false, isStored: true, figures };
}

/** The warm-up has the engine compile what a broker that has run for an hour has compiled. */
const gateway = '--warmup-rate 5000 --shape gateway --publishers 200 --subscribers 3 --qos 1 --size 120';

export const scenarios: readonly Scenario[] = [
  traffic('pairs-q0', 'live', 'QoS 0', '--shape pairs --qos 0 --window 100'),
  traffic('pairs-q1', 'live', 'QoS 1', '--shape pairs --qos 1 --window 100'),
  traffic('pairs-q2', 'live', 'QoS 2', '--shape pairs --qos 2 --window 100'),
  traffic(
    'fanout-q0',
    'live',
    'QoS 0, one publisher to 100 subscribers',
    '--shape fanout --subscribers 100 --qos 0 --window 32',
  ),
  traffic(
    'fanout-q1',
    'live',
    'QoS 1, one publisher to 100 subscribers',
    '--shape fanout --subscribers 100 --qos 1 --window 32',
  ),
  traffic(
    'fanin-q1',
    'live',
    'QoS 1, 100 publishers to one subscriber',
    '--shape fanin --publishers 100 --qos 1 --window 16',
  ),
  traffic('gateway-200', 'gateway', '200 messages a second', `${gateway} --rate 200`),
  traffic('gateway-2000', 'gateway', '2,000 messages a second', `${gateway} --rate 2000`),
  {
    name: 'connects',
    group: 'connections',
    title: 'accepted',
    args: ['connects', '--connections', '5000', '--at-once', '50'],
    isTimed: false,
    isStored: false,
    figures: accepting,
  },
  {
    name: 'idle',
    group: 'connections',
    title: 'idle',
    args: ['idle', '--connections', '5000', '--subscribe', '1', '--ping-every', '2', '--seconds', '5'],
    isTimed: false,
    isStored: false,
    figures: standing,
  },
  stored('queue-20k', 20_000, queueing),
  stored('queue-200k', 200_000, queueing),
  stored('retain-20k', 20_000, retaining),
  stored('retain-200k', 200_000, retaining),
];

/** What the report counts that should not have happened. */
export const findingKeys = [
  'lost',
  'unacknowledged',
  'duplicates',
  'reordered',
  'corrupt',
  'misrouted',
  'foreign',
  'wrongQos',
  'notRetained',
  'deliveredAgain',
  'unanswered',
] as const;

/** @returns the scenarios whose group is one of the words, or whose name has one in it; without words all of them */
export function selectScenarios(words: readonly string[]): readonly Scenario[] {
  if (words.length === 0) return scenarios;
  for (const word of words) {
    if (scenarios.some((scenario) => isMeant(scenario, word))) continue;
    const known = scenarios.map(({ name }) => name).join(', ');
    throw new Error(
      `No scenario is named ${word}. There are the groups live, gateway, connections, store, and ${known}.`,
    );
  }
  return scenarios.filter((scenario) => words.some((word) => isMeant(scenario, word)));
}

function isMeant({ name, group }: Scenario, word: string): boolean {
  return group === word || name.includes(word);
}
