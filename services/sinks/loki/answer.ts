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

/** What fails only before there is a connection (Node.js). Others, as EHOSTUNREACH, may also end one that has been used. */
const unconnectedCodes = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EADDRNOTAVAIL', 'EMFILE']);
const unconnectedCalls = new Set(['connect', 'getaddrinfo', 'bind']);
/** A certificate that this side does not take (Node.js, OpenSSL's X509_verify_cert_error_string). */
const unverifiedCodes = /^(ERR_TLS_CERT_|CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|HOSTNAME_MISMATCH|INVALID_CA)/;
/** The server does not take the client's (RFC 8446, 6.2). With TLS 1.3 it says so when the request is under way, and reads none of it. */
const refusedCodes = /^ERR_SSL_\w*ALERT_(BAD_CERTIFICATE|UNSUPPORTED_CERTIFICATE|CERTIFICATE_\w+|UNKNOWN_CA|ACCESS_DENIED)/;
const tlsCodes = /^(ERR_TLS_|ERR_SSL_|EPROTO$)/;

interface Failure {
  readonly code?: string;
  readonly syscall?: string;
  /** Of the attempts at each address of a name. */
  readonly errors?: readonly Failure[];
}

/**
 * What a failed connection means for the request.
 * @param isHandshake the connection failed before its TLS handshake had ended
 */
export function outcomeOfFailure(thrown: unknown, url: string, isHandshake = false): Outcome {
  const failure = thrown as Failure;
  const { code = '' } = failure;
  const details = { url, cause: messageOf(thrown) || code };
  if (unverifiedCodes.test(code) || refusedCodes.test(code) || (isHandshake && tlsCodes.test(code)))
    return { kind: 'unsent', cause: lokiError('LOKI_TLS', details, thrown) };
  if (isUnconnected(failure)) return { kind: 'unsent', cause: lokiError('LOKI_UNREACHABLE', details, thrown) };
  return {
    kind: 'unanswered',
    cause: lokiError('LOKI_NO_ANSWER', tlsCodes.test(code) ? { url, cause: `TLS broke: ${details.cause}` } : details, thrown),
  };
}

function isUnconnected({ code = '', syscall = '', errors = [] }: Failure): boolean {
  return unconnectedCodes.has(code) || unconnectedCalls.has(syscall) || (errors.length > 0 && errors.every(isUnconnected));
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
