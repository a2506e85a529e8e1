// Accepts connections and reads what comes. Says { pid, port } once it listens, and { bytes } as each connection ends.
// sink-server.mjs <address> <port> [backlog]
import { createServer } from 'node:net';

const [host, port, backlog = '511'] = process.argv.slice(2);
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

const server = createServer((socket) => {
  let bytes = 0;
  socket.on('data', (data) => {
    bytes += data.length;
  });
  socket.on('error', () => undefined);
  socket.on('close', () => say({ bytes }));
});
server.listen({ host, port: Number(port), backlog: Number(backlog) }, () => say({ pid: process.pid, port: Number(port) }));
