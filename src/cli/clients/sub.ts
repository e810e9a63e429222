#!/usr/bin/env node
/** mosquitto_sub: subscribes and prints messages. */
import { prepareRun, startProgram } from './program-start.js';
import { Subscriber } from './subscriber.js';

startProgram('mosquitto_sub', async (settings) => {
  const run = await prepareRun(settings);
  new Subscriber(run).start();
});
