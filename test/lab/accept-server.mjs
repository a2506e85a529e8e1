// Listens and accepts. Says { pid } once it listens, and { remotePort, acceptedNs } (CLOCK_MONOTONIC) as it is given each connection.
// While its thread sleeps the kernel completes handshakes, and nobody accepts: SIGHUP makes it sleep.
// accept-server.mjs <address> <port> <backlog> <sleep ms>
import { createServer } from 'node:net';

const [host, port, backlog, sleepMs] = process.argv.slice(2);
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const cell = new Int32Array(new SharedArrayBuffer(4));

const server = createServer((socket) => {
  say({ remotePort: socket.remotePort, acceptedNs: String(process.hrtime.bigint()) });
  socket.on('error', () => undefined);
  socket.resume();
});
server.listen({ host, port: Number(port), backlog: Number(backlog) }, () => say({ pid: process.pid }));
process.on('SIGHUP', () => {
  say({ sleeping: true });
  Atomics.wait(cell, 0, 0, Number(sleepMs));
});
