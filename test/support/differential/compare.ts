/** Plays sequences to Midge and to Mosquitto, compares, and makes a sequence that differs as short as it gets. */
import { isDeepStrictEqual } from 'node:util';
import { type ListedDifference, listedDifference, type Met, subscriptionsIn } from './listed-differences.js';
import { type Answers, nameOfPlay, play } from './player.js';
import type { Step } from './sequences.js';

export interface Ports {
  midge: number;
  mosquitto: number;
}

export interface Comparison {
  midge: Answers[];
  mosquitto: Answers[];
  /** The first step that was answered differently; -1 = none. */
  at: number;
  listed: ListedDifference | undefined;
  /** Those behind which the comparison went on. */
  metOnTheWay: readonly ListedDifference[];
}

export async function compare(ports: Ports, steps: readonly Step[]): Promise<Comparison> {
  const name = nameOfPlay();
  const [midge, mosquitto] = await Promise.all([
    play(ports.midge, steps, name),
    play(ports.mosquitto, steps, name),
  ]);
  const metOnTheWay: ListedDifference[] = [];
  for (const [at, answers] of midge.entries()) {
    if (isDeepStrictEqual(answers.described, mosquitto[at]!.described)) continue;
    const listed = listedDifference(metAt(steps[at]!.client, at, midge, mosquitto));
    if (listed?.goesOn !== true) return { midge, mosquitto, at, listed, metOnTheWay };
    metOnTheWay.push(listed);
  }
  return { midge, mosquitto, at: -1, listed: undefined, metOnTheWay };
}

function metAt(client: number, at: number, midge: readonly Answers[], mosquitto: readonly Answers[]): Met {
  const described = (answers: Answers) => answers.described.map((got) => got.join(' '));
  const [ours, theirs] = [described(midge[at]!), described(mosquitto[at]!)];
  return {
    bytes: Buffer.from(midge[at]!.sent, 'hex'),
    before: mosquitto.slice(0, at),
    subscriptions: mosquitto.slice(0, at + 1).flatMap(subscriptionsIn),
    midge: ours,
    mosquitto: theirs,
    ownMidge: ours[client]!,
    ownMosquitto: theirs[client]!,
  };
}

/** Leaves out steps as long as there is a difference that is not listed. */
export async function shrink(ports: Ports, differing: readonly Step[]): Promise<Step[]> {
  let steps = [...differing];
  for (let length = Math.ceil(steps.length / 2); length > 0; length = Math.floor(length / 2)) {
    for (let from = 0; from < steps.length; ) {
      const shorter = steps.toSpliced(from, length);
      const { at, listed } = await compare(ports, shorter);
      if (at >= 0 && listed === undefined) steps = shorter.slice(0, at + 1);
      else from += length;
    }
  }
  return steps;
}

/** What was sent and what came back, in hexadecimal digits; of the last step also in words. */
export function show(
  steps: readonly Step[],
  { midge, mosquitto, at }: Pick<Comparison, 'midge' | 'mosquitto' | 'at'>,
): string {
  const lines = steps.slice(0, at + 1).flatMap((step, i) => {
    const answers = midge[i]!;
    const sent = step.does === 'break' ? 'ends the connection' : answers.sent || 'sends nothing';
    const came = ({ hex }: Answers) =>
      hex.flatMap((got, client) => got.map((bytes) => `${client} < ${bytes}`));
    const [ours, theirs] = [came(answers), came(mosquitto[i]!)];
    const first = `client ${step.client} (${answers.version}) > ${sent}`;
    if (i < at) return [first, ...ours.map((line) => `  ${line}`)];
    return [
      first,
      ...ours.map((line) => `  Midge     ${line}`),
      ...theirs.map((line) => `  Mosquitto ${line}`),
      ...answers.described.flatMap((got, client) => {
        const their = mosquitto[i]!.described[client]!;
        if (isDeepStrictEqual(got, their)) return [];
        return [
          `  client ${client} of Midge:     ${got.join(' ')}`,
          `  client ${client} of Mosquitto: ${their.join(' ')}`,
        ];
      }),
    ];
  });
  return lines.join('\n');
}
