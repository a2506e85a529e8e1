// Opens one connection, sends some bytes, and waits to see how it ends. Says { pid, localPort, outcome }.
// send.mjs <local address> <local port> <remote address> <remote port>
import { connect } from 'node:net';

const [localAddress, localPort, host, port] = process.argv.slice(2);
const socket = connect({ host, port: Number(port), localAddress, localPort: Number(localPort) }, () => socket.write('unread'));
let outcome = 'closed';
socket.on('error', (error) => {
  outcome = error.code;
});
socket.on('close', () => process.stdout.write(`${JSON.stringify({ pid: process.pid, localPort: Number(localPort), outcome })}\n`));
