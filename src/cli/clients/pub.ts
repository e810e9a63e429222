#!/usr/bin/env node
/** mosquitto_pub: publishes one message, a file, or lines of standard input. */
import type { OutgoingMessage } from '../../client/client-session.js';
import type { ClientRole, ClientRun } from './client-run.js';
import { loadPayload } from './message-source.js';
import { OneMessagePublisher } from './one-message-publisher.js';
import type { ClientSettings } from './options/client-settings.js';
import { prepareRun, startProgram } from './program-start.js';
import { messageOf } from './publish-support.js';

startProgram('mosquitto_pub', async (settings) => {
  const message = messageOf(settings, await loadPayload(settings.message!));
  const run = await prepareRun(settings);
  run.start(await roleFor(run, settings, message));
});

async function roleFor(
  run: ClientRun,
  settings: ClientSettings,
  message: OutgoingMessage,
): Promise<ClientRole> {
  const { kind } = settings.message!;
  if (kind === 'text' || kind === 'empty') return new OneMessagePublisher(run, message);
  const { showFileProgress, showInputProgress } = await import('./progress.js');
  if (kind !== 'stdin-lines') {
    if (!settings.quiet) showFileProgress(run, message.payload.length);
    return new OneMessagePublisher(run, message);
  }
  const { LinePublisher } = await import('./line-publisher.js');
  const publisher = new LinePublisher(run, message, process.stdin);
  if (!settings.quiet) showInputProgress(publisher);
  return publisher;
}
