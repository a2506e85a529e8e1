// Connects to a closed port so often a second, until SIGTERM. Says { started: true }, and at the end { refused, other }.
// refuse.mjs <address> <port> <connects a second>
import { connect } from 'node:net';

const [host, port, rate] = process.argv.slice(2);
const tickMs = 20;
const outcomes = { refused: 0, other: 0 };
let open = 0;
let due = 0;

function attempt() {
  open++;
  const socket = connect({ host, port: Number(port) });
  socket.once('connect', () => {
    outcomes.other++;
    socket.destroy();
  });
  socket.once('error', (error) => outcomes[error.code === 'ECONNREFUSED' ? 'refused' : 'other']++);
  socket.once('close', () => open--);
}

const timer = setInterval(() => {
  for (due += (Number(rate) * tickMs) / 1000; due >= 1; due--) attempt();
}, tickMs);
process.once('SIGTERM', () => {
  clearInterval(timer);
  const ended = setInterval(() => {
    if (open > 0) return;
    clearInterval(ended);
    process.stdout.write(`${JSON.stringify(outcomes)}\n`);
  }, tickMs);
});
process.stdout.write('{"started":true}\n');
