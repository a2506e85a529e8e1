import type { SecureContextOptions } from 'node:tls';
import { type LokiOptions, loki, type RunningLoki } from '../../scripts/servers/loki.mjs';
import { askHttp } from './ask-http.ts';

/** Starts a real Loki of its own for a test file; builds it first where that was not done. */
export async function startLoki(options: LokiOptions): Promise<RunningLoki> {
  await loki.install();
  return loki.start(options);
}

const maxAttempts = 5;

/** A line as Loki returns it. */
export interface FoundLine {
  /** Unix time in ns. */
  readonly nanos: string;
  readonly line: string;
  /** Labels and structured metadata. */
  readonly labels: Readonly<Record<string, string>>;
}

/** Where and as whom to read. */
export interface LokiReader {
  readonly address: string;
  readonly tenantId?: string;
  /** Of one with TLS. */
  readonly tls?: SecureContextOptions;
}

/** One request to its API; throws for what is no success. */
export async function askLoki(reader: LokiReader, path: string, parameters: Readonly<Record<string, string>>): Promise<unknown> {
  const url = new URL(`/loki/api/v1/${path}`, reader.address);
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  const headers = { 'cache-control': 'no-cache', ...(reader.tenantId && { 'x-scope-orgid': reader.tenantId }) };
  const { status, text } = await patientAnswer(() => askHttp(url, { headers, ...reader.tls }));
  if (status >= 300) throw new Error(`${path} ${JSON.stringify(parameters)}: ${status} ${text}`);
  return JSON.parse(text);
}

/** Loki hangs up on an answer that takes it half a minute: on a busy machine the next attempt finds what this one has loaded. */
async function patientAnswer<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await ask();
    } catch (thrown) {
      if (attempt === maxAttempts || (thrown as NodeJS.ErrnoException).code !== 'ECONNRESET') throw thrown;
    }
  }
}

const pageSize = 5_000;

/** All lines of a query between two times (Unix s), in order of time, without those that Loki shows once although it holds them twice. */
export async function linesOf(reader: LokiReader, query: string, fromS: number, toS: number, linesAtOnce = pageSize): Promise<FoundLine[]> {
  const found: FoundLine[] = [];
  const seen = new Set<string>();
  let start = BigInt(Math.floor(fromS)) * 1_000_000_000n;
  const end = BigInt(Math.ceil(toS)) * 1_000_000_000n;
  for (;;) {
    const answer = (await askLoki(reader, 'query_range', {
      query,
      start: String(start),
      end: String(end),
      limit: String(linesAtOnce),
      direction: 'forward',
    })) as { data: { result: readonly { stream: Record<string, string>; values: readonly [string, string][] }[] } };
    const page = answer.data.result
      .flatMap(({ stream, values }) => values.map(([nanos, line]) => ({ nanos, line, labels: stream })))
      .sort((a, b) => (BigInt(a.nanos) < BigInt(b.nanos) ? -1 : BigInt(a.nanos) > BigInt(b.nanos) ? 1 : 0));
    for (const one of page) {
      // The page before ended at the same time as this one begins.
      const key = `${one.nanos} ${one.line} ${JSON.stringify(one.labels)}`;
      if (!seen.has(key)) found.push(one);
      seen.add(key);
    }
    if (page.length < linesAtOnce) return found;
    start = BigInt(page[page.length - 1].nanos);
  }
}

/** How many lines Loki counts for a selector before a time (Unix s) over so many seconds: those that it holds twice count twice. */
export async function countLines(reader: LokiReader, selector: string, atS: number, overS: number): Promise<number> {
  const answer = (await askLoki(reader, 'query', {
    query: `sum(count_over_time(${selector}[${Math.ceil(overS)}s]))`,
    time: String(Math.ceil(atS)),
  })) as { data: { result: readonly { value: [number, string] }[] } };
  return Number(answer.data.result[0]?.value[1] ?? 0);
}
