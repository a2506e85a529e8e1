/** What is used of winston-loki beyond its own types. */
declare module 'winston-loki/src/requests.js' {
  import type { Agent as HttpAgent, OutgoingHttpHeaders } from 'node:http';
  import type { Agent as HttpsAgent } from 'node:https';

  const requests: {
    /** Posts; resolves with the body of a 2xx, rejects for any other status and when there is no connection. */
    post(
      url: URL,
      contentType: string,
      headers: OutgoingHttpHeaders,
      body: Buffer,
      timeoutMs: number,
      httpAgent: HttpAgent | HttpsAgent,
      httpsAgent: HttpAgent | HttpsAgent,
    ): Promise<string>;
  };
  export default requests;
}
