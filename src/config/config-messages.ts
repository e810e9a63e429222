/**
 * The log lines about a configuration that is read.
 *
 * An error is Mosquitto's own line (so that it can be searched for), then where it was found, then one line of
 * help of ours. Unlike Mosquitto, reading goes on after an error, to name all of them at once.
 */

export type ConfigMessageType = 'error' | 'warning' | 'notice' | 'information';

/** One log line. */
export interface ConfigMessage {
  readonly type: ConfigMessageType;
  readonly text: string;
}

/** A line of a file; for one read through `include_dir`, also the line that says so. */
export interface Place {
  readonly file: string;
  readonly line: number;
  readonly includedAt?: Place;
}

/** What is wrong with a value or a line. */
export interface Fault {
  /** Mosquitto's line. */
  readonly error: string;
  /** The word found, the words allowed, and the nearest of them as a guess. */
  readonly help: string;
}

/** A fault where it was found. */
export interface PlacedFault extends Fault {
  readonly place: Place | undefined;
}

export class ConfigMessages {
  readonly lines: ConfigMessage[] = [];
  readonly faults: PlacedFault[] = [];
  readonly #said = new Set<string>();

  get hasErrors(): boolean {
    return this.faults.length > 0;
  }

  error(fault: Fault, place?: Place): void {
    this.faults.push({ ...fault, place });
    this.say('error', fault.error);
    if (place !== undefined) {
      for (const text of placeLines(place)) this.say('error', text);
    }
    this.say('error', fault.help);
  }

  say(type: ConfigMessageType, text: string): void {
    this.lines.push({ type, text });
  }

  /** For remarks about an option, which are the same however often it is used. */
  sayOnce(type: ConfigMessageType, text: string): void {
    if (this.#said.has(text)) return;
    this.#said.add(text);
    this.say(type, text);
  }
}

export function placeText(place: Place): string {
  return `${place.file}:${place.line}`;
}

function placeLines(place: Place): string[] {
  if (place.includedAt === undefined) return [`Error found at ${placeText(place)}.`];
  return [`Error found at '${placeText(place)}'.`, ...placeLines(place.includedAt)];
}
