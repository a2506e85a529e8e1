import type { AppError } from '../../../core/app-error.ts';
import type { Outcome } from './answer.ts';
import { parseClauses } from './clauses.ts';
import { lokiError } from './errors.ts';
import { matchRefused } from './refused.ts';

/** A push of one stream as it was sent; entries by their place in it. */
export interface SentPush {
  readonly url: string;
  readonly isBackfill: boolean;
  readonly count: number;
  /** Bytes of all lines. */
  readonly bytes: number;
  seconds(entry: number): number;
  nanos(entry: number): number;
  /** Bytes of the line. */
  lineBytes(entry: number): number;
}

/** What became of a push. Entries that are not named are stored. */
export interface Verdict {
  /** Never taken: each with why. */
  readonly rejected?: readonly { readonly entry: number; readonly error: AppError }[];
  /** Not stored: again. */
  readonly again?: readonly number[];
  /** Nobody knows. */
  readonly unknown?: readonly number[];
  /** Why there is something in `again` or `unknown`. */
  readonly cause?: AppError;
  readonly afterMs?: number;
  /** In pushes of half the size. */
  readonly smaller?: boolean;
  /** The stream takes nothing before this, Unix time in s. */
  readonly oldestS?: number;
}

const busyMs = 1_000;
/** A server with TLS that was spoken to without: Go's, nginx'. */
export const wantsTls = /HTTP request (?:to an HTTPS server|was sent to HTTPS port)/i;
/** A page for people, as proxies answer with: Loki's texts are plain. */
const page = /^\s*</;
const maxAnswerLength = 500;
/** Of a stream that Loki made out of a part of a push (shard_streams). */
const shardLabel = '__stream_shard__';
/** The push as a whole could not be read: nothing of it is stored. */
const unreadable =
  /loghttp\.PushRequest|couldn't parse|error parsing|unexpected end of|unexpected EOF|snappy|gzip|illegal|invalid character|looks like|can't find closing|proto: |wiretype|at least one (?:label pair|valid stream)|Content-(?:Encoding|Type)/i;

/**
 * What an outcome means for each entry of the push. Pure. Loki stores the good entries of a push that it answers with 400 or
 * 429, and answers for the last stream of a push only, so that a push holds one.
 */
export function classify(outcome: Outcome, sent: SentPush): Verdict {
  if (outcome.kind === 'unsent') return { again: all(sent), cause: outcome.cause };
  if (outcome.kind === 'unanswered') return { unknown: all(sent), cause: outcome.cause };
  const { status } = outcome;
  if (status === 204 || status === 200) return {};
  const details = { url: sent.url, status, bytes: sent.bytes, answer: shortened(outcome.body) };
  if (status === 400) return classifyRefusal(outcome.body, sent, details);
  if (status === 429) return classifyLimit(outcome.body, sent, lokiError('LOKI_BUSY', details), outcome.retryAfterMs ?? busyMs);
  if (status === 413) return smaller(sent, lokiError('LOKI_TOO_LARGE', details));
  if (status === 401 || status === 403) return { again: all(sent), cause: lokiError('LOKI_DENIED', details) };
  if (status === 404 || status === 405 || status === 410) return { again: all(sent), cause: lokiError('LOKI_NOT_FOUND', details) };
  if (status === 408 || status >= 500)
    return { unknown: all(sent), cause: lokiError('LOKI_FAILED', details), ...(outcome.retryAfterMs && { afterMs: outcome.retryAfterMs }) };
  if (status === 260) return classifyBlocked(outcome.body, sent, lokiError('LOKI_BLOCKED', details));
  // A success that Loki never answers with, a redirect, a client error that is none of Loki's.
  const cause = lokiError('LOKI_UNEXPECTED_STATUS', details);
  return status < 300 ? { unknown: all(sent), cause } : { again: all(sent), cause };
}

/** A tenant is blocked before anything is stored; a policy may block a part. */
function classifyBlocked(body: string, sent: SentPush, cause: AppError): Verdict {
  return /\(policy: /.test(body) ? { unknown: all(sent), cause } : { again: all(sent), cause };
}

/** Of a push that Loki cut into shards a part may be stored, and the answer is about another shard. */
function classifyLimit(body: string, sent: SentPush, cause: AppError, afterMs: number): Verdict {
  // More than a burst holds would never pass.
  const half = sent.count > 1 && { smaller: true };
  return { [isAllOver(body, sent) ? 'again' : 'unknown']: all(sent), cause, afterMs, ...half };
}

/** Whether a 429 says that nothing of the push is stored. */
function isAllOver(body: string, { count }: SentPush): boolean {
  // The tenant's rate is asked before anything is stored; a proxy has a rate of its own.
  if (/^ingestion rate limit exceeded/.test(body) || page.test(body) || body.trim() === '') return true;
  if (/^maximum active stream limit exceeded/.test(body)) return !body.includes(shardLabel);
  // A stream's rate is asked while it is stored.
  const ignored = /total ignored: (\d+) out of (\d+)/.exec(body);
  return ignored !== null && ignored[1] === ignored[2] && Number(ignored[2]) === count;
}

function classifyRefusal(body: string, sent: SentPush, details: Record<string, string | number>): Verdict {
  if (/includes structured metadata, but this feature is disallowed/.test(body))
    return { again: all(sent), cause: lokiError('LOKI_METADATA_DISALLOWED', details) };
  if (wantsTls.test(body)) return { again: all(sent), cause: lokiError('LOKI_WITH_TLS', details) };
  if (page.test(body)) return { again: all(sent), cause: lokiError('LOKI_UNEXPECTED_STATUS', details) };
  if (/no org id|tenant ID/.test(body)) return { again: all(sent), cause: lokiError('LOKI_DENIED', details) };
  if (parseClauses(body).clauses.some(({ kind }) => kind === 'labels')) {
    // Of the stream, and nothing of the push is stored. A backfill stream has a label more: the others must not wait for it.
    const cause = lokiError('LOKI_LABELS_REFUSED', details);
    return sent.isBackfill ? { rejected: all(sent).map((entry) => ({ entry, error: cause })) } : { again: all(sent), cause };
  }
  const { refused, behind, oldestS, isExact } = matchRefused(body, sent);
  if (refused.size === 0 && behind.size === 0) {
    const cause = lokiError('LOKI_PUSH_UNREADABLE', details);
    if (unreadable.test(body)) return smaller(sent, cause);
    if (sent.count === 1) return { rejected: [{ entry: 0, error: lokiError('LOKI_REFUSED', details) }] };
    return { unknown: all(sent), cause, smaller: true, afterMs: busyMs };
  }
  const rejected = [...refused].map(([entry, answer]) => ({ entry, error: lokiError('LOKI_REFUSED', { answer }) }));
  const late = [...behind];
  if (sent.isBackfill)
    for (const [entry, answer] of late) rejected.push({ entry, error: lokiError('LOKI_BACKFILL_TOO_FAR_BEHIND', { answer }) });
  const again = sent.isBackfill ? [] : late.map(([entry]) => entry);
  const unknown = isExact ? [] : all(sent).filter((entry) => !refused.has(entry) && !behind.has(entry));
  const cause = lokiError(again.length > 0 ? 'LOKI_TOO_FAR_BEHIND' : 'LOKI_FAILED', { ...details, answer: late[0]?.[1] ?? details.answer });
  return {
    ...(rejected.length > 0 && { rejected }),
    ...(again.length > 0 && { again }),
    ...(unknown.length > 0 && { unknown }),
    ...(again.length + unknown.length > 0 && { cause }),
    ...(oldestS !== undefined && { oldestS }),
  };
}

/** Again in halves; an event that is refused alone is refused for good. */
function smaller(sent: SentPush, cause: AppError): Verdict {
  return sent.count > 1 ? { again: all(sent), cause, smaller: true } : { rejected: [{ entry: 0, error: cause }] };
}

function all({ count }: SentPush): number[] {
  return Array.from({ length: count }, (_, entry) => entry);
}

function shortened(body: string): string {
  const text = body.replace(/\s+/g, ' ').trim();
  return text.length > maxAnswerLength ? `${text.slice(0, maxAnswerLength)}…` : text || 'nothing';
}
