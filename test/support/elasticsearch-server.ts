import { readFileSync } from 'node:fs';
import {
  type ElasticsearchOptions,
  elasticsearch,
  elasticsearchUser,
  type RunningElasticsearch,
} from '../../scripts/servers/elasticsearch.mjs';
import { askHttp } from './ask-http.ts';

/** Starts a real Elasticsearch of its own for a test file; installs it first where that was not done. */
export async function startElasticsearch(options: ElasticsearchOptions): Promise<RunningElasticsearch> {
  await elasticsearch.install();
  return elasticsearch.start(options);
}

/** Where and as whom to ask: an address, or a secured server, of which its superuser asks. */
export type ElasticsearchReader = string | RunningElasticsearch;

/** One request to its REST API; throws for what is no success. */
export async function askElasticsearch(server: ElasticsearchReader, method: string, path: string, body?: object): Promise<unknown> {
  const address = typeof server === 'string' ? server : server.address;
  const certificates = typeof server === 'string' ? undefined : server.certificates;
  const secured = certificates && {
    ca: readFileSync(certificates.ca),
    cert: readFileSync(certificates.client.cert),
    key: readFileSync(certificates.client.key),
    auth: `${elasticsearchUser.name}:${elasticsearchUser.password}`,
  };
  const headers = { 'content-type': 'application/json' };
  const options = { method, headers, ...secured, ...(body !== undefined && { body: JSON.stringify(body) }) };
  const { status, text } = await askHttp(new URL(`${address}${path}`), options);
  if (status >= 300) throw new Error(`${method} ${path}: ${status} ${text}`);
  return JSON.parse(text);
}

/** A document as it is stored. */
export interface StoredDocument {
  readonly id: string;
  readonly index: string;
  /** Field `@timestamp`. */
  readonly timestamp: string;
}

/** A document as a search returns it. */
interface Hit {
  readonly _id: string;
  readonly _index: string;
  readonly _source: unknown;
  readonly sort: unknown;
}

/** All documents of indices, by a pattern, that a search finds; a document that is twice is there twice. */
async function* hitsOf(server: ElasticsearchReader, indices: string, search: object): AsyncGenerator<Hit> {
  await askElasticsearch(server, 'POST', `/${indices}/_refresh?allow_no_indices=true`);
  let after: unknown;
  const pit = (await askElasticsearch(server, 'POST', `/${indices}/_pit?keep_alive=1m`)) as { id: string };
  for (;;) {
    const found = (await askElasticsearch(server, 'POST', '/_search', {
      size: 10_000,
      pit: { id: pit.id, keep_alive: '1m' },
      sort: [{ _shard_doc: 'asc' }],
      track_total_hits: false,
      ...search,
      ...(after !== undefined && { search_after: after }),
    })) as { hits: { hits: Hit[] } };
    const { hits } = found.hits;
    if (hits.length === 0) break;
    yield* hits;
    after = hits[hits.length - 1].sort;
  }
  await askElasticsearch(server, 'DELETE', '/_pit', { id: pit.id });
}

/** Ids of the documents of indices, by a pattern, that a query finds; a document that is twice is there twice. */
export async function storedIds(server: ElasticsearchReader, indices: string, query: object = { match_all: {} }): Promise<string[]> {
  const ids: string[] = [];
  for await (const { _id } of hitsOf(server, indices, { query, _source: false })) ids.push(_id);
  return ids;
}

/** All documents of indices, by a pattern; a document that is twice is there twice. */
export async function storedDocuments(server: ElasticsearchReader, indices: string): Promise<StoredDocument[]> {
  const documents: StoredDocument[] = [];
  for await (const { _id: id, _index: index, _source } of hitsOf(server, indices, { _source: ['@timestamp'] }))
    documents.push({ id, index, timestamp: (_source as { '@timestamp': string })['@timestamp'] });
  return documents;
}

/** All documents of indices, by a pattern, whole, with their ids. */
export async function storedSources(server: ElasticsearchReader, indices: string): Promise<[id: string, source: unknown][]> {
  const documents: [string, unknown][] = [];
  for await (const { _id, _source } of hitsOf(server, indices, {})) documents.push([_id, _source]);
  return documents;
}

/** The documents of indices, by a pattern, that a query finds, whole. */
export async function foundDocuments(server: ElasticsearchReader, indices: string, query: object): Promise<unknown[]> {
  const documents: unknown[] = [];
  for await (const { _source } of hitsOf(server, indices, { query })) documents.push(_source);
  return documents;
}
