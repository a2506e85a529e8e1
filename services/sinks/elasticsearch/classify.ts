import type { AppError } from '../../../core/app-error.ts';
import type { Delivery, ItemError } from '../sink.ts';
import { elasticsearchError } from './errors.ts';

/** The parts of a bulk answer that are asked for (filter_path). */
export const bulkFilterPath = ['errors', 'items.*.status', 'items.*.error.type', 'items.*.error.reason', 'items.*.error.caused_by.reason'];

/** An error as Elasticsearch tells it. */
export interface ElasticsearchFailure {
  readonly status: number;
  readonly type: string;
  readonly reason: string;
}

/** What is done about a failure: sent again, sent again in smaller requests, an operator mends something, never taken. */
export type Verdict = 'again' | 'smaller' | 'operator' | 'never';

/** 400 although nothing is wrong with the event. */
const operatorTypes = new Set([
  'index_closed_exception',
  'invalid_index_name_exception',
  // The limit of shards of the cluster: no index for a new day.
  'validation_exception',
  'invalid_alias_name_exception',
]);

/** Reasons of an illegal_argument_exception that have nothing to do with the event: IngestService and IndexAbstraction say so. */
const operatorReasons = /^pipeline with id \[.*\] does not exist|^no write index is defined for alias/;

/** 400 for a whole request because of what one of its events holds. */
const bodyTypes = new Set([
  'action_request_validation_exception',
  'illegal_argument_exception',
  'parse_exception',
  'parsing_exception',
  'x_content_parse_exception',
  'json_parse_exception',
]);

/** How a thread pool without room says so, behind hundreds of bytes of Java: EsThreadPoolExecutor. */
const fullQueue = /rejected execution of .* on \w*ThreadPoolExecutor\[name = ([^,\]]+), queue capacity = (\d+).*/s;

const maxReason = 500;

/** What is done about one item's failure. */
export function judgeItem({ status, type, reason }: ElasticsearchFailure): Verdict {
  if (status === 429 || status >= 500) return 'again';
  if (status === 401 || status === 403 || status === 404) return 'operator';
  if (type === 'illegal_argument_exception' && operatorReasons.test(reason)) return 'operator';
  return operatorTypes.has(type) ? 'operator' : 'never';
}

/** What is done about the failure of a whole request. `never` is not an answer: that is told of events only. */
export function judgeRequest({ status, type, reason }: ElasticsearchFailure): Exclude<Verdict, 'never'> {
  if (status === 413) return 'smaller';
  // Too much memory for requests: smaller ones fit. A queue has room for so many, of any size: more of them make it worse.
  if (status === 429) return fullQueue.test(reason) ? 'again' : 'smaller';
  if (status >= 500 || status === 408) return 'again';
  return status === 400 && bodyTypes.has(type) ? 'smaller' : 'operator';
}

/** The row of errors for a failure. */
export function errorOf({ status, type, reason }: ElasticsearchFailure, verdict: Verdict): AppError {
  const shown = reason.replace(fullQueue, 'no room in the queue of thread pool $1, capacity $2');
  const details = { status, reason: `${type === '' ? '' : `${type}: `}${shown}`.slice(0, maxReason) };
  if (status === 413) return elasticsearchError('ELASTICSEARCH_TOO_LARGE');
  if (verdict === 'never' || (verdict === 'smaller' && status === 400)) return elasticsearchError('ELASTICSEARCH_EVENT_REFUSED', details);
  if (status === 401 || status === 403) return elasticsearchError('ELASTICSEARCH_DENIED', details);
  if (verdict === 'operator') return elasticsearchError('ELASTICSEARCH_OPERATOR_NEEDED', details);
  return elasticsearchError(status === 429 ? 'ELASTICSEARCH_OVERLOADED' : 'ELASTICSEARCH_FAILED', details);
}

/** What became of the items of a request, and how many of them were there before. Undefined: this is no answer to it. */
export function classifyBulk(body: unknown, sent: readonly number[]): { delivery: Delivery; alreadyStored: number } | undefined {
  const { errors, items } = (body ?? {}) as { errors?: unknown; items?: unknown };
  if (typeof errors !== 'boolean' || !Array.isArray(items) || items.length !== sent.length) return undefined;
  const rejected: ItemError[] = [];
  const again: number[] = [];
  let cause: AppError | undefined;
  let alreadyStored = 0;
  for (let index = 0; index < sent.length; index++) {
    const failure = failureOfItem(items[index]);
    if (failure === undefined) return undefined;
    if (failure.status === 200 || failure.status === 201) continue;
    if (failure.status === 409) {
      alreadyStored++;
      continue;
    }
    const verdict = judgeItem(failure);
    const error = errorOf(failure, verdict);
    if (verdict === 'never') rejected.push({ item: sent[index], error });
    else {
      again.push(sent[index]);
      // What an operator has to mend is told before what may pass.
      if (cause === undefined || (cause.retryable && !error.retryable)) cause = error;
    }
  }
  const delivery = { ...(rejected.length > 0 && { rejected }), ...(cause !== undefined && { retry: { items: again, cause } }) };
  return { delivery, alreadyStored };
}

/** Status, type and reason of an answer that is an error; `body` is JSON of Elasticsearch, or what a proxy says. */
export function failureOfResponse(status: number, body: unknown): ElasticsearchFailure {
  const error = (body as { error?: unknown } | null | undefined)?.error;
  if (typeof error === 'object' && error !== null) return { status, ...wordsOf(error) };
  const text = typeof error === 'string' ? error : typeof body === 'string' ? body : '';
  return { status, type: '', reason: text.slice(0, maxReason) };
}

function failureOfItem(item: unknown): ElasticsearchFailure | undefined {
  const { create } = (item ?? {}) as { create?: { status?: unknown; error?: unknown } };
  const status = create?.status;
  if (typeof status !== 'number') return undefined;
  return { status, ...wordsOf(create?.error) };
}

function wordsOf(error: unknown): { type: string; reason: string } {
  const { type, reason, caused_by } = (error ?? {}) as { type?: unknown; reason?: unknown; caused_by?: { reason?: unknown } };
  const words = [reason, caused_by?.reason].filter((text): text is string => typeof text === 'string');
  return { type: typeof type === 'string' ? type : '', reason: words.join(': ') };
}
