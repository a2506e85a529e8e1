// What servers do all day: answers POSTs (port 8080), says goodbye first (8081), takes and closes (8082), echoes
// datagrams (5353). Says { pid } once all listen.
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { createServer } from 'node:net';

const http = createHttpServer((request, response) => {
  request.resume();
  request.on('end', () => response.end(Buffer.alloc(50_000)));
}).listen(8080, '::');
const goodbye = createServer((socket) => {
  socket.on('error', () => undefined);
  socket.end('bye');
}).listen(8081, '::');
const taker = createServer({ allowHalfOpen: true }, (socket) => {
  socket.on('error', () => undefined);
  socket.on('end', () => socket.end());
  socket.resume();
}).listen(8082, '::');
const echo = createSocket('udp6');
echo.on('message', (message, { port, address }) => echo.send(message, port, address));
echo.bind(5353);
await Promise.all([http, goodbye, taker, echo].map((server) => once(server, 'listening')));
process.stdout.write(`${JSON.stringify({ pid: process.pid })}\n`);
