import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What a proxy does with a request. `swallow`: the server gets it, the client no answer. */
export type Fault = 'pass' | 'swallow' | { readonly status: number; readonly body?: string };

/** An HTTP proxy before a store that fails as it is told. */
export class FaultProxy {
  /** Asked for each request. */
  fault: (request: IncomingMessage) => Fault = () => 'pass';
  /** Requests by what was done with them. */
  readonly counts = { pass: 0, swallow: 0, refused: 0 };
  readonly #target: URL;
  readonly #server: Server;

  private constructor(target: string) {
    this.#target = new URL(target);
    this.#server = createServer((incoming, response) => this.#handle(incoming, response));
  }

  static async start(target: string): Promise<FaultProxy> {
    const proxy = new FaultProxy(target);
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get address(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
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
    const { hostname, port } = this.#target;
    const outgoing = request(
      { hostname, port, method: incoming.method, path: incoming.url, headers: incoming.headers, agent: false },
      (answer) => {
        if (fault === 'swallow') {
          answer.resume();
          incoming.socket.destroy();
          return;
        }
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
      },
    );
    outgoing.on('error', () => {
      if (!response.headersSent) response.writeHead(502);
      response.end();
    });
    incoming.pipe(outgoing);
  }
}
