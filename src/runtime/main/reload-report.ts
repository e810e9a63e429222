/** The log lines of a reload. */
import type { OptionChange, SettingsDiff } from '../../config/reload-diff.js';
import type { LogType } from '../../log/log.js';
import type { FileTexts } from '../../routing/messages.js';

type ReportLine = [type: LogType, text: string];

/** Why listeners that come or go stop a reload: workers know a connection's listener by its place in the list. */
export function refusedListeners({ listenersAdded, listenersRemoved }: SettingsDiff): ReportLine[] {
  if (listenersAdded.length + listenersRemoved.length === 0) return [];
  return [
    ['error', 'Error: It is not currently possible to add/remove listeners when reloading the config file.'],
    ...listenersAdded.map(
      (name): ReportLine => ['error', `New: ${name}. Restart to open it; nothing was changed.`],
    ),
    ...listenersRemoved.map(
      (name): ReportLine => ['error', `Gone: ${name}. Restart to close it; nothing was changed.`],
    ),
  ];
}

/** What has changed, after the fact. */
export function reloadReport(changes: SettingsDiff, before: FileTexts, after: FileTexts): ReportLine[] {
  const { applied, needRestart, pluginsChanged } = changes;
  const report: ReportLine[] = [];
  const changed = [...optionNames(applied), ...(pluginsChanged ? ['plugins'] : [])];
  if (changed.length > 0) report.push(['information', `Changed: ${changed.join(', ')}.`]);
  const files = [...after].filter(([file, text]) => before.get(file) !== text).map(([file]) => file);
  if (files.length > 0) report.push(['information', `Read with changes: ${files.join(', ')}.`]);
  if (needRestart.length > 0) {
    const names = optionNames(needRestart).join(', ');
    report.push(['warning', `Warning: Changed, but in force only after a restart: ${names}.`]);
  }
  if (report.length === 0) report.push(['information', 'No option and no file has changed.']);
  return report;
}

function optionNames(changes: readonly OptionChange[]): string[] {
  return changes.map(({ option, section }) => (section === undefined ? option : `${option} (${section})`));
}
