import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** What stands between the sink and a real Elasticsearch, and can do what that one cannot be made to do. */
export class BulkProxy {
  /** Every request is answered by 503. */
  unavailable = false;
  /** Each request waits so long, ms. */
  delayMs = 0;
  /** Items of a bulk request that are answered by 429 and not passed on. */
  busy: (id: string) => boolean = () => false;
  requests = 0;
  readonly #target: string;
  readonly #server: Server;

  private constructor(target: string) {
    this.#target = target;
    this.#server = createServer((incoming, response) => void this.#serve(incoming, response).catch(() => response.destroy()));
  }

  static async start(target: string): Promise<BulkProxy> {
    const proxy = new BulkProxy(target);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get address(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  async #serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await readAll(incoming);
    this.requests++;
    if (this.delayMs > 0) await sleep(this.delayMs);
    if (this.unavailable) {
      response.writeHead(503, { 'content-type': 'text/plain' }).end('no healthy upstream');
      return;
    }
    if (!incoming.url?.startsWith('/_bulk')) {
      const answer = await this.#forward(incoming, body);
      response.writeHead(answer.status, answer.headers).end(answer.body);
      return;
    }
    const lines = body.toString().trimEnd().split('\n');
    const actions = lines.filter((_, at) => at % 2 === 0).map((line) => (JSON.parse(line) as { create: { _id: string } }).create._id);
    const isBusy = actions.map((id) => this.busy(id));
    const passed = lines.filter((_, at) => !isBusy[at >> 1]).join('\n');
    const answer = passed === '' ? undefined : await this.#forward(incoming, Buffer.from(`${passed}\n`));
    const found = JSON.parse(answer?.body.toString() ?? '{"errors":false,"items":[]}') as { errors: boolean; items: unknown[] };
    const items = isBusy.map((busy) =>
      busy ? { create: { status: 429, error: { type: 'es_rejected_execution_exception' } } } : found.items.shift(),
    );
    const headers = { 'content-type': 'application/json', 'x-elastic-product': 'Elasticsearch' };
    response.writeHead(answer?.status ?? 200, headers).end(JSON.stringify({ errors: found.errors || isBusy.includes(true), items }));
  }

  async #forward(incoming: IncomingMessage, body: Buffer) {
    const { connection: _, 'content-length': __, 'transfer-encoding': ___, host: ____, ...headers } = incoming.headers;
    const passed = request(`${this.#target}${incoming.url}`, {
      method: incoming.method,
      headers: { ...headers, 'content-length': body.length },
    });
    passed.end(body);
    const [answer] = (await once(passed, 'response')) as [IncomingMessage];
    return { status: answer.statusCode ?? 500, headers: answer.headers, body: await readAll(answer) };
  }
}

async function readAll(stream: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
