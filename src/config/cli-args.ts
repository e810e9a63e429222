/**
 * The broker's command line: arguments in, what to do out. Prints and opens nothing. [mosq: mosquitto(8)]
 */

import { leadingInteger } from './integer.js';
import { configExitCode } from './load-config.js';
import { nearestWord } from './nearest-word.js';

export interface RunCommand {
  readonly kind: 'run';
  readonly configFile: string | undefined;
  /** If `-c` is given more than once, the files before: all of them are read, one after the other. */
  readonly earlierConfigFiles: readonly string[];
  /** For local-only mode; empty is 1883. */
  readonly ports: readonly number[];
  /** Go to the background. */
  readonly daemon: boolean;
  readonly verbose: boolean;
  readonly quiet: boolean;
  /** Where TLS secrets of all listeners are appended, for debugging. */
  readonly tlsKeylogFile: string | undefined;
}

/** Read and check a configuration, say so, and end. */
export interface TestConfigCommand {
  readonly kind: 'test-config';
  readonly configFile: string;
  readonly earlierConfigFiles: readonly string[];
}

export interface PrintCommand {
  readonly kind: 'print';
  readonly output: readonly { readonly stream: 'stdout' | 'stderr'; readonly text: string }[];
  readonly exitCode: number;
}

export type CommandLine = RunCommand | TestConfigCommand | PrintCommand;

const portsMax = 10;

/** What `--test-config` prints when the file is good. */
export const configIsGood = 'Configuration file is OK.';

/** From every spelling of an option to the option. */
const options = {
  '-c': 'config',
  '--config': 'config',
  '--config-file': 'config',
  '-d': 'daemon',
  '--daemon': 'daemon',
  '-h': 'help',
  '--help': 'help',
  '-p': 'port',
  '--port': 'port',
  '-q': 'quiet',
  '--quiet': 'quiet',
  '-v': 'verbose',
  '--verbose': 'verbose',
  '--test-config': 'test-config',
  '--tls-keylog': 'tls-keylog',
  '--version': 'version',
} as const;

type Writable<Type> = { -readonly [Key in keyof Type]: Type[Key] };

/**
 * @param args Without the program's name.
 * @param version Of this program.
 */
export function parseCommandLine(args: readonly string[], version: string): CommandLine {
  const run: Writable<RunCommand> & { ports: number[]; earlierConfigFiles: string[] } = {
    kind: 'run',
    configFile: undefined,
    earlierConfigFiles: [],
    ports: [],
    daemon: false,
    verbose: false,
    quiet: false,
    tlsKeylogFile: undefined,
  };
  let testConfig = false;
  const rest = [...args];
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    const option = isOption(word) ? options[word] : undefined;
    switch (option) {
      case 'config':
        if (run.configFile !== undefined) run.earlierConfigFiles.push(run.configFile);
        run.configFile = rest.shift();
        if (run.configFile === undefined) return missing('-c', 'config file');
        break;
      case 'port': {
        const port = rest.shift();
        if (port === undefined) return missing('-p', 'port');
        const fault = addPort(run.ports, port);
        if (fault !== undefined) return failure(fault);
        break;
      }
      case 'tls-keylog':
        run.tlsKeylogFile = rest.shift();
        if (run.tlsKeylogFile === undefined) return missing('--tls-keylog', 'file');
        break;
      case 'daemon':
      case 'quiet':
      case 'verbose':
        run[option] = true;
        break;
      case 'test-config':
        testConfig = true;
        break;
      case 'help':
        return { kind: 'print', output: [{ stream: 'stdout', text: usage(version) }], exitCode: 0 };
      case 'version':
        return { kind: 'print', output: [{ stream: 'stdout', text: versionText(version) }], exitCode: 0 };
      case undefined:
        return unknownOption(word, version);
    }
  }
  if (!testConfig) return run;
  if (run.configFile === undefined) return failure('Please provide a configuration file to test.');
  const { configFile, earlierConfigFiles } = run;
  return { kind: 'test-config', configFile, earlierConfigFiles };
}

function isOption(word: string): word is keyof typeof options {
  return Object.hasOwn(options, word);
}

/** Adds a port; returns an error when it cannot. */
function addPort(ports: number[], word: string): string | undefined {
  const port = leadingInteger(word);
  if (ports.length === portsMax) return `Error: Only ${portsMax} ports can be specified on the command line.`;
  if (port < 1 || port > 65535) return `Error: Invalid port specified (${port}).`;
  ports.push(port);
  return undefined;
}

function missing(option: string, what: string): PrintCommand {
  return failure(`Error: ${option} argument given, but no ${what} specified.`);
}

function failure(text: string): PrintCommand {
  return { kind: 'print', output: [{ stream: 'stderr', text: `${text}\n` }], exitCode: configExitCode };
}

function unknownOption(word: string, version: string): PrintCommand {
  const meant = nearestWord(word, Object.keys(options));
  const question = meant === undefined ? '' : `Did you mean '${meant}'?\n`;
  return {
    kind: 'print',
    output: [
      { stream: 'stderr', text: `Error: Unknown option '${word}'.\n${question}` },
      { stream: 'stdout', text: usage(version) },
    ],
    exitCode: configExitCode,
  };
}

function versionText(version: string): string {
  return `midge version ${version}
An MQTT broker for versions 5.0, 3.1.1 and 3.1 of the protocol.
License EPL-2.0: Eclipse Public License 2.0 <https://www.eclipse.org/legal/epl-2.0/>.
`;
}

function usage(version: string): string {
  return `midge version ${version}

An MQTT broker for versions 5.0, 3.1.1 and 3.1 of the protocol.

Usage: midge [-c FILE] [-d] [-p PORT]... [-q | -v] [--tls-keylog FILE]
       midge -c FILE --test-config
       midge acl explain [--config FILE] [--user NAME] [--client ID] read|write TOPIC
       midge check --config FILE [--from VERSION] [--json]
       midge db import [--dry-run] MOSQUITTO_DB FILE
       midge db export [--dry-run] FILE MOSQUITTO_DB
       midge db stats|check FILE
       midge status --config FILE [--user NAME] [--check]
       midge --help | --version

  -c, --config FILE     Read this configuration file (also --config-file); if
                        given more than once, all of them in their order.
                        Without one, only clients on this machine can connect.
  -d, --daemon          Go to the background once started.
  -h, --help            Print this text and end.
  -p, --port PORT       Listen on this port of the loopback addresses instead of
                        1883; up to ${portsMax} times. Ignored when the configuration
                        file defines a listener.
  -q, --quiet           Log nothing, whatever the configuration file and -v say.
  -v, --verbose         Log everything, whatever the configuration file says.
  --test-config         Check the configuration file and end: 0 when it is good,
                        ${configExitCode} when it is not. Nothing is opened or written.
  --tls-keylog FILE     Append the TLS secrets of all listeners to this file, to
                        look into recorded traffic. For debugging only.
  --version             Print the version and end.

  acl explain           Say whether a client may read or write a topic, and by which
                        line of which file.
  check                 Say what a configuration file means, what in it is wrong, weak
                        or without effect, and what was something else under an
                        earlier version of Mosquitto. Only reads.
  db                    Look into stores and mosquitto.db files. Midge takes over a
                        mosquitto.db by itself at its start; "midge db export" is the
                        way back to Mosquitto, with the broker stopped.
  status                Say whether the broker of a configuration file is well, and
                        what it does. Asks a listener with "protocol http_api".
`;
}
