/** Topic filters of subscriptions, with wildcards and shared groups [MQTT 5.0, 4.7 and 4.8]. */
import { isTopicText } from './topic-name.js';

/**
 * Whether the text is a topic filter. The rules of topic names hold; `+` and `#` stand only as whole levels
 * [MQTT-4.7.1-2], `#` only as the last [MQTT-4.7.1-1]. For a shared subscription the text is the part after the group.
 */
export function isValidTopicFilter(filter: string): boolean {
  return isTopicText(filter) && wildcardsAreWholeLevels(filter);
}

function wildcardsAreWholeLevels(filter: string): boolean {
  const last = filter.length - 1;
  for (let i = 0; i <= last; i += 1) {
    const character = filter[i];
    if (character !== '+' && character !== '#') continue;
    if (i > 0 && filter[i - 1] !== '/') return false;
    if (i < last && (character === '#' || filter[i + 1] !== '/')) return false;
  }
  return true;
}

export interface SharedFilter {
  group: string;
  filter: string;
}

const SHARE_PREFIX = '$share/';

/**
 * Takes `$share/GROUP/FILTER` apart [MQTT-4.8.2-1, MQTT-4.8.2-2]. An empty group is taken, as Mosquitto does.
 *
 * @returns `undefined` for a filter that is not of a shared subscription
 */
export function parseSharedFilter(text: string): SharedFilter | 'invalid' | undefined {
  if (text === '$share') return 'invalid';
  if (!text.startsWith(SHARE_PREFIX)) return undefined;
  const groupEnd = text.indexOf('/', SHARE_PREFIX.length);
  if (groupEnd < 0) return 'invalid';
  const group = text.slice(SHARE_PREFIX.length, groupEnd);
  const filter = text.slice(groupEnd + 1);
  if (/[+#]/.test(group) || !isValidTopicFilter(filter)) return 'invalid';
  return { group, filter };
}

/**
 * Whether a topic name matches a topic filter; both are valid. `#` also matches its parent level; a leading wildcard
 * matches no topic that begins with `$` [MQTT-4.7.2-1]. A shared subscription's filter is given without its group.
 *
 * Compares the texts level by level, for clients and as the reference in the tests of the broker's tree of filters.
 */
export function topicMatchesFilter(topic: string, filter: string): boolean {
  if (topic.startsWith('$') && (filter.startsWith('+') || filter.startsWith('#'))) return false;
  const names = topic.split('/');
  const levels = filter.split('/');
  for (let i = 0; i < levels.length; i += 1) {
    const level = levels[i];
    if (level === '#') return true; // `a/#` matches `a`: here i may be names.length
    if (i >= names.length || (level !== '+' && level !== names[i])) return false;
  }
  return levels.length === names.length;
}
