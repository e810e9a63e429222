/** Home Assistant's way of using a broker, with Python's paho: birth and will, discovery, `#`, reconnect storms. */
import { fileURLToPath } from 'node:url';
import { withBrokers } from '../support/brokers/broker.js';
import { runPython, skipWithoutPaho } from '../support/brokers/debian.js';

const script = fileURLToPath(new URL('../../../test/integration/home-assistant.py', import.meta.url));
const devices = 40;

withBrokers(
  'a house with devices that come and go all at once',
  async (t, broker) => {
    await runPython(t, broker, script, String(devices));
  },
  { skip: skipWithoutPaho() },
);
