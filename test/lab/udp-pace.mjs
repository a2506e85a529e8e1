// Sends datagrams at a steady pace. Says { sent } after the last one.
// udp-pace.mjs <remote address> <remote port> <per second> <datagrams>
import { createSocket } from 'node:dgram';

const [host, port, perSecond, datagrams] = process.argv.slice(2);
const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
socket.on('error', () => undefined);
let sent = 0;
const timer = setInterval(() => {
  socket.send('a datagram', Number(port), host);
  if (++sent < Number(datagrams)) return;
  clearInterval(timer);
  socket.close();
  process.stdout.write(`${JSON.stringify({ sent })}\n`);
}, 1000 / Number(perSecond));
