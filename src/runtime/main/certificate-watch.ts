/** Warns of certificates 30, 7 and 1 days before they expire, and when they have. */
import { X509Certificate } from 'node:crypto';
import { isTls } from '../../config/listener-tls.js';
import type { Settings } from '../../config/settings.js';
import type { Log } from '../../log/log.js';
import { certificatesIn } from '../../net/tls-context.js';
import { subjectText } from '../../net/tls-identity.js';
import type { FileTexts } from '../../routing/messages.js';

const DAY_MS = 24 * 60 * 60 * 1000;
const LOOK_MS = DAY_MS / 4;

/** Days before the end at which a warning is due; each is given once. */
const WARNING_DAYS = [30, 7, 1, 0] as const;

export interface WatchedCertificate {
  file: string;
  /** As `subjectText` gives it. */
  subject: string;
  /** Milliseconds since the epoch. */
  endsAt: number;
}

export class CertificateWatch {
  readonly #log: Log;
  #watched: { certificate: WatchedCertificate; warned: number }[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(log: Log) {
    this.#log = log;
  }

  /** Looks at once, and from now on every few hours. */
  start(settings: Settings, files: FileTexts): void {
    this.stop();
    this.#watched = certificatesOf(settings, files).map((certificate) => ({ certificate, warned: 0 }));
    this.#look();
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    for (const watched of this.#watched) {
      const due = warningsDue(watched.certificate, Date.now());
      if (due > watched.warned) this.#log.write('warning', expiryWarning(watched.certificate, Date.now()));
      watched.warned = due;
    }
  }
}

/** How many of the warnings are due. @param now milliseconds since the epoch */
export function warningsDue({ endsAt }: WatchedCertificate, now: number): number {
  return WARNING_DAYS.filter((days) => endsAt - now <= days * DAY_MS).length;
}

export function expiryWarning({ file, subject, endsAt }: WatchedCertificate, now: number): string {
  const end = new Date(endsAt).toISOString().slice(0, 16).replace('T', ' ');
  if (endsAt <= now) return `Warning: The certificate "${subject}" in ${file} has expired (${end} UTC).`;
  const days = Math.floor((endsAt - now) / DAY_MS);
  const left = days === 0 ? 'less than a day' : days === 1 ? '1 day' : `${days} days`;
  return `Warning: The certificate "${subject}" in ${file} expires in ${left} (${end} UTC).`;
}

/** Each certificate once, in whatever listeners' files it is. */
function certificatesOf({ listeners }: Settings, files: FileTexts): WatchedCertificate[] {
  const named = listeners.flatMap((listener) => {
    if (!isTls(listener)) return [];
    const { certfile, cafile, capath } = listener;
    return [certfile, cafile, capath].filter((file) => file !== undefined);
  });
  return [...new Set(named)].flatMap((file) =>
    certificatesIn(files.get(file)!).map((text) => {
      const { subject, validTo } = new X509Certificate(text);
      return { file, subject: subjectText(subject), endsAt: Date.parse(validTo) };
    }),
  );
}
