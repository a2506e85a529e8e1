import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { TlsFiles } from '../../../core/tls.ts';
import type { Credentials } from '../http/credentials.ts';
import { type Outcome, outcomeOfFailure, readAnswer } from './answer.ts';
import type { EncodedPush } from './encode.ts';
import { lokiError } from './errors.ts';
import { isOfHandshake, PushTransport, type PushTransportOptions } from './transport.ts';

const maxAnswerBytes = 256 * 1024;
/** 5,000 entries with their ids. */
const maxFoundBytes = 16 * 1024 * 1024;

export interface LaneOptions extends PushTransportOptions {
  readonly tenantId?: string | undefined;
  readonly credentials: Credentials;
  readonly tls: TlsFiles;
}

/**
 * One connection to Loki: a request at a time, each with a hard deadline. When that passes the connection is ended, so
 * nothing that a server does (hang, drip, break off) holds up more than the requests of one partition.
 */
export class Lane {
  readonly #options: LaneOptions;
  readonly #transport: PushTransport;

  constructor(options: LaneOptions) {
    this.#options = options;
    this.#transport = new PushTransport(options);
  }

  /** Sends a push. Rejects only with the signal's reason, and for credentials and TLS files that cannot be read. */
  push({ body, contentEncoding }: EncodedPush, signal: AbortSignal): Promise<Outcome> {
    const headers = { ...this.#headers(), ...(contentEncoding && { 'Content-Encoding': contentEncoding }) };
    const tls = this.#options.tls.current();
    return this.#within(signal, (settle, fail) => {
      const responded = (response: IncomingMessage) => void readAnswer(response, this.#options.url, maxAnswerBytes).then(settle);
      this.#transport.post(body, headers, tls, responded).catch((thrown: unknown) => {
        // A status other than 2xx rejects, too; the response tells more.
        if ((thrown as { statusCode?: number }).statusCode === undefined) fail(thrown);
      });
    });
  }

  /** Asks Loki. `path`: behind /loki/api/v1/. */
  query(path: string, parameters: Readonly<Record<string, string>>, signal: AbortSignal): Promise<Outcome> {
    const url = new URL(this.#transport.url);
    url.pathname = url.pathname.replace(/push$/, path);
    for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
    const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
    // An answer from before the push would say what is no longer so.
    const headers = { ...this.#headers(), 'Cache-Control': 'no-cache', Accept: 'application/json' };
    const agent = this.#transport.agent(this.#options.tls.current());
    return this.#within(signal, (settle, fail) => {
      send(url, { headers, agent, timeout: this.#options.timeoutMs }, (response) => {
        void readAnswer(response, this.#options.url, maxFoundBytes).then(settle);
      })
        .on('error', fail)
        .end();
    });
  }

  close(): void {
    this.#transport.disconnect();
  }

  #headers(): Record<string, string> {
    const { credentials, tenantId } = this.#options;
    const authorization = credentials.authorization();
    return { ...(authorization && { Authorization: authorization }), ...(tenantId && { 'X-Scope-OrgID': tenantId }) };
  }

  #within(signal: AbortSignal, start: (settle: (outcome: Outcome) => void, fail: (thrown: unknown) => void) => void): Promise<Outcome> {
    const { url, timeoutMs } = this.#options;
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(signal.reason);
        return;
      }
      const settle = (outcome: Outcome) => {
        clearTimeout(timer);
        signal.removeEventListener('abort', abort);
        // Of a success nothing is told, and it may be large.
        const refused = outcome.kind === 'answered' && outcome.status !== 200 && outcome.status !== 204;
        resolve(refused ? { ...outcome, body: this.#options.credentials.hidden(outcome.body) } : outcome);
      };
      const giveUp = (cause: string) => {
        settle({ kind: 'unanswered', cause: lokiError('LOKI_NO_ANSWER', { url, cause }) });
        this.#transport.disconnect();
      };
      const abort = () => {
        clearTimeout(timer);
        reject(signal.reason);
        this.#transport.disconnect();
      };
      const timer = setTimeout(() => giveUp(`no whole answer within ${timeoutMs / 1000} s`), timeoutMs);
      signal.addEventListener('abort', abort, { once: true });
      start(settle, (thrown) => settle(outcomeOfFailure(thrown, url, isOfHandshake(thrown))));
    });
  }
}
