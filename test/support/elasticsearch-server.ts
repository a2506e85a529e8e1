import { type ElasticsearchOptions, elasticsearch, type RunningElasticsearch } from '../../scripts/servers/elasticsearch.mjs';

/** Starts a real Elasticsearch of its own for a test file; installs it first where that was not done. */
export async function startElasticsearch(options: ElasticsearchOptions): Promise<RunningElasticsearch> {
  await elasticsearch.install();
  return elasticsearch.start(options);
}

/** One request to its REST API; throws for what is no success. */
export async function askElasticsearch(address: string, method: string, path: string, body?: object): Promise<unknown> {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(`${address}${path}`, { method, headers, ...(body !== undefined && { body: JSON.stringify(body) }) });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  return JSON.parse(text);
}

/** Ids of all documents of indices, by a pattern; a document that is twice is there twice. */
export async function storedIds(address: string, indices: string): Promise<string[]> {
  await askElasticsearch(address, 'POST', `/${indices}/_refresh?allow_no_indices=true`);
  const ids: string[] = [];
  let after: unknown;
  const pit = (await askElasticsearch(address, 'POST', `/${indices}/_pit?keep_alive=1m`)) as { id: string };
  for (;;) {
    const found = (await askElasticsearch(address, 'POST', '/_search', {
      size: 10_000,
      pit: { id: pit.id, keep_alive: '1m' },
      _source: false,
      sort: [{ _shard_doc: 'asc' }],
      track_total_hits: false,
      ...(after !== undefined && { search_after: after }),
    })) as { hits: { hits: { _id: string; sort: unknown }[] } };
    const { hits } = found.hits;
    if (hits.length === 0) break;
    ids.push(...hits.map(({ _id }) => _id));
    after = hits[hits.length - 1].sort;
  }
  await askElasticsearch(address, 'DELETE', '/_pit', { id: pit.id });
  return ids;
}
