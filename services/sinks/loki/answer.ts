import type { IncomingMessage } from 'node:http';
import type { AppError } from '../../../core/app-error.ts';
import { messageOf } from '../../../core/app-error.ts';
import { lokiError } from './errors.ts';

/** What came of a request. */
export type Outcome =
  | { readonly kind: 'answered'; readonly status: number; readonly body: string; readonly retryAfterMs?: number }
  /** It did not reach the server. */
  | { readonly kind: 'unsent'; readonly cause: AppError }
  /** It was sent, and what the server made of it is not known. */
  | { readonly kind: 'unanswered'; readonly cause: AppError };

/** Why no push or query can be expected to come back after a failure with this code (Node.js, OpenSSL). */
const unsentCodes = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'EADDRNOTAVAIL', 'EMFILE']);
const tlsCodes = /^(ERR_TLS_|ERR_SSL_|CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|HOSTNAME_MISMATCH|INVALID_CA|EPROTO$)/;

/** What a failed connection means for the request. */
export function outcomeOfFailure(thrown: unknown, url: string): Outcome {
  const { code = '', syscall } = thrown as { code?: string; syscall?: string };
  const details = { url, cause: messageOf(thrown) || code };
  if (tlsCodes.test(code)) return { kind: 'unsent', cause: lokiError('LOKI_TLS', details, thrown) };
  if (unsentCodes.has(code) || syscall === 'connect' || syscall === 'getaddrinfo')
    return { kind: 'unsent', cause: lokiError('LOKI_UNREACHABLE', details, thrown) };
  return { kind: 'unanswered', cause: lokiError('LOKI_NO_ANSWER', details, thrown) };
}

/** Reads a response to its end, `maxBytes` of it. One that breaks off counts as an answer only where its status says all. */
export function readAnswer(response: IncomingMessage, url: string, maxBytes: number): Promise<Outcome> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  response.on('data', (chunk: Buffer) => {
    if (bytes < maxBytes) chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > maxBytes) response.destroy();
  });
  response.on('error', () => undefined);
  return new Promise((resolve) => {
    response.once('close', () => {
      const status = response.statusCode ?? 0;
      const isWhole = response.complete || bytes > maxBytes;
      if (!isWhole && status !== 204 && status !== 200) {
        resolve({ kind: 'unanswered', cause: lokiError('LOKI_NO_ANSWER', { url, cause: `the answer (${status}) broke off` }) });
        return;
      }
      const retryAfter = Number(response.headers['retry-after']);
      const body = Buffer.concat(chunks).subarray(0, maxBytes).toString();
      resolve({ kind: 'answered', status, body, ...(retryAfter > 0 && { retryAfterMs: Math.min(retryAfter, 600) * 1000 }) });
    });
  });
}
