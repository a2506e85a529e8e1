import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { foundDocuments, storedIds, storedSources } from './elasticsearch-server.ts';
import type { ExpectedEvents, Verdict } from './expected-events.ts';
import type { FindingDocument } from './findings.ts';
import type { LiveEvent } from './live-run.ts';
import { countLines, type LokiReader, linesOf } from './loki-server.ts';

/** What a store holds of the events of some nodes; findings are left out. */
export interface StoredEvents {
  /** Of each event; one that is there twice may be named twice. */
  readonly ids: readonly string[];
  /** Events that are there once more and are not named again. */
  readonly unnamed: number;
}

/** A store that can be read back. */
export interface EventStore {
  readonly name: string;
  /** Events of the nodes whose names begin so. */
  events(nodes: string): Promise<StoredEvents>;
  /** Whole events of one node. */
  documents(node: string): Promise<LiveEvent[]>;
  /** All lines, findings included, by id. */
  lines(): Promise<ReadonlyMap<string, string>>;
}

/** A query may take a minute, on a machine with much else to do, too. */
const wholeLinesAtOnce = 1_000;
const alertKind = '"event":{"kind":"alert"';
const eventId = /"id":"([0-9a-f]{16}-\d+)"/;

/** The files of file sinks, by their data folders. A line that is being written is not there yet. */
export class FileStore implements EventStore {
  readonly name = 'files';
  readonly #folders: readonly string[];

  constructor(...dataDirs: readonly string[]) {
    this.#folders = dataDirs.map((dataDir) => join(dataDir, 'events'));
  }

  async events(nodes: string): Promise<StoredEvents> {
    const ids = [...this.#lines(`"host":{"name":"${nodes}`)].map((line) => eventId.exec(line)?.[1] ?? line);
    return { ids, unnamed: 0 };
  }

  async documents(node: string): Promise<LiveEvent[]> {
    return [...this.#lines(`"host":{"name":"${node}"`)].map((line) => JSON.parse(line) as LiveEvent);
  }

  async lines(): Promise<ReadonlyMap<string, string>> {
    return byId([...this.#all()].map((line) => Buffer.from(line, 'latin1').toString()));
  }

  /** Findings of all partitions. */
  findings(): FindingDocument[] {
    return [...this.#all()].filter((line) => line.includes(alertKind)).map((line) => JSON.parse(line) as FindingDocument);
  }

  *#lines(host: string): Generator<string> {
    for (const line of this.#all()) if (line.includes(host) && !line.includes(alertKind)) yield line;
  }

  *#all(): Generator<string> {
    for (const folder of this.#folders) for (const name of filesIn(folder)) yield* textOf(join(folder, name)).split('\n').slice(0, -1);
  }
}

/** A file that was closed since it was listed has another name, with .gz. */
function textOf(path: string): string {
  if (!path.endsWith('.gz') && existsSync(`${path}.gz`)) return textOf(`${path}.gz`);
  try {
    const bytes = readFileSync(path);
    return (path.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('latin1');
  } catch {
    // Between its two names.
    return '';
  }
}

function filesIn(folder: string): string[] {
  try {
    const names = readdirSync(folder).filter((name) => /^\d+-\d+\.ndjson(\.gz)?$/.test(name));
    return names.filter((name) => name.endsWith('.gz') || !names.includes(`${name}.gz`));
  } catch {
    return [];
  }
}

/** Indices of Elasticsearch. */
export class ElasticsearchStore implements EventStore {
  readonly name = 'elasticsearch';
  readonly #address: string;
  readonly #indices: string;

  /** @param indices a pattern */
  constructor(address: string, indices: string) {
    this.#address = address;
    this.#indices = indices;
  }

  async events(nodes: string): Promise<StoredEvents> {
    const of = { bool: { filter: [{ term: { 'event.kind': 'event' } }, { prefix: { 'host.name': nodes } }] } };
    return { ids: await storedIds(this.#address, this.#indices, of), unnamed: 0 };
  }

  async documents(node: string): Promise<LiveEvent[]> {
    const of = { bool: { filter: [{ term: { 'event.kind': 'event' } }, { term: { 'host.name': node } }] } };
    return (await foundDocuments(this.#address, this.#indices, of)) as LiveEvent[];
  }

  /** As JSON.stringify writes them; the key is `_id`. */
  async lines(): Promise<ReadonlyMap<string, string>> {
    return new Map((await storedSources(this.#address, this.#indices)).map(([id, source]) => [id, JSON.stringify(source)]));
  }
}

/** A cluster's events in Loki, from some time on. */
export class LokiStore implements EventStore {
  readonly name = 'loki';
  readonly #reader: LokiReader;
  readonly #selector: string;
  readonly #fromS: number;

  /** @param fromS Unix s */
  constructor(reader: LokiReader, cluster: string, fromS: number) {
    this.#reader = reader;
    this.#selector = `{service_name="jitterscope", cluster="${cluster}", event_kind="event"}`;
    this.#fromS = fromS;
  }

  /** Loki shows lines once that it holds twice, but counts both. */
  async events(nodes: string): Promise<StoredEvents> {
    const toS = untilS();
    const query = `${this.#selector} | node=~"${nodes}.*"`;
    const found = await linesOf(this.#reader, `${query} | keep event_id | line_format ""`, this.#fromS, toS);
    const ids = [...new Set(found.map(({ labels }) => labels.event_id))];
    return { ids, unnamed: (await countLines(this.#reader, query, toS, toS - this.#fromS)) - ids.length };
  }

  async documents(node: string): Promise<LiveEvent[]> {
    const found = await linesOf(this.#reader, `${this.#selector} | node="${node}"`, this.#fromS, untilS(), wholeLinesAtOnce);
    return found.map(({ line }) => JSON.parse(line) as LiveEvent);
  }

  async lines(): Promise<ReadonlyMap<string, string>> {
    const selector = this.#selector.replace(', event_kind="event"', '');
    return byId((await linesOf(this.#reader, selector, this.#fromS, untilS(), wholeLinesAtOnce)).map(({ line }) => line));
  }
}

/** Throws when an id is there twice. */
function byId(lines: readonly string[]): Map<string, string> {
  const found = new Map(lines.map((line) => [(JSON.parse(line) as LiveEvent).event.id, line]));
  if (found.size !== lines.length) throw new Error(`${lines.length} lines have ${found.size} ids`);
  return found;
}

/** Clocks of nodes may be ahead by a minute, as the fake collectors' last heartbeat is. */
const untilS = (): number => Math.ceil(Date.now() / 1000) + 120;

/** What a store holds against what is expected. */
export function verdictOf(expected: ExpectedEvents, { ids, unnamed }: StoredEvents): Verdict {
  const found = expected.copy();
  for (const id of ids) found.seen(id.slice(0, 16), Number(id.slice(17)));
  const verdict = found.verdict();
  return { ...verdict, twice: verdict.twice + unnamed };
}
