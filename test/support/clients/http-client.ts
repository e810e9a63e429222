/** Requests over HTTP: each path goes out as it was written, and the whole answer comes back. */
import {
  type Agent,
  type IncomingHttpHeaders,
  request as plainRequest,
  type RequestOptions,
} from 'node:http';
import { request as secureRequest } from 'node:https';
import type { ConnectionOptions } from 'node:tls';
import { patienceMs, within } from '../within.js';

export interface HttpAnswer {
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
}

export interface HttpQuestion {
  method?: string;
  /** `name:password` */
  as?: string;
  headers?: Record<string, string>;
  body?: string;
  agent?: Agent;
  /** Over TLS. */
  tls?: ConnectionOptions;
}

/** @param to a port of 127.0.0.1, or the path of a unix socket. @throws where there is no answer */
export async function ask(
  to: number | string,
  path: string,
  question: HttpQuestion = {},
): Promise<HttpAnswer> {
  const { method = 'GET', as, headers = {}, body, agent, tls } = question;
  const options: RequestOptions = {
    ...(typeof to === 'number' ? { host: '127.0.0.1', port: to } : { socketPath: to }),
    path,
    method,
    agent: agent ?? false,
    headers: {
      ...(as !== undefined && { Authorization: `Basic ${Buffer.from(as).toString('base64')}` }),
      ...headers,
    },
  };
  const answered = new Promise<HttpAnswer>((resolve, reject) => {
    const sent = tls === undefined ? plainRequest(options) : secureRequest({ ...options, ...tls });
    sent.on('error', reject);
    sent.on('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () =>
        resolve({
          status: response.statusCode!,
          headers: response.headers,
          body: Buffer.concat(chunks).toString(),
        }),
      );
    });
    sent.end(body);
  });
  return within(patienceMs, answered, () => `waiting for the answer to ${method} ${path}`);
}
