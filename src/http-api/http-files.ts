/**
 * Serves the files of a folder over HTTP. A path has to name a regular file in the folder, also after all symbolic links
 * are followed; for everything else the answer is 404.
 */
import { constants } from 'node:fs';
import { type FileHandle, open, realpath, stat } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { extname, join, sep } from 'node:path';
import { pipeline } from 'node:stream/promises';

const CONTENT_TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.csv': 'text/csv; charset=utf-8',
  '.gif': 'image/gif',
  '.htm': 'text/html; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.ico': 'image/x-icon',
  '.jpeg': 'image/jpeg',
  '.jpg': 'image/jpeg',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json',
  '.map': 'application/json',
  '.md': 'text/markdown; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.pdf': 'application/pdf',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
  '.wasm': 'application/wasm',
  '.webmanifest': 'application/manifest+json',
  '.webp': 'image/webp',
  '.woff': 'font/woff',
  '.woff2': 'font/woff2',
  '.xml': 'application/xml',
};

const UNKNOWN_TYPE = 'application/octet-stream';

/** What the system says of a name that leads nowhere. */
const NOT_THERE: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG']);

export interface FileRequest {
  /** Where the files are. */
  folder: string;
  /** Of the URL, decoded, with the `/` that it begins with. */
  path: string;
  request: IncomingMessage;
  response: ServerResponse;
  /** Some of the file is on its way. */
  progress: () => void;
}

/**
 * Answers with the file that a path names, or says that the client's copy is still right.
 * @returns false, with nothing answered, if there is no such file
 * @throws what the system says if it cannot be read, and when the client is gone before the end
 */
export async function sendFile({ folder, path, request, response, progress }: FileRequest): Promise<boolean> {
  const file = await openFile(folder, path);
  if (file === null) return false;
  try {
    const { size, mtime } = await file.stat();
    const tag = `"${size.toString(16)}-${mtime.getTime().toString(16)}"`;
    const name = path.endsWith('/') ? INDEX : path;
    response.setHeader('ETag', tag);
    response.setHeader('Last-Modified', mtime.toUTCString());
    response.setHeader('Cache-Control', 'no-cache'); // who keeps it has to ask whether it is still right
    response.setHeader('X-Content-Type-Options', 'nosniff');
    if (hasCopy(request, tag, mtime)) {
      response.writeHead(304).end();
      return true;
    }
    response.writeHead(200, {
      'Content-Type': CONTENT_TYPES[extname(name).toLowerCase()] ?? UNKNOWN_TYPE,
      'Content-Length': size,
    });
    if (request.method === 'HEAD' || size === 0) response.end();
    else await stream(file, size, response, progress);
    return true;
  } finally {
    await file.close();
  }
}

const INDEX = 'index.html';

/** @returns `null` if there is no such file */
async function openFile(folder: string, path: string): Promise<FileHandle | null> {
  if (!isPlain(path)) return null;
  try {
    const base = await realpath(folder);
    const real = await realpath(join(base, path.endsWith('/') ? `${path}${INDEX}` : path));
    if (!real.startsWith(base.endsWith(sep) ? base : base + sep)) return null;
    if (!(await stat(real)).isFile()) return null; // before it is opened: that alone can do something to a device
    const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
    return await open(real, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  } catch (error) {
    if (NOT_THERE.has((error as NodeJS.ErrnoException).code ?? '')) return null;
    throw error;
  }
}

/**
 * Whether a path has one meaning only. The rules of access were asked about it as it stands: `a/../b` or `a//b` must
 * not lead past them.
 */
function isPlain(path: string): boolean {
  const [first, ...parts] = path.split('/');
  if (first !== '' || parts.length === 0 || path.includes('\0')) return false;
  return parts.every((part, i) => part !== '.' && part !== '..' && (part !== '' || i === parts.length - 1));
}

/** The tag counts if there is one [RFC 9110, 13.2.2]. */
function hasCopy({ headers }: IncomingMessage, tag: string, changed: Date): boolean {
  const tags = headers['if-none-match'];
  if (tags !== undefined) {
    return tags.split(',').some((one) => ['*', tag].includes(one.trim().replace(/^W\//, '')));
  }
  const since = Date.parse(headers['if-modified-since'] ?? '');
  return Math.floor(changed.getTime() / 1000) * 1000 <= since; // not if it is no date
}

/** The length is promised: what a file grows by is left out, and if it shrinks the connection has to end. */
async function stream(
  file: FileHandle,
  size: number,
  response: ServerResponse,
  progress: () => void,
): Promise<void> {
  const bytes = file.createReadStream({ start: 0, end: size - 1 });
  bytes.on('data', progress);
  await pipeline(bytes, response, { end: false });
  if (bytes.bytesRead === size) response.end();
  else response.destroy();
}
