#!/usr/bin/env node
/** mosquitto_rr: publishes a request and prints the response. */
import { loadPayload } from './message-source.js';
import { prepareRun, startProgram } from './program-start.js';
import { Requester, requestOf } from './requester.js';

startProgram('mosquitto_rr', async (settings) => {
  const source = settings.message!;
  // The option table has no `-l` for this command.
  const payload = source.kind === 'stdin-lines' ? Buffer.alloc(0) : await loadPayload(source);
  const request = requestOf(settings, payload);
  const run = await prepareRun(settings);
  new Requester(run, request).start();
});
