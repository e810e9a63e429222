/**
 * The `topic` lines of a bridge: `PATTERN [DIRECTION [QOS [LOCAL-PREFIX [REMOTE-PREFIX]]]]`. [mosq: topic]
 */
import { isValidTopicFilter } from '../topic/topic-filter.js';
import { leadingInteger } from './integer.js';
import { trimSpace, words } from './lexer.js';
import { nearestWord } from './nearest-word.js';
import type { BridgeDirection, BridgeTopic } from './option-types.js';
import { accepted, type Parsed, type RawValue, type Refused, type Remark, refused } from './parsed-value.js';
import { allowedValues, notAllowed } from './value-syntax.js';

/** The topics of earlier lines and that of this one, unless it says the same as one of them. */
export function bridgeTopics(raw: RawValue): Parsed<readonly BridgeTopic[]> {
  const before = (raw.previous as readonly BridgeTopic[] | undefined) ?? [];
  const topic = bridgeTopic(raw);
  if (!topic.ok) return topic;
  if (before.some((earlier) => saysTheSame(earlier, topic.value))) {
    return accepted(before, [
      ...topic.remarks,
      { type: 'information', text: `Duplicate bridge topic '${topic.value.pattern}', skipping` },
    ]);
  }
  return accepted([...before, topic.value], topic.remarks);
}

function bridgeTopic(raw: RawValue): Parsed<BridgeTopic> {
  const start = topicPattern(raw);
  if (!start.ok) return start;
  const { pattern } = start.value;
  const [directionWord = 'out', ...others] = words(start.value.rest);
  const [qosWord = '0', localWord, remoteWord] = withoutComment(others);
  const direction = directionWord.toLowerCase();
  if (!isDirection(direction)) return unknownDirection(raw, directionWord);
  const qos = leadingInteger(qosWord);
  if (qos !== 0 && qos !== 1 && qos !== 2) {
    return notAllowed(raw, qosWord, `Error: Invalid bridge QoS level '${qosWord}'.`);
  }
  const localPrefix = topicPrefix('local', localWord);
  if (!localPrefix.ok) return localPrefix;
  const remotePrefix = topicPrefix('remote', remoteWord);
  if (!remotePrefix.ok) return remotePrefix;
  if (pattern === '' && (localPrefix.value === undefined || remotePrefix.value === undefined)) {
    return refused(
      'Error: Invalid bridge remapping.',
      `An empty pattern needs both prefixes, the local and the remote topic: ${allowedValues(raw)}`,
    );
  }
  for (const [side, prefix] of [
    ['local', localPrefix.value],
    ['remote', remotePrefix.value],
  ] as const) {
    if (prefix !== undefined && !isValidTopicFilter(`${prefix}${pattern}`))
      return badCombination(side, prefix, pattern);
  }
  return accepted(
    { pattern, direction, qos, localPrefix: localPrefix.value, remotePrefix: remotePrefix.value },
    qosRemarks(qosWord),
  );
}

/** The pattern, and what follows it. Double quotes enclose one with spaces; `""` is empty. */
function topicPattern(raw: RawValue): Parsed<{ pattern: string; rest: string }> {
  const value = trimSpace(raw.rest);
  if (!value.startsWith('"')) {
    const [pattern = '', ...others] = words(value);
    return checkedPattern(pattern, others.join(' '));
  }
  const closing = value.indexOf('"', 1);
  const after = value.slice(closing + 1);
  if (closing === -1 || (after !== '' && !after.startsWith(' '))) {
    return refused(
      missingQuote(value),
      'A pattern in double quotes ends with a double quote before a space or the end of the line.',
    );
  }
  const pattern = value.slice(1, closing);
  if (pattern !== '' && !pattern.includes(' ')) {
    return refused(
      missingQuote(value),
      `Only a pattern with a space in it is put in double quotes: write ${pattern}.`,
    );
  }
  return checkedPattern(pattern, after);
}

/** Shows what follows the first word, as Mosquitto does. */
function missingQuote(value: string): string {
  const space = value.indexOf(' ');
  return `Error: Missing closing quote in topic value (${space < 0 ? value : trimSpace(value.slice(space))}).`;
}

function checkedPattern(pattern: string, rest: string): Parsed<{ pattern: string; rest: string }> {
  if (pattern !== '' && !isValidTopicFilter(pattern)) {
    return refused(
      `Error: Invalid bridge topic '${pattern}'.`,
      `'${pattern}' is not a topic filter: '+' is a whole level, '#' a whole level and the last.`,
    );
  }
  return accepted({ pattern, rest });
}

/** From the QoS on, a word that begins with `#` begins a comment. */
function withoutComment(parts: readonly string[]): readonly string[] {
  const commentAt = parts.findIndex((part) => part.startsWith('#'));
  return commentAt === -1 ? parts : parts.slice(0, commentAt);
}

const directions = ['in', 'out', 'both'] as const satisfies readonly BridgeDirection[];

function isDirection(word: string): word is BridgeDirection {
  return (directions as readonly string[]).includes(word);
}

function unknownDirection(raw: RawValue, word: string): Refused {
  const error = `Error: Invalid bridge topic direction '${word}'.`;
  return notAllowed(raw, word, error, nearestWord(word, directions));
}

function topicPrefix(side: 'local' | 'remote', word: string | undefined): Parsed<string | undefined> {
  if (word === undefined || word === '""') return accepted(undefined);
  if (/[+#]/.test(word)) {
    return refused(
      `Error: Invalid bridge topic ${side} prefix '${word}'.`,
      `'${word}' is put before topics, which hold neither '+' nor '#'.`,
    );
  }
  return accepted(word);
}

/** A bridge with such a line would start, and forward nothing. */
function badCombination(side: 'local' | 'remote', prefix: string, pattern: string): Refused {
  return refused(
    `Error: Invalid bridge topic ${side} prefix and pattern combination '${prefix}${pattern}'.`,
    /^[+#]/.test(pattern)
      ? `'+' and '#' are whole levels: write the prefix as '${prefix}/'.`
      : 'It is not a topic filter: it is too long, or has too many levels.',
  );
}

/** Mosquitto takes text for 0, which hides a forgotten QoS before a prefix. */
function qosRemarks(word: string): Remark[] {
  if (/^[+-]?\d/.test(word)) return [];
  return [{ type: 'warning', text: `Warning: '${word}' stands where a topic line has its QoS, using 0.` }];
}

/** [mosq: topic] A prefix that one of two lines does not have is not compared. */
function saysTheSame(one: BridgeTopic, other: BridgeTopic): boolean {
  return (
    one.pattern === other.pattern &&
    one.direction === other.direction &&
    one.qos === other.qos &&
    prefixesAgree(one.localPrefix, other.localPrefix) &&
    prefixesAgree(one.remotePrefix, other.remotePrefix)
  );
}

function prefixesAgree(one: string | undefined, other: string | undefined): boolean {
  return one === undefined || other === undefined || one === other;
}
