// Connects to one port again and again, each time from the next local port, and says what became of it.
// connect.mjs <local address> <first local port> <count> <remote address> <remote port>
import { connect } from 'node:net';

const [localAddress, firstPort, count, host, port] = process.argv.slice(2);
const atOnce = 32;
const outcomes = [];

function attempt(localPort) {
  return new Promise((resolve) => {
    const socket = connect({ host, port: Number(port), localAddress, localPort });
    socket.once('connect', () => {
      outcomes.push({ localPort, outcome: 'connected' });
      socket.destroy();
    });
    socket.once('error', (error) => outcomes.push({ localPort, outcome: error.code }));
    socket.once('close', resolve);
  });
}

for (let done = 0; done < Number(count); done += atOnce) {
  const batch = Math.min(atOnce, Number(count) - done);
  await Promise.all(Array.from({ length: batch }, (_, index) => attempt(Number(firstPort) + done + index)));
}
process.stdout.write(`${JSON.stringify({ pid: process.pid, outcomes })}\n`);
