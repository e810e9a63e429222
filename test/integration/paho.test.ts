/** Python's paho against the broker: the scenarios of paho-scenarios.py, in each version of the protocol. */
import { fileURLToPath } from 'node:url';
import { withBrokers } from '../support/brokers/broker.js';
import { runPython, skipWithoutPaho } from '../support/brokers/debian.js';

const script = fileURLToPath(new URL('../../../test/integration/paho-scenarios.py', import.meta.url));
const scenarios = ['exchange', 'retained', 'will', 'session', 'shared'];
/** What only MQTT 5.0 has. */
const scenariosOf5 = ['aliases', 'flow', 'expiry'];
const versions = [
  ['3.1', '3'],
  ['3.1.1', '4'],
  ['5.0', '5'],
] as const;

/** The second one is there because Mosquitto 2.0.11 does not start with a WebSocket listener alone. */
const webSocketListener =
  'allow_anonymous true\nlistener {port} 127.0.0.1\nprotocol websockets\nlistener 0 {folder}/other.sock';

for (const transport of ['tcp', 'websockets']) {
  const config = transport === 'websockets' ? webSocketListener : '';
  withBrokers(
    `paho, ${transport}`,
    async (t, broker) => {
      const runs = versions.flatMap(([name, version]) =>
        (version === '5' ? [...scenarios, ...scenariosOf5] : scenarios).map((scenario) =>
          t.test(`${scenario}, MQTT ${name}`, (s) =>
            runPython(s, broker, script, scenario, version, transport),
          ),
        ),
      );
      await Promise.all(runs);
    },
    { config, skip: skipWithoutPaho() },
  );
}
