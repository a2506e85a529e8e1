import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { type RequestOptions, request as requestOverTls } from 'node:https';
import { text } from 'node:stream/consumers';

/** One request, with or without TLS, on a connection of its own. Rejects when there is no answer. */
export async function askHttp(
  url: URL,
  { body, headers, ...options }: RequestOptions & { readonly body?: string } = {},
): Promise<{ readonly status: number; readonly text: string }> {
  const send = url.protocol === 'https:' ? requestOverTls : request;
  // Without it the body of a DELETE is not sent as one.
  const length = body === undefined ? {} : { 'content-length': Buffer.byteLength(body) };
  const asked = send(url, { ...options, headers: { ...headers, ...length }, agent: false });
  asked.end(body);
  const [answer] = (await once(asked, 'response')) as [IncomingMessage];
  return { status: answer.statusCode ?? 0, text: await text(answer) };
}
