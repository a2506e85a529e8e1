import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, request as requestOverTls, type Server as TlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { SecureContextOptions, TlsOptions } from 'node:tls';

/**
 * What a proxy does with a request. `swallow`: the server gets it, the client no answer; so it is, too, when the server is dead.
 * `withhold`: the same, but the client waits for the answer.
 */
export type Fault = 'pass' | 'swallow' | 'withhold' | { readonly status: number; readonly body?: string };

export interface FaultProxyOptions {
  /** It listens with TLS. */
  readonly tls?: TlsOptions;
  /** What it connects with to a store that has TLS. */
  readonly targetTls?: SecureContextOptions;
  /** Headers that it adds. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** An HTTP proxy before a store that fails as it is told. */
export class FaultProxy {
  /** Asked for each request. */
  fault: (request: IncomingMessage) => Fault = () => 'pass';
  /** Each request waits so long, ms. */
  delayMs = 0;
  /** Requests by what was done with them. */
  readonly counts = { pass: 0, swallow: 0, withhold: 0, refused: 0 };
  readonly #target: URL;
  readonly #server: Server | TlsServer;
  readonly #options: FaultProxyOptions;

  private constructor(target: string, options: FaultProxyOptions) {
    this.#target = new URL(target);
    this.#options = options;
    const handle = (incoming: IncomingMessage, response: ServerResponse): void => {
      if (this.delayMs === 0) this.#handle(incoming, response);
      else setTimeout(() => this.#handle(incoming, response), this.delayMs);
    };
    this.#server = options.tls === undefined ? createServer(handle) : createTlsServer(options.tls, handle);
  }

  static async start(target: string, options: FaultProxyOptions = {}): Promise<FaultProxy> {
    const proxy = new FaultProxy(target, options);
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get address(): string {
    const scheme = this.#options.tls === undefined ? 'http' : 'https';
    return `${scheme}://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Its certificate and authorities from now on; connections that are open end. */
  renew(tls: SecureContextOptions): void {
    (this.#server as TlsServer).setSecureContext(tls);
    this.#server.closeAllConnections();
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #handle(incoming: IncomingMessage, response: ServerResponse): void {
    const fault = this.fault(incoming);
    if (typeof fault === 'object') {
      this.counts.refused++;
      incoming.resume();
      incoming.once('end', () => response.writeHead(fault.status).end(fault.body ?? ''));
      return;
    }
    this.counts[fault]++;
    const { protocol, hostname, port } = this.#target;
    const { targetTls, headers } = this.#options;
    const send = protocol === 'https:' ? requestOverTls : request;
    const { method, url: path } = incoming;
    const outgoing = send(
      { hostname, port, method, path, headers: { ...incoming.headers, ...headers }, ...targetTls, agent: false },
      (answer) => {
        if (fault !== 'pass') {
          answer.resume();
          if (fault === 'swallow') incoming.socket.destroy();
          return;
        }
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
      },
    );
    outgoing.on('error', () => {
      incoming.socket.destroy();
    });
    incoming.pipe(outgoing);
  }
}
