import { AppError } from '../../../core/app-error.ts';
import type { EventBatchView } from '../../../schema/batch.ts';
import type { Batch } from '../sink.ts';
import { wantsTls } from './classify.ts';
import { lokiError } from './errors.ts';
import type { Lane } from './lane.ts';
import { formatLabels, serviceName } from './streams.ts';

/** Ids asked for at once: the query stays below 8 KiB, which proxies take in a request line. */
const idsPerQuery = 200;
/** Asked for at once at most: Loki refuses more than max_query_length (721 h by default), and reads all that lies between. */
const spanPerQueryS = 86_400;
/** Loki's times end here, s: nothing later was ever stored. */
const lastS = 9_223_372_035;
/** The first time whose ns have more than ten digits, ms. */
const firstMs = 10_000;
/** A query over more time than max_query_length of the tenant (Loki 3.7.8: 400). */
const spansTooMuch = /time range exceeds/i;
/** Loki's max_entries_limit_per_query; each event would have to be stored 25 times to reach it. */
const maxEntries = 5_000;
/** Loki may have moved an event by some ns, if it is told to keep timestamps distinct. */
const slackMs = 1;

/** Who asks. */
type Asker = Pick<Lane, 'query'>;

/** Where to look. */
export interface FindScope {
  readonly cluster: string;
  /** Address of Loki, for errors. */
  readonly url: string;
}

/** Ids of the batch's events that Loki holds, in whatever stream. Rejects with LOKI_MAY_NOT_BE_ASKED, LOKI_QUERY_FAILED, or what an operator has to mend. */
export async function findIds(lane: Asker, { view, items }: Batch, scope: FindScope, signal: AbortSignal): Promise<Set<string>> {
  const found = new Set<string>();
  const lookUp = async (rows: Uint32Array): Promise<void> => {
    const ids = Array.from(rows, (row) => view.id(row));
    const types = [...new Set(Array.from(rows, (row) => view.type(row)))];
    const [startS, endS] = [view.timeSeconds(rows[0]), view.timeSeconds(rows[rows.length - 1])];
    const parameters = {
      query: queryFor(scope.cluster, types, ids),
      ...spanOf(startS * 1000 - slackMs, (endS + 1) * 1000 + slackMs),
      limit: String(maxEntries),
      direction: 'forward',
    };
    try {
      for (const id of await ask(lane, parameters, scope.url, signal)) found.add(id);
    } catch (thrown) {
      if (!(thrown instanceof AppError && spansTooMuch.test(thrown.message)) || startS === endS) throw thrown;
      // A tenant whose limit is lower: no denial.
      const middle = rows.length >> 1;
      await lookUp(rows.subarray(0, middle));
      await lookUp(rows.subarray(middle));
    }
  };
  for (const rows of cut(view, items)) await lookUp(rows);
  return found;
}

/** Those of about the same time together: Loki reads all that lies between the first and the last. */
function* cut(view: EventBatchView, items: Uint32Array): Generator<Uint32Array> {
  const rows = items
    .filter((row) => view.timeSeconds(row) <= lastS)
    .sort((a, b) => view.timeSeconds(a) - view.timeSeconds(b) || view.timeNanos(a) - view.timeNanos(b));
  for (let from = 0, to = 0; from < rows.length; from = to) {
    const endS = view.timeSeconds(rows[from]) + spanPerQueryS;
    while (to < rows.length && to - from < idsPerQuery && view.timeSeconds(rows[to]) < endS) to++;
    yield rows.subarray(from, to);
  }
}

/** Whether this client may query at all. Rejects with LOKI_MAY_NOT_BE_ASKED where it may not. */
export async function mayQuery(lane: Asker, { cluster, url }: FindScope, signal: AbortSignal): Promise<void> {
  const nowS = Math.floor(Date.now() / 1000);
  // A look-up's limit: the tenant's may be lower.
  const parameters = { query: queryFor(cluster, [], ['0-0']), ...spanOf(nowS * 1000 - 1000, nowS * 1000), limit: String(maxEntries) };
  await ask(lane, parameters, url, signal);
}

/** `{...} | event_id=~"prefix-(1|2|3)|..."`: Loki turns alternatives of plain text into a set, and is asked for nothing but the ids. */
export function queryFor(cluster: string, types: readonly string[], ids: readonly string[]): string {
  const numbers = new Map<string, string[]>();
  for (const id of ids) {
    const dash = id.lastIndexOf('-');
    const prefix = id.slice(0, dash);
    const known = numbers.get(prefix);
    if (known === undefined) numbers.set(prefix, [id.slice(dash + 1)]);
    else known.push(id.slice(dash + 1));
  }
  const alternatives = [...numbers].map(([prefix, all]) => `${prefix}-(${all.join('|')})`).join('|');
  const selector = formatLabels([
    ['cluster', cluster],
    ['service_name', serviceName],
  ]).slice(0, -1);
  const ofTypes = types.length === 0 ? '' : `, type=~${JSON.stringify(types.map(escaped).join('|'))}`;
  return `${selector}${ofTypes}} | event_id=~${JSON.stringify(alternatives)} | keep event_id | line_format ""`;
}

async function ask(lane: Asker, parameters: Readonly<Record<string, string>>, url: string, signal: AbortSignal): Promise<string[]> {
  const outcome = await lane.query('query_range', parameters, signal);
  if (outcome.kind !== 'answered') throw outcome.cause.retryable ? queryFailed(outcome.cause.message) : outcome.cause;
  const { status, body } = outcome;
  const answer = body.slice(0, 300);
  // As of a push: it may be a token that has expired, and no denial of queries.
  if (status === 401) throw lokiError('LOKI_QUERY_UNAUTHENTICATED', { url, status, answer });
  if (status === 400 && wantsTls.test(body)) throw lokiError('LOKI_WITH_TLS', { url });
  // A query that is refused once is refused again, whatever for: leave, address, a limit of the tenant.
  const mayPass = status === 408 || status === 429;
  if (status >= 400 && status < 500 && !mayPass) throw lokiError('LOKI_MAY_NOT_BE_ASKED', { url, status, answer });
  // A proxy that sends queries elsewhere, mostly to a log-in: it does so for ever.
  if (status >= 300 && status < 400) throw lokiError('LOKI_QUERY_REDIRECTED', { url, status, answer });
  if (status !== 200) throw queryFailed(`${status} ${answer}`);
  return idsIn(body);
}

/** Ids in the answer of query_range: metadata are among the labels of a result. */
function idsIn(body: string): string[] {
  try {
    const { data } = JSON.parse(body) as { data: { result: readonly { readonly stream: Readonly<Record<string, string>> }[] } };
    return data.result.map(({ stream }) => stream.event_id).filter((id) => id !== undefined);
  } catch {
    throw queryFailed('its answer is no result of a query');
  }
}

function queryFailed(answer: string): AppError {
  return lokiError('LOKI_QUERY_FAILED', { answer });
}

/**
 * Start and end of a query, ns. Loki takes a number of up to ten digits for seconds, and passes it on within itself without
 * leading zeros: what is of the first 10 s of 1970 is asked for from 0 on.
 */
function spanOf(startMs: number, endMs: number): { start: string; end: string } {
  return { start: startMs < firstMs ? '0' : `${startMs}000000`, end: `${Math.max(endMs, firstMs)}000000` };
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
