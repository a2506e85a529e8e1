/** What is used of winston-loki beyond its own types. */
declare module 'winston-loki/src/requests.js' {
  import type { Agent, OutgoingHttpHeaders } from 'node:http';

  /** Posts; resolves with the body of a 2xx, rejects for any other status and when there is no connection. */
  export function post(
    url: Pick<URL, 'protocol' | 'hostname' | 'port' | 'pathname'>,
    contentType: string,
    headers: OutgoingHttpHeaders,
    body: Buffer,
    timeoutMs: number,
    httpAgent: Agent,
    httpsAgent: Agent,
  ): Promise<string>;
}
