// Binds a datagram socket with a small buffer and never reads: stops itself. Says { pid } before.
// udp-deaf.mjs <address> <port>
import { createSocket } from 'node:dgram';

const [host, port] = process.argv.slice(2);
const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
socket.bind(Number(port), host, () => {
  socket.setRecvBufferSize(2304);
  process.stdout.write(`${JSON.stringify({ pid: process.pid })}\n`, () => process.kill(process.pid, 'SIGSTOP'));
});
