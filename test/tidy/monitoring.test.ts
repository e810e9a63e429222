/** The dashboard and the alert rules of deploy/monitoring ask for metrics and labels that exist. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { COUNTER_METRICS, METRICS, type Metric } from '../../src/sys/metrics.js';
import { projectFolder } from '../support/project.js';

const read = (name: string) => readFileSync(join(projectFolder, 'deploy', 'monitoring', name), 'utf8');

interface Panel {
  id: number;
  type: string;
  title: string;
  targets?: { expr: string; legendFormat: string }[];
}

const { panels } = JSON.parse(read('grafana-dashboard.json')) as { panels: Panel[] };
const alerts = read('alerts.yml');
const panelExpressions = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
const alertExpressions = [...alerts.matchAll(/^ +expr: (.*)$/gm)].map(([, expression]) => expression!);
const metrics: Readonly<Record<string, Metric>> = METRICS;

test('each expression names metrics that exist, counters within rate or increase', () => {
  assert.ok(panelExpressions.length >= 20);
  assert.ok(alertExpressions.length >= 10);
  for (const expression of [...panelExpressions, ...alertExpressions]) {
    const names = expression.match(/midge_\w+/g) ?? [];
    assert.ok(names.length > 0, expression);
    for (const name of names) {
      assert.ok(metrics[name] !== undefined, `${name} in ${expression}`);
      const isCounter = metrics[name].type === 'counter';
      const isRate = new RegExp(`(rate|increase)\\(${name}\\b`).test(expression);
      assert.equal(isRate, isCounter, `${name} in ${expression}`);
    }
  }
});

test('labels and reasons exist', () => {
  const labels = new Set(Object.values(metrics).flatMap(({ label }) => (label === undefined ? [] : [label])));
  const own = new Set(['instance', ...labels]);
  const legends = panels.flatMap(({ targets = [] }) => targets.map(({ legendFormat }) => legendFormat));
  for (const text of legends) {
    for (const [, label] of text.matchAll(/\{\{(\w+)\}\}/g))
      assert.ok(own.has(label!), `${label} in ${text}`);
  }
  for (const [, label] of alerts.matchAll(/\$labels\.(\w+)/g)) assert.ok(own.has(label!), label);
  const reasons = Object.values(COUNTER_METRICS).flatMap((shown) =>
    shown !== null && typeof shown === 'object' ? [shown[1]] : [],
  );
  for (const [, reason] of alerts.matchAll(/reason!?="(\w+)"/g)) assert.ok(reasons.includes(reason!), reason);
  for (const [, reason] of alerts.matchAll(/description: '(\w+_\w+):/g))
    assert.ok(reasons.includes(reason!), reason);
});

test('panels have ids of their own, and each alert says what to do', () => {
  assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
  assert.equal(
    alerts.match(/^ +- alert: \w+$/gm)!.length,
    alerts.match(/^ +description: '.{40,}'$/gm)!.length,
  );
});
