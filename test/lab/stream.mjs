// Opens connections. Says { pid, localPort } as each is open. What is in flight at the end is given up with the process.
// stream.mjs <local address> <first local port> <remote address> <remote port> <bytes> [connections]
// Each connection sends so many bytes, and ends then if there were any. SIGHUP sends 1000 more on those that are open.
import { connect } from 'node:net';

const [localAddress, localPort, host, port, bytes, connections = '1'] = process.argv.slice(2);
const size = Number(bytes);

for (let index = 0; index < Number(connections); index++) {
  const socket = connect({ host, port: Number(port), localAddress, localPort: Number(localPort) + index, noDelay: true });
  socket.on('connect', () => {
    process.stdout.write(`${JSON.stringify({ pid: process.pid, localPort: socket.localPort })}\n`);
    if (size > 0) socket.end(Buffer.alloc(size));
  });
  socket.on('error', () => undefined);
  process.on('SIGHUP', () => socket.write(Buffer.alloc(1000)));
}
