/**
 * Parses DER, the encoding of certificates and OCSP responses [X.690, 10], and accepts nothing less strict: lengths are
 * definite and as short as can be, an element ends where it says, and nothing follows the last one.
 *
 * The bytes come from a peer. Whatever they are, reading ends with an element or a `DerError`.
 */

/** First bytes of elements. */
export const Tag = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  enumerated: 0x0a,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
} as const;

/** Of an element that goes by its number in the structure, with others inside. */
export const contextTag = (number: number): number => 0xa0 + number;

/** The low bits that announce a tag of several bytes, which no structure here has. */
const LONG_TAG = 0x1f;

/** More than the longest message of a TLS handshake. */
const LENGTH_BYTES_MAX = 3;

/** The message is a clause for people. */
export class DerError extends Error {
  override readonly name = 'DerError';
}

export class DerReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  /** First byte of the next element; `undefined` at the end. */
  get nextTag(): number | undefined {
    return this.#bytes[this.#at];
  }

  /** The next element, tag and length and all. */
  element(tag: number): Uint8Array {
    const start = this.#at;
    this.content(tag);
    return this.#bytes.subarray(start, this.#at);
  }

  /** The bytes inside the next element. */
  content(tag: number): Uint8Array {
    if (this.nextTag !== tag) throw new DerError(`there is no element ${hexByte(tag)} where one belongs`);
    if ((tag & LONG_TAG) === LONG_TAG) throw new DerError('a tag has several bytes');
    this.#at += 1;
    const length = this.#length();
    const start = this.#at;
    if (length > this.#bytes.length - start) throw new DerError('an element is longer than its frame');
    this.#at = start + length;
    return this.#bytes.subarray(start, this.#at);
  }

  /** The elements inside the next one. */
  enter(tag: number): DerReader {
    return new DerReader(this.content(tag));
  }

  /** The elements inside the next one, if it is that. */
  enterOptional(tag: number): DerReader | undefined {
    return this.nextTag === tag ? this.enter(tag) : undefined;
  }

  /** An object identifier as it is written, in hexadecimal. */
  oid(): string {
    return Buffer.from(this.content(Tag.oid)).toString('hex');
  }

  /** An algorithm that has no parameters: its object identifier, in hexadecimal [RFC 5280, 4.1.1.2]. */
  algorithm(): string {
    const algorithm = this.enter(Tag.sequence);
    const oid = algorithm.oid();
    if (!algorithm.isAtEnd) algorithm.enter(Tag.null).finish();
    algorithm.finish();
    return oid;
  }

  /** A bit string of whole bytes. */
  bits(): Uint8Array {
    const content = this.content(Tag.bitString);
    if (content[0] !== 0) throw new DerError('a bit string does not end with a byte');
    return content.subarray(1);
  }

  /** @returns milliseconds since 1970 */
  time(): number {
    return timeOf(Buffer.from(this.content(Tag.generalizedTime)).toString('latin1'));
  }

  /** As `time`, or with a year of two digits, which lies between 1950 and 2049 [RFC 5280, 4.1.2.5.1]. */
  timeOfCertificates(): number {
    if (this.nextTag !== Tag.utcTime) return this.time();
    const text = Buffer.from(this.content(Tag.utcTime)).toString('latin1');
    return timeOf(`${text < '50' ? '20' : '19'}${text}`);
  }

  /** To be called when all that is known was read. */
  finish(): void {
    if (!this.isAtEnd) throw new DerError('something follows the last element');
  }

  #length(): number {
    const first = this.#byte();
    if (first < 0x80) return first;
    const count = first & 0x7f;
    if (count === 0 || count > LENGTH_BYTES_MAX) throw new DerError('a length is not definite, or endless');
    let length = 0;
    for (let i = 0; i < count; i += 1) length = length * 256 + this.#byte();
    if (length < 0x80 || length < 256 ** (count - 1))
      throw new DerError('a length is longer than it has to be');
    return length;
  }

  #byte(): number {
    const byte = this.#bytes[this.#at];
    if (byte === undefined) throw new DerError('it ends in the middle of an element');
    this.#at += 1;
    return byte;
  }
}

function timeOf(text: string): number {
  const parts = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(text);
  const ms = parts === null ? Number.NaN : Date.parse(isoForm(parts));
  if (Number.isNaN(ms)) throw new DerError('a time is not one');
  return ms;
}

function isoForm([, year, month, day, hour, minute, second]: RegExpExecArray): string {
  return `${year}-${month}-${day}T${hour}:${minute}:${second}Z`;
}

const hexByte = (byte: number): string => `0x${byte.toString(16).padStart(2, '0')}`;
