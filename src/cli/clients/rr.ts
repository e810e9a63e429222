#!/usr/bin/env node
/** mosquitto_rr: publishes a request and prints the response. */
import { loadPayload } from './message-source.js';
import { prepareRun, startProgram } from './program-start.js';
import { Requester, requestOf } from './requester.js';

startProgram('mosquitto_rr', async (settings) => {
  const request = requestOf(settings, await loadPayload(settings.message!));
  const run = await prepareRun(settings);
  new Requester(run, request).start();
});
