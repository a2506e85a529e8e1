import { subscribe } from 'node:diagnostics_channel';
import type { TLSSocket } from 'node:tls';
import { Client, type TransportRequestOptions } from '@elastic/elasticsearch';
import type { AppError } from '../../../core/app-error.ts';
import { messageOf } from '../../../core/app-error.ts';
import type { TlsFiles, TlsMaterial } from '../../../core/tls.ts';
import { sinkError } from '../errors.ts';
import type { Credentials } from '../http/credentials.ts';
import { bulkFilterPath, type ElasticsearchFailure, failureOfResponse } from './classify.ts';
import { elasticsearchError } from './errors.ts';

/** How Elasticsearch is reached. */
export interface ConnectionOptions {
  readonly urls: readonly string[];
  readonly tls: TlsFiles;
  readonly credentials: Credentials;
  /** A request has ended after so long, whatever the server does. */
  readonly timeoutMs: number;
  readonly compression: boolean;
}

/** An answer: of success, or the failure that the server tells. */
export type Answer<Body> = { readonly body: Body } | { readonly failure: ElasticsearchFailure; readonly afterMs?: number };

/** A call of the client's API. */
type Call<Body> = (client: Client, options: TransportRequestOptions) => Promise<Body>;

/** An answer names each item with its error: some hundred bytes each. */
const maxResponseBytes = 64 * 1024 * 1024;
const maxRetryAfterMs = 60_000;
const tlsWords = /certificate|altname|SSL routines|wrong version number|ssl3?_|tlsv1|unable to (get|verify)/i;

/** A client, what its connections are made with, and how many requests it has under way. */
interface UsedClient {
  readonly client: Client;
  readonly material: TlsMaterial;
  requests: number;
}

let isSubscribed = false;

/**
 * A server that refuses a client's certificate says so behind the handshake (RFC 8446, 4.4.2.4): Node tells that alert, and
 * then the end of the connection, of which undici, which the client sends with, tells the latter only. So it ends with the first.
 */
function tellAlerts(): void {
  if (isSubscribed) return;
  isSubscribed = true;
  subscribe('undici:client:connected', (message) => {
    const { socket } = message as { socket: TLSSocket };
    if (socket.encrypted) socket.on('error', (cause) => socket.destroy(cause));
  });
}

/** The connections to one cluster. Nothing is sent twice here: the policy is the wrappers' (delivery.ts). */
export class Connection {
  readonly #options: ConnectionOptions;
  /** The newest, and those before it that have requests under way. */
  readonly #clients = new Set<UsedClient>();
  #newest: UsedClient | undefined;
  #isClosed = false;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    tellAlerts();
  }

  /** Sends a bulk request of NDJSON bytes. */
  bulk(bytes: Buffer, signal: AbortSignal): Promise<Answer<unknown>> {
    // The client hands bytes on as they are; its types know objects and strings only.
    const operations = bytes as unknown as string[];
    return this.ask(signal, (client, options) => client.bulk({ operations, filter_path: bulkFilterPath }, options) as Promise<unknown>);
  }

  /**
   * One request. Resolves with what the server answers. Rejects with an AppError when there is no answer, or one that is
   * none; with the signal's reason when it aborts.
   */
  async ask<Body>(signal: AbortSignal, call: Call<Body>): Promise<Answer<Body>> {
    signal.throwIfAborted();
    const used = this.#current();
    const authorization = this.#options.credentials.authorization();
    const limit = new AbortController();
    const abort = (): void => limit.abort();
    signal.addEventListener('abort', abort, { once: true });
    // A server that drips bytes never runs into the timeouts of a connection.
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      abort();
    }, this.#options.timeoutMs);
    used.requests++;
    try {
      const headers = authorization === undefined ? {} : { authorization };
      const options = {
        signal: limit.signal,
        maxRetries: 0,
        headers,
        maxResponseSize: maxResponseBytes,
        openTelemetry: { enabled: false },
      };
      return { body: await call(used.client, options) };
    } catch (thrown) {
      signal.throwIfAborted();
      if (late) throw elasticsearchError('ELASTICSEARCH_TIMEOUT', { seconds: this.#options.timeoutMs / 1000 });
      return this.#answerOf(thrown);
    } finally {
      used.requests--;
      this.#closeOld();
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
    }
  }

  /** A text of the server without the credentials. */
  hidden(text: string): string {
    return this.#options.credentials.hidden(text);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const clients = [...this.#clients];
    this.#clients.clear();
    this.#newest = undefined;
    await Promise.all(clients.map(({ client }) => client.close()));
  }

  /** Made anew when certificates were renewed; what runs on the old connections ends there, and nobody waits for it. */
  #current(): UsedClient {
    if (this.#isClosed) throw sinkError('SINK_NOT_OPEN', { sink: 'elasticsearch' });
    const material = this.#options.tls.current();
    if (this.#newest?.material === material) return this.#newest;
    this.#newest = { client: this.#newClient(material), material, requests: 0 };
    this.#clients.add(this.#newest);
    this.#closeOld();
    return this.#newest;
  }

  #closeOld(): void {
    for (const used of this.#clients) {
      if (used === this.#newest || used.requests > 0) continue;
      this.#clients.delete(used);
      void used.client.close();
    }
  }

  #newClient(material: TlsMaterial): Client {
    const { urls, timeoutMs, compression } = this.#options;
    return new Client({
      nodes: [...urls],
      tls: { ...material, rejectUnauthorized: true },
      requestTimeout: timeoutMs,
      maxRetries: 0,
      compression,
      // A ping asks a route that not every user may ask.
      resurrectStrategy: 'optimistic',
      enableMetaHeader: false,
      // Its errors are not passed on (see #answerOf); to take secrets out of them it copies the body, byte by byte: seconds of CPU.
      redaction: { type: 'off' },
    });
  }

  /** The client's errors by name; they are not passed on, because they hold requests with their headers. */
  #answerOf(thrown: unknown): { failure: ElasticsearchFailure; afterMs?: number } {
    const name = thrown instanceof Error ? thrown.name : '';
    if (name === 'ResponseError') {
      const { statusCode = 0, body, headers } = thrown as { statusCode?: number; body: unknown; headers?: Record<string, unknown> };
      const seconds = Number(headers?.['retry-after']);
      const after = seconds > 0 ? { afterMs: Math.min(seconds * 1000, maxRetryAfterMs) } : {};
      const { status, type, reason } = failureOfResponse(statusCode, body);
      return { failure: { status, type: this.hidden(type), reason: this.hidden(reason) }, ...after };
    }
    throw this.#errorOf(name, this.hidden(messageOf(thrown)), thrown);
  }

  #errorOf(name: string, message: string, thrown: unknown): unknown {
    const urls = this.#options.urls.join(', ');
    const errors: Readonly<Record<string, () => AppError>> = {
      TimeoutError: () => elasticsearchError('ELASTICSEARCH_TIMEOUT', { seconds: this.#options.timeoutMs / 1000 }),
      RequestAbortedError: () => elasticsearchError('ELASTICSEARCH_ANSWER_UNKNOWN', { urls, found: message }),
      ConnectionError: () =>
        elasticsearchError(tlsWords.test(message) ? 'ELASTICSEARCH_TLS' : 'ELASTICSEARCH_UNREACHABLE', { urls, cause: message }),
      NoLivingConnectionsError: () => elasticsearchError('ELASTICSEARCH_UNREACHABLE', { urls, cause: message }),
      DeserializationError: () => elasticsearchError('ELASTICSEARCH_ANSWER_UNKNOWN', { urls, found: message.slice(0, 200) }),
      ProductNotSupportedError: () => elasticsearchError('ELASTICSEARCH_OTHER_PRODUCT', { urls }),
    };
    return errors[name]?.() ?? thrown;
  }
}
