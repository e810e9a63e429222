/**
 * `midge acl explain`: says whether a client may read or write a topic, and which line of the ACL file decides. It
 * reads the files as they are now and uses the broker's own rules.
 */
import { problemLines } from '../../auth/access-file.js';
import { type AclRequest, compileAcl } from '../../auth/acl-check.js';
import { aclFileUnopened, parseAclFile } from '../../auth/acl-file.js';
import { encodingFault } from '../../base/foreign-encoding.js';

const ACL_EXPLAIN_USAGE = `Usage: midge acl explain [--config FILE] [--user NAME] [--client ID] read|write TOPIC

 read      is the client sent messages of this topic?
 write     are the client's own messages (and its will) taken?
 --config  the configuration file. Without it: the broker's defaults.
 --user    the username; without it, the client is anonymous.
 --client  the client id.

Exit status: 0 allowed, 1 denied, 3 wrong use or a fault in a file.
`;

const EXIT_ALLOWED = 0;
const EXIT_DENIED = 1;
const EXIT_FAULT = 3;

export interface AclQuestion {
  config: string | undefined;
  username: string | undefined;
  clientId: string;
  request: AclRequest;
  topic: string;
}

/** A listener of the configuration, as far as access goes. */
export interface ExplainedListener {
  /** For people, such as "port 1883". */
  name: string;
  aclFile: string | undefined;
}

export interface AclExplainWorld {
  /** The listeners of a configuration file, or the lines to print about its errors. */
  listenersOf(config: string | undefined): ExplainedListener[] | { faults: string[] };
  /** @throws if the file cannot be read */
  readFile(file: string): Uint8Array;
}

export interface AclExplanation {
  exitCode: number;
  stdout: string;
  stderr: string;
}

/** @param args the words after `midge acl explain` */
export function aclExplain(args: readonly string[], world: AclExplainWorld): AclExplanation {
  if (args.includes('--help') || args.includes('-h')) {
    return { exitCode: EXIT_ALLOWED, stdout: ACL_EXPLAIN_USAGE, stderr: '' };
  }
  const question = parseQuestion(args);
  if (question === null) return fault([ACL_EXPLAIN_USAGE.trimEnd()]);
  const listeners = world.listenersOf(question.config);
  if (!Array.isArray(listeners)) return fault(listeners.faults);
  const listenersByFile = new Map<string | undefined, string[]>();
  for (const { aclFile, name } of listeners) {
    listenersByFile.set(aclFile, [...(listenersByFile.get(aclFile) ?? []), name]);
  }
  const answers: Answer[] = [];
  for (const [file, names] of listenersByFile) {
    const answer = answerFrom(file, question, world);
    if ('faults' in answer) return fault(answer.faults);
    // The listener is named only if the listeners differ.
    answers.push(
      listenersByFile.size > 1 ? { ...answer, text: `On ${names.join(', ')}: ${answer.text}` } : answer,
    );
  }
  return {
    exitCode: answers.every(({ allowed }) => allowed) ? EXIT_ALLOWED : EXIT_DENIED,
    stdout: answers.map(({ text }) => `${text}\n`).join(''),
    stderr: '',
  };
}

function fault(lines: string[]): AclExplanation {
  return { exitCode: EXIT_FAULT, stdout: '', stderr: lines.map((line) => `${line}\n`).join('') };
}

function parseQuestion(args: readonly string[]): AclQuestion | null {
  const options = new Map<string, string>();
  const words: string[] = [];
  for (let i = 0; i < args.length; i += 1) {
    const word = args[i]!;
    if (word !== '--config' && word !== '--user' && word !== '--client') {
      words.push(word);
    } else {
      const value = args[++i];
      if (value === undefined) return null;
      options.set(word, value);
    }
  }
  const [request, topic] = words;
  if (words.length !== 2 || (request !== 'read' && request !== 'write') || !topic) return null;
  return {
    config: options.get('--config'),
    username: options.get('--user'),
    clientId: options.get('--client') ?? '',
    request,
    topic,
  };
}

interface Answer {
  allowed: boolean;
  text: string;
}

function answerFrom(
  file: string | undefined,
  question: AclQuestion,
  world: AclExplainWorld,
): Answer | { faults: string[] } {
  let bytes: Uint8Array | null = null;
  try {
    bytes = file === undefined ? null : world.readFile(file);
  } catch {
    return { faults: [aclFileUnopened(file!)] };
  }
  const encodedOtherwise = bytes === null ? null : encodingFault('ACL file', file!, bytes);
  if (encodedOtherwise !== null) return { faults: [encodedOtherwise.error, encodedOtherwise.help] };
  const text = bytes === null ? null : Buffer.from(bytes).toString('utf8');
  const parsed = text === null ? null : parseAclFile(file!, text);
  if (parsed !== null && !parsed.ok) return { faults: parsed.errors.flatMap(problemLines) };
  const { username, clientId, topic, request } = question;
  const decision = compileAcl(parsed?.rules ?? null).check(username, clientId, topic, request);
  return { allowed: decision.allowed, text: `${decision.allowed ? 'allowed' : 'denied'}: ${decision.why}` };
}
