import { subscribe } from 'node:diagnostics_channel';
import { type ClientRequest, Agent as HttpAgent, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { TLSSocket } from 'node:tls';
import LokiTransport from 'winston-loki';
import { post } from 'winston-loki/src/requests.js';
import type { TlsMaterial } from '../../../core/tls.ts';

/** What winston-loki's transport makes of its options, and does not declare. */
interface Batcher {
  readonly url: URL;
  readonly contentType: string;
}

/** Who wants to know what comes back on a connection: the push that is under way. */
const listeners = new WeakMap<object, (response: IncomingMessage) => void>();
let isSubscribed = false;

/** Node tells of each response, with its request; `post` itself tells neither the status of a 2xx nor when an answer breaks off. */
function listenToResponses(): void {
  if (isSubscribed) return;
  isSubscribed = true;
  subscribe('http.client.response.finish', (message) => {
    const { request, response } = message as { request: ClientRequest & { agent?: object }; response: IncomingMessage };
    if (request.agent === undefined) return;
    const responded = listeners.get(request.agent);
    // The next response on the connection is another's.
    listeners.delete(request.agent);
    responded?.(response);
  });
}

/** What ended connections before their TLS handshake had ended: nothing of a request was read. */
const handshakeFailures = new WeakSet<object>();

/** Whether a request failed because the TLS handshake of its connection did. */
export function isOfHandshake(thrown: unknown): boolean {
  return typeof thrown === 'object' && thrown !== null && handshakeFailures.has(thrown);
}

class WatchedHttpsAgent extends HttpsAgent {
  override createConnection(...call: Parameters<HttpsAgent['createConnection']>): ReturnType<HttpsAgent['createConnection']> {
    const socket = super.createConnection(...call) as TLSSocket;
    const note = (thrown: Error) => handshakeFailures.add(thrown);
    // The request's own listener comes behind this one.
    socket.once('error', note).once('secureConnect', () => socket.off('error', note));
    return socket;
  }
}

/** A connection of its own: kept alive, one request at a time. */
function agentFor(url: URL, tls: TlsMaterial, timeoutMs: number): HttpAgent {
  // Not the requests' own: Node leaves a kept connection at the shorter time for which the server keeps idle ones, unless a
  // request asks for another time than the agent does. A slower answer would be taken for none.
  const options = { keepAlive: true, maxSockets: 1, timeout: timeoutMs + 1 };
  return url.protocol === 'https:' ? new WatchedHttpsAgent({ ...options, ...tls }) : new HttpAgent(options);
}

/** Node connects to an IPv6 address without the brackets that a URL has around it. */
function addressOf({ protocol, hostname, port, pathname }: URL): Parameters<typeof post>[0] {
  return { protocol, hostname: hostname.replace(/^\[(.*)\]$/, '$1'), port, pathname };
}

export interface PushTransportOptions {
  /** Address without /loki/api/v1. */
  readonly url: string;
  readonly encoding: 'protobuf' | 'json';
  readonly timeoutMs: number;
}

/**
 * winston-loki's transport without its batcher: the address and content type that it derives from its options, and its
 * request. One connection.
 */
export class PushTransport extends LokiTransport {
  declare readonly batcher: Batcher;
  readonly #timeoutMs: number;
  #agent: HttpAgent | undefined;
  #tls: TlsMaterial | undefined;

  constructor({ url, encoding, timeoutMs }: PushTransportOptions) {
    // Without batching there is no loop, and nothing is ever queued here.
    super({ host: url.replace(/\/+$/, ''), json: encoding === 'json', batching: false, gracefulShutdown: false });
    this.#timeoutMs = timeoutMs;
    listenToResponses();
  }

  /** The push address. */
  get url(): URL {
    return this.batcher.url;
  }

  /** The connection, made anew when the TLS files have changed. */
  agent(tls: TlsMaterial): HttpAgent {
    if (this.#agent === undefined || tls !== this.#tls) {
      this.disconnect();
      this.#tls = tls;
      this.#agent = agentFor(this.url, tls, this.#timeoutMs);
    }
    return this.#agent;
  }

  /** Ends the connection with whatever is under way on it. */
  disconnect(): void {
    this.#agent?.destroy();
    this.#agent = undefined;
  }

  /** Posts a push. Calls `responded` as soon as there is a response; rejects when there is none. */
  async post(body: Buffer, headers: OutgoingHttpHeaders, tls: TlsMaterial, responded: (response: IncomingMessage) => void): Promise<void> {
    const agent = this.agent(tls);
    listeners.set(agent, responded);
    try {
      await post(addressOf(this.url), this.batcher.contentType, headers, body, this.#timeoutMs, agent, agent);
    } finally {
      if (listeners.get(agent) === responded) listeners.delete(agent);
    }
  }
}
