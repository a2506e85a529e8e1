// Opens one connection, sends, and waits to see how it ends. Says { pid, localPort, outcome }.
// send.mjs <local address> <local port> <remote address> <remote port> once: sends once at the start
// send.mjs ... never: sends nothing
// send.mjs ... abort: sends once at the start, and resets the connection on SIGTERM
// send.mjs ... late: sends after the far end has closed, until it hears that it may not
import { connect } from 'node:net';

const [localAddress, localPort, host, port, when] = process.argv.slice(2);
const socket = connect({ host, port: Number(port), localAddress, localPort: Number(localPort), allowHalfOpen: true });
let outcome = 'closed';
let timer;
if (when === 'abort') process.on('SIGTERM', () => socket.resetAndDestroy());
if (when === 'once' || when === 'abort') socket.on('connect', () => socket.write('unread'));
socket.resume();
socket.on('end', () => {
  timer = setInterval(() => socket.write('late'), 10);
});
socket.on('error', (error) => {
  outcome = error.code;
});
socket.on('close', () => {
  clearInterval(timer);
  process.stdout.write(`${JSON.stringify({ pid: process.pid, localPort: Number(localPort), outcome })}\n`);
});
