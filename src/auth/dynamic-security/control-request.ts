/**
 * The form of requests on `$CONTROL/…`: a list of commands comes in, a list of responses goes out
 * [mosq: $CONTROL]. Each command is executed on its own; one that fails does not stop the others.
 */
import { decodeJsonText, JsonFault, JsonObject, type JsonValue, readJson } from './json-reader.js';

/** Stands for the command in the answer to what names none. */
const UNKNOWN = 'Unknown command';

export interface ControlResponse {
  command: string;
  error?: string;
  data?: object;
  correlationData?: string;
}

export interface ControlCommand {
  /** As it is spelled properly, if it is known. */
  name: string;
  isKnown: boolean;
  fields: JsonObject;
  correlationData: string | undefined;
}

/** What a command leads to. */
export type ControlResult = { data?: object } | { error: string };

/**
 * The commands of a request; in place of what is none, the response to it.
 * @param names all commands, as they are spelled properly
 */
export function commandsIn(
  payload: Uint8Array,
  names: readonly string[],
): (ControlCommand | ControlResponse)[] {
  const entries = entriesOf(payload);
  if (typeof entries === 'string') return [{ command: UNKNOWN, error: entries }];
  const commands: (ControlCommand | ControlResponse)[] = [];
  for (const entry of entries) {
    const command = commandOf(entry, names);
    commands.push(command);
    if (!isCommand(command)) break; // what follows is not looked at, as in Mosquitto 2.1
  }
  return commands;
}

export function isCommand(entry: ControlCommand | ControlResponse): entry is ControlCommand {
  return 'fields' in entry;
}

export const UNKNOWN_COMMAND: ControlResult = { error: UNKNOWN };

export function responseTo(
  { name, correlationData }: ControlCommand,
  result: ControlResult,
): ControlResponse {
  const echo = correlationData === undefined ? {} : { correlationData };
  if ('error' in result) return { command: name, error: result.error, ...echo };
  return { command: name, ...(result.data === undefined ? {} : { data: result.data }), ...echo };
}

/** @returns the entries of `commands`, or the fault */
function entriesOf(payload: Uint8Array): JsonValue[] | string {
  let request: JsonValue;
  try {
    request = readJson(decodeJsonText(payload));
  } catch (error) {
    if (error instanceof JsonFault) return 'Payload not valid JSON';
    throw error;
  }
  const commands = request instanceof JsonObject ? request.get('commands') : undefined;
  return Array.isArray(commands) ? commands : 'Invalid/missing commands';
}

function commandOf(entry: JsonValue, names: readonly string[]): ControlCommand | ControlResponse {
  if (!(entry instanceof JsonObject)) return { command: UNKNOWN, error: 'Command not an object' };
  const written = entry.text('command');
  if (written === undefined) return { command: UNKNOWN, error: 'Missing command' };
  const known = names.find((candidate) => candidate.toLowerCase() === written.toLowerCase());
  const name = known ?? written;
  const correlationData = entry.get('correlationData');
  if (correlationData !== undefined && typeof correlationData !== 'string') {
    return { command: name, error: 'Invalid correlationData data type.' };
  }
  return { name, isKnown: known !== undefined, fields: entry, correlationData };
}
