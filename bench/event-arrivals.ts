import { createReadStream, existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { askControl } from '../core/control.ts';

/** When the first query returned an event, behind the time of the event itself. */
export class EventArrivals {
  readonly #latenciesMs = new Map<string, number>();
  readonly #startMs: number;
  /** Newest event that was seen, Unix ms. */
  newestMs: number;

  /** @param startMs events before this are none of these, Unix ms */
  constructor(startMs: number) {
    this.#startMs = startMs;
    this.newestMs = startMs;
  }

  /** An event is in an answer that is here now. */
  saw(id: string, eventMs: number): void {
    if (eventMs < this.#startMs || this.#latenciesMs.has(id)) return;
    this.#latenciesMs.set(id, performance.timeOrigin + performance.now() - eventMs);
    this.newestMs = Math.max(this.newestMs, eventMs);
  }

  get count(): number {
    return this.#latenciesMs.size;
  }

  /** Latency that a share of the events did not exceed, ms. */
  quantileMs(share: number): number {
    const sorted = [...this.#latenciesMs.values()].sort((a, b) => a - b);
    return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
  }
}

/** Looks for new events until the signal aborts. */
export type Watcher = (arrivals: EventArrivals, signal: AbortSignal) => Promise<void>;

/** Events that are out of order, or were stored late, are looked for so far behind the newest, ms. */
const overlapMs = 5_000;
const pollMs = 50;

async function polling(signal: AbortSignal, look: () => Promise<void> | void): Promise<void> {
  while (!signal.aborted) {
    const startMs = performance.now();
    await look();
    await sleep(Math.max(0, startMs + pollMs - performance.now()));
  }
}

async function json(url: URL, init: RequestInit = {}): Promise<unknown> {
  const response = await fetch(url, init);
  if (!response.ok) throw new Error(`${url.pathname}: ${response.status} ${await response.text()}`);
  return response.json();
}

/** The queries of a person who looks at one namespace, over and over. */
export function watchLoki(address: string, netns: string): Watcher {
  return (arrivals, signal) =>
    polling(signal, async () => {
      const url = new URL('/loki/api/v1/query_range', address);
      url.searchParams.set('query', `{service_name="jitterscope", event_kind="event"} |= "${netns}" | keep event_id | line_format ""`);
      url.searchParams.set('start', `${Math.floor(arrivals.newestMs - overlapMs)}000000`);
      url.searchParams.set('end', `${Date.now() + 1_000}000000`);
      url.searchParams.set('limit', '5000');
      const { data } = (await json(url)) as { data: { result: { stream: { event_id: string }; values: [string, string][] }[] } };
      for (const { stream, values } of data.result) arrivals.saw(stream.event_id, Number(values[0][0]) / 1e6);
    });
}

export function watchElasticsearch(address: string, netns: string): Watcher {
  return (arrivals, signal) =>
    polling(signal, async () => {
      const url = new URL('/jitterscope-events-*/_search?allow_no_indices=true&ignore_unavailable=true', address);
      const body = {
        size: 5_000,
        _source: false,
        docvalue_fields: [{ field: '@timestamp', format: 'strict_date_optional_time_nanos' }],
        query: {
          bool: {
            filter: [
              { term: { 'jitterscope.netns.name': netns } },
              { term: { 'event.kind': 'event' } },
              { range: { '@timestamp': { gte: new Date(arrivals.newestMs - overlapMs).toISOString() } } },
            ],
          },
        },
      };
      const headers = { 'content-type': 'application/json' };
      const { hits } = (await json(url, { method: 'POST', headers, body: JSON.stringify(body) })) as {
        hits: { hits: { _id: string; fields: { '@timestamp': [string] } }[] };
      };
      for (const { _id, fields } of hits.hits) arrivals.saw(_id, instantMs(fields['@timestamp'][0]));
    });
}

/** NDJSON files, as they grow. */
export function watchFiles(folder: string, netns: string): Watcher {
  const read = new Map<string, number>();
  return (arrivals, signal) =>
    polling(signal, async () => {
      const names = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.ndjson')) : [];
      for (const name of names) {
        const path = join(folder, name);
        const start = read.get(name) ?? 0;
        const end = statSync(path).size;
        if (end <= start) continue;
        // The sink writes whole lines.
        read.set(name, end);
        for await (const line of createInterface({ input: createReadStream(path, { start, end: end - 1 }) }))
          sawLine(arrivals, line, netns);
      }
    });
}

/** What `jitterscope tap` shows. */
export function watchTap(socketPath: string, netns: string): Watcher {
  return async (arrivals, signal) => {
    try {
      for await (const line of askControl(socketPath, 'tap', {}, signal)) sawLine(arrivals, String(line), netns);
    } catch (thrown) {
      if (!signal.aborted) throw thrown;
    }
  };
}

function sawLine(arrivals: EventArrivals, line: string, netns: string): void {
  if (!line.includes(netns) || !line.includes('"event":{"kind":"event"')) return;
  const document = JSON.parse(line) as { readonly '@timestamp': string; readonly event: { readonly id: string } };
  arrivals.saw(document.event.id, instantMs(document['@timestamp']));
}

function instantMs(timestamp: string): number {
  return Date.parse(timestamp);
}
