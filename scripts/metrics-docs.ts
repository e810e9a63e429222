/** The table of metrics as a page, `docs/metrics.md`. */
import { COUNTER_METRICS, METRICS, type Metric } from '../src/sys/metrics.js';

export function metricsPage(): string {
  const lines = [
    '# Metrics',
    '',
    'Generated from `src/sys/metrics.ts`; change that, then run `npm run generate`.',
    '',
    'An HTTP listener ([Listeners](listeners.md#http)) answers `/metrics` with the figures that `$SYS` shows, too. They are',
    'read at that moment, and cost nothing without a request. The number of series does not depend on clients or topics.',
    '',
    '```yaml',
    'scrape_configs:',
    '  - job_name: midge',
    '    static_configs:',
    "      - targets: ['127.0.0.1:8080']",
    '    # A user of password_file, with "topic read /metrics" in acl_file:',
    '    # basic_auth: { username: prometheus, password_file: /etc/prometheus/midge }',
    '```',
    '',
    '| Metric | Type | Label | What it says |',
    '|---|---|---|---|',
  ];
  for (const [name, { type, label, help }] of Object.entries<Metric>(METRICS)) {
    lines.push(`| \`${name}\` | ${type} | ${label === undefined ? '' : `\`${label}\``} | ${help} |`);
  }
  const reasons = Object.values(COUNTER_METRICS).flatMap((shown) =>
    shown !== null && typeof shown === 'object' ? [`\`${shown[1]}\``] : [],
  );
  lines.push('', `The reasons of \`midge_dropped_messages_total\` are ${reasons.join(', ')}.`);
  return `${lines.join('\n')}\n`;
}
