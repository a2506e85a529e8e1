// Listens, and burns CPU for each connection that it accepts, one at a time: with a CPU limit it falls behind.
// Says { pid } once it listens.
// hungry-server.mjs <address> <port> <backlog> <CPU ms for each connection>
import { createServer } from 'node:net';

const [host, port, backlog, cpuMs] = process.argv.slice(2);
const server = createServer((socket) => {
  const end = process.cpuUsage().user + Number(cpuMs) * 1000;
  while (process.cpuUsage().user < end);
  socket.on('error', () => undefined);
  socket.end('done');
});
server.listen({ host, port: Number(port), backlog: Number(backlog) }, () =>
  process.stdout.write(`${JSON.stringify({ pid: process.pid })}\n`),
);
