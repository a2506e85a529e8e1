import type { AppError } from '../../../core/app-error.ts';
import type { Batch } from '../sink.ts';
import { lokiError } from './errors.ts';
import type { Lane } from './lane.ts';
import { formatLabels, serviceName } from './streams.ts';

/** Ids asked for at once: the query stays below 8 KiB, which proxies take in a request line. */
const idsPerQuery = 200;
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

/** Ids of the batch's events that Loki holds, in whatever stream. Rejects with LOKI_MAY_NOT_BE_ASKED, LOKI_QUERY_REDIRECTED or LOKI_QUERY_FAILED. */
export async function findIds(lane: Asker, { view, items }: Batch, scope: FindScope, signal: AbortSignal): Promise<Set<string>> {
  // Those of about the same time together: Loki reads all that lies between the first and the last.
  const rows = [...items].sort((a, b) => view.timeSeconds(a) - view.timeSeconds(b) || view.timeNanos(a) - view.timeNanos(b));
  const found = new Set<string>();
  for (let from = 0; from < rows.length; from += idsPerQuery) {
    const part = rows.slice(from, from + idsPerQuery);
    const ids = part.map((row) => view.id(row));
    const types = [...new Set(part.map((row) => view.type(row)))];
    const parameters = {
      query: queryFor(scope.cluster, types, ids),
      start: nanosOf(view.timeSeconds(part[0]), -slackMs),
      end: nanosOf(view.timeSeconds(part[part.length - 1]) + 1, slackMs),
      limit: String(maxEntries),
      direction: 'forward',
    };
    for (const id of await ask(lane, parameters, scope.url, signal)) found.add(id);
  }
  return found;
}

/** Whether this client may query at all. Rejects with LOKI_MAY_NOT_BE_ASKED where it may not. */
export async function mayQuery(lane: Asker, { cluster, url }: FindScope, signal: AbortSignal): Promise<void> {
  const nowS = Math.floor(Date.now() / 1000);
  const span = { start: nanosOf(nowS - 1), end: nanosOf(nowS) };
  // A look-up's limit: the tenant's may be lower.
  const parameters = { query: queryFor(cluster, [], ['0-0']), ...span, limit: String(maxEntries) };
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
  if (outcome.kind !== 'answered') throw queryFailed(outcome.cause.message);
  const { status, body } = outcome;
  const answer = body.slice(0, 300);
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

function nanosOf(seconds: number, shiftMs = 0): string {
  return String((BigInt(seconds) * 1000n + BigInt(shiftMs)) * 1_000_000n);
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
