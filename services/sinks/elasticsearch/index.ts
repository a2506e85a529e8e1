import type { Log } from '../../../core/log.ts';
import { TlsFiles } from '../../../core/tls.ts';
import { Credentials } from '../http/credentials.ts';
import type { SinkDefinition } from '../registry.ts';
import type { Batch, Delivery, Sink } from '../sink.ts';
import { classifyBulk, errorOf, judgeRequest } from './classify.ts';
import { type ElasticsearchConfig, elasticsearchSinkSchema } from './config.ts';
import { encodeBulk } from './encode.ts';
import { elasticsearchError } from './errors.ts';
import { IndexNames } from './index-name.ts';
import type { Connection } from './send.ts';
import { ensureTemplates } from './templates.ts';

/** The Elasticsearch sink for the registry. */
export const elasticsearchSink: SinkDefinition<typeof elasticsearchSinkSchema> = {
  schema: elasticsearchSinkSchema,
  async open(config, { log }) {
    return { sink: await openElasticsearchSink(config, log), maxBytes: config.requestSize };
  },
};

/** Opens a sink; nothing is asked of the server yet. */
export async function openElasticsearchSink(config: ElasticsearchConfig, log: Log): Promise<ElasticsearchSink> {
  const { urls, requestTimeout: timeoutMs, compression } = config;
  // 30 MB that a process without this sink does not need.
  const { Connection } = await import('./send.ts');
  const [tls, credentials] = [new TlsFiles(config.tls, log, 'sinks.elasticsearch.tls'), new Credentials(config.credentials, log)];
  return new ElasticsearchSink(config, new Connection({ urls, tls, credentials, timeoutMs, compression }), log);
}

/**
 * Events as documents, each exactly once: `create` with the event's id in the index of its day. What was sent without an
 * answer is just sent again, so there is nothing to find.
 */
export class ElasticsearchSink implements Sink {
  readonly #config: ElasticsearchConfig;
  readonly #connection: Connection;
  readonly #log: Log;
  readonly #names: IndexNames;
  readonly #counters = { alreadyStored: 0, requestBytes: 0 };
  #toldUnchecked = false;

  constructor(config: ElasticsearchConfig, connection: Connection, log: Log) {
    this.#config = config;
    this.#connection = connection;
    this.#log = log;
    this.#names = new IndexNames(config.index, config.plausibleDays);
  }

  get counters(): Readonly<Record<string, number>> {
    return this.#counters;
  }

  async check(signal: AbortSignal): Promise<void> {
    const { unchecked } = await ensureTemplates(this.#connection, this.#config, this.#log, signal);
    if (unchecked === undefined || this.#toldUnchecked) return;
    this.#toldUnchecked = true;
    const { index } = this.#config;
    this.#log.warn(
      { code: 'ELASTICSEARCH_TEMPLATE_UNCHECKED', template: index },
      `index template ${index} is there; whether another of higher priority hides it was not checked: the user lacks manage_index_templates (${unchecked})`,
    );
  }

  async deliver(batch: Batch, signal: AbortSignal): Promise<Delivery> {
    signal.throwIfAborted();
    const { bytes, sent, rejected } = encodeBulk(batch, this.#names);
    const delivery = sent.length === 0 ? {} : await this.#send(bytes, sent, signal);
    if (rejected.length === 0) return delivery;
    return { ...delivery, rejected: [...rejected, ...(delivery.rejected ?? [])] };
  }

  close(): Promise<void> {
    return this.#connection.close();
  }

  async #send(bytes: Buffer, sent: readonly number[], signal: AbortSignal): Promise<Delivery> {
    this.#counters.requestBytes += bytes.length;
    const answer = await this.#connection.bulk(bytes, signal);
    if ('body' in answer) {
      const outcome = classifyBulk(answer.body, sent);
      if (outcome === undefined) {
        const found = this.#connection.hidden(JSON.stringify(answer.body) ?? 'nothing').slice(0, 200);
        const details = { urls: this.#config.urls.join(', '), found };
        throw elasticsearchError('ELASTICSEARCH_ANSWER_UNKNOWN', details);
      }
      this.#counters.alreadyStored += outcome.alreadyStored;
      return outcome.delivery;
    }
    const { failure, afterMs } = answer;
    const verdict = judgeRequest(failure);
    const cause = errorOf(failure, verdict);
    if (verdict === 'operator') throw cause;
    // A server without memory for one event takes it later: only what it names as too large or wrong is given up.
    const smaller = verdict === 'smaller' && (failure.status !== 429 || sent.length > 1);
    const wait = afterMs ?? (failure.status === 429 ? 0 : undefined);
    return { retry: { items: sent, cause, ...(smaller && { smaller }), ...(wait !== undefined && { afterMs: wait }) } };
  }
}
