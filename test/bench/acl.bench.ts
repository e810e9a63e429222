/** Access decisions with 1,000 rules: for a topic seen before, for a new one, and without any structure. */
import { compileAcl } from '../../src/auth/acl-check.js';
import { type AclRule, parseAclFile } from '../../src/auth/acl-file.js';
import { topicMatchesFilter } from '../../src/topic/topic-filter.js';
import { type Benchmark, isProgram, report } from './harness.js';

const users = 50;
const rulesOfUser = 19;
const patterns = 50;
const topicsCount = 10_000;
const inARow = 100;

export function run(): void {
  const rules = thousandRules();
  report('1,000 ACL rules, one decision', [...decisions(rules), ruleByRule(rules)]);
  report('1,000 ACL rules, rarely', [compiling(rules), connecting(rules)]);
}

function thousandRules(): AclRule[] {
  const lines: string[] = [];
  for (let user = 0; user < users; user += 1) {
    lines.push(`user u${user}`);
    for (let i = 0; i < rulesOfUser; i += 1) lines.push(`topic readwrite site/${i}/+/u${user}/#`);
  }
  for (let i = 0; i < patterns; i += 1) lines.push(`pattern readwrite dev${i}/%c/#`);
  const result = parseAclFile('acl', lines.join('\n'));
  if (!result.ok) throw new Error(result.errors[0]!.message);
  return result.rules;
}

function decisions(rules: AclRule[]): Benchmark[] {
  const checker = compileAcl(rules);
  const open = compileAcl(null).forClient('u7', 'c7');
  const client = checker.forClient('u7', 'c7');
  const own = Array.from({ length: topicsCount }, (_, i) => `site/${i % rulesOfUser}/x/u7/${i}`);
  const common = Array.from({ length: topicsCount }, (_, i) => `dev${i % patterns}/c7/${i}`);
  return [
    asking('no acl_file', open, own.slice(0, 1)),
    asking('the same topic again', client, own.slice(0, 1)),
    asking('the same topic again, by a pattern', client, common.slice(0, 1)),
    asking('one of 100 topics in turn', client, own.slice(0, 100)),
    asking('a new topic', client, own),
    asking('a new topic, by a pattern', client, common),
  ];
}

function asking(name: string, client: { canWrite(topic: string): boolean }, topics: string[]): Benchmark {
  let next = 0;
  return {
    name,
    operations: inARow,
    once: () => {
      let allowed = 0;
      for (let i = 0; i < inARow; i += 1) {
        next = next + 1 < topics.length ? next + 1 : 0;
        if (client.canWrite(topics[next]!)) allowed += 1;
      }
      return allowed;
    },
  };
}

/** What a new topic costs without the tree. */
function ruleByRule(rules: AclRule[]): Benchmark {
  return {
    name: 'a new topic, rule by rule',
    operations: 1,
    once: () => rules.filter(({ filter }) => topicMatchesFilter('site/3/x/u7/1', filter)).length,
  };
}

function compiling(rules: AclRule[]): Benchmark {
  return {
    name: 'compiling',
    operations: 1,
    once: () => (compileAcl(rules).forClient('u7', 'c7').canRead('a') ? 1 : 0),
  };
}

function connecting(rules: AclRule[]): Benchmark {
  const checker = compileAcl(rules);
  let number = 0;
  return {
    name: 'the rights of a new client',
    operations: 1,
    once: () => (checker.forClient('u7', `c${number++}`).canRead('$share') ? 1 : 0),
  };
}

if (isProgram(import.meta.url)) run();
