import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createGunzip } from 'node:zlib';

// An Elasticsearch that stores everything at once and keeps nothing, in a process of its own. Prints its port; tells its parent
// the bytes that came.
const newline = 10;
const headers = { 'content-type': 'application/json', 'x-elastic-product': 'Elasticsearch' };
let bytes = 0;
const server = createServer((request, response) => {
  let lines = 0;
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  const body = request.headers['content-encoding'] === 'gzip' ? request.pipe(createGunzip()) : request;
  body.on('data', (chunk: Buffer) => {
    for (let at = chunk.indexOf(newline); at >= 0; at = chunk.indexOf(newline, at + 1)) lines++;
  });
  body.once('end', () => {
    const items = Array(lines / 2).fill('{"create":{"status":201}}');
    response.writeHead(200, headers).end(`{"errors":false,"items":[${items.join(',')}]}`);
  });
}).listen(0, '127.0.0.1', () => process.stdout.write(`${(server.address() as AddressInfo).port}\n`));
process.on('message', () => {
  process.send?.(bytes);
  bytes = 0;
});
process.once('disconnect', () => {
  server.closeAllConnections();
  server.close();
});
