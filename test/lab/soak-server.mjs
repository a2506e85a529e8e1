// A well-behaved server as a Pod runs it: it starts slowly, answers requests (8080), takes large transfers (8082), answers
// datagrams (5353), and on SIGTERM lets its clients finish before it goes. Says { pid } once all listen.
// soak-server.mjs <milliseconds that its start takes>
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { createServer } from 'node:net';

const [startMs] = process.argv.slice(2);
const graceMs = 3_000;
const echo = createSocket('udp4');
echo.on('message', (message, { port, address }) => echo.send(message, port, address));
echo.bind(5353);
await new Promise((resolve) => setTimeout(resolve, Number(startMs)));

const http = createHttpServer({ keepAliveTimeout: 60_000 }, (request, response) => {
  request.resume();
  request.on('end', () => response.end(Buffer.alloc(request.url === '/large' ? 5_000_000 : 20_000)));
}).listen(8080, '0.0.0.0');
const taker = createServer({ allowHalfOpen: true }, (socket) => {
  socket.on('error', () => undefined);
  socket.on('end', () => socket.end());
  socket.resume();
}).listen(8082, '0.0.0.0');
await Promise.all([http, taker].map((server) => once(server, 'listening')));
process.stdout.write(`${JSON.stringify({ pid: process.pid })}\n`);

process.on('SIGTERM', () => {
  http.close();
  http.closeIdleConnections();
  taker.close();
  setTimeout(() => process.exit(0), graceMs).unref();
  echo.close();
});
