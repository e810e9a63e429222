/** The command line of `mosquitto_signal`, with the words and exit codes of Mosquitto 2.1. */

export const SIGNAL_USAGE = `mosquitto_signal sends signals to running brokers, for example to have them read their
configuration again. On Linux, \`kill\` and \`systemctl kill\` do the same.

Usage: mosquitto_signal {-a | -p PID} SIGNAL
       mosquitto_signal --help

 -a :  signal all brokers on this machine: Midge, and processes named 'mosquitto'.
 -p :  signal the process with this id.

SIGNAL is one of:
 config-reload - read the configuration file again.
 log-rotate    - close and reopen the log files.
 shutdown      - end the broker in good order.
 tree-print    - print the subscriptions to the broker's standard output.
 xtreport      - only for Mosquitto: write internal data to a file.
`;

export interface SignalCommand {
  /** `'all'`, or a process id. */
  target: 'all' | number;
  signal: SignalName;
}

const SIGNALS = {
  'config-reload': 'SIGHUP',
  'log-rotate': 'SIGHUP',
  shutdown: 'SIGINT',
  'tree-print': 'SIGUSR2',
  xtreport: 'SIGRTMIN',
} as const;

export type SignalName = keyof typeof SIGNALS;

export const SIGNAL_NAMES = Object.keys(SIGNALS) as SignalName[];

/** SIGRTMIN of Linux with the GNU C library; Node has no name for it. */
const SIGRTMIN = 34;

export function signalOf(name: SignalName): NodeJS.Signals | number {
  const signal = SIGNALS[name];
  return signal === 'SIGRTMIN' ? SIGRTMIN : signal;
}

/** @returns a command, or what to print: `usage`, or an error */
export function parseSignalArguments(args: readonly string[]): SignalCommand | 'usage' | { error: string } {
  const [option, ...rest] = args;
  if (option === undefined || option === '--help') return 'usage';
  if (option !== '-a' && option !== '-p') return { error: 'Error: One of -a or -p must be used.' };
  let target: SignalCommand['target'] = 'all';
  let words = rest;
  // The last -a or -p counts.
  for (let word: string | undefined = option; word === '-a' || word === '-p'; [word, ...words] = words) {
    if (word === '-a') {
      target = 'all';
    } else {
      const [idText, ...others] = words;
      if (idText === undefined) return { error: 'Error: -p argument given but process ID missing.' };
      target = processId(idText);
      if (target <= 0) return { error: 'Error: Process ID must be >0.' };
      words = others;
    }
    if (words[0] !== '-a' && words[0] !== '-p') break;
  }
  const [signal] = words;
  if (signal === undefined) return { error: 'Error: No signal given.' };
  if (!Object.hasOwn(SIGNALS, signal)) return { error: `Error: Unknown signal '${signal}'.` };
  return { target, signal: signal as SignalName };
}

/** Leading digits count, as with atoi(3); 0 if there are none. */
function processId(text: string): number {
  return Number(/^\s*\+?(\d+)/.exec(text)?.[1] ?? 0);
}
