// Opens connections at a steady pace, as clients do that do not wait for each other. Says { pid } as it begins, and
// { opened, refused, givenUp, others } at the end.
// callers.mjs <remote address> <remote port> <per second> <connects> [hold | reset]
// hold: keeps what is open until the end. reset: ends each connection by a reset. A connect is given up after 2.5 s.
import { connect } from 'node:net';

const [host, port, perSecond, connects, how = ''] = process.argv.slice(2);
const patienceMs = 2_500;
const counts = { opened: 0, refused: 0, givenUp: 0, others: 0 };
const held = new Set();
let started = 0;
let ended = 0;

function call() {
  const socket = connect({ host, port: Number(port) });
  const timer = setTimeout(() => {
    counts.givenUp++;
    socket.destroy();
  }, patienceMs);
  socket.once('connect', () => {
    clearTimeout(timer);
    counts.opened++;
    if (how === 'reset') socket.resetAndDestroy();
    else if (how === 'hold') {
      held.add(socket);
      end();
    } else socket.end();
  });
  socket.once('error', ({ code }) => {
    clearTimeout(timer);
    counts[code === 'ECONNREFUSED' ? 'refused' : 'others']++;
  });
  socket.once('close', () => !held.has(socket) && end());
  socket.resume();
}

function end() {
  if (++ended < Number(connects)) return;
  for (const socket of held) socket.destroy();
  process.stdout.write(`${JSON.stringify(counts)}\n`);
}

process.stdout.write(`${JSON.stringify({ pid: process.pid })}\n`);
const timer = setInterval(() => {
  call();
  if (++started === Number(connects)) clearInterval(timer);
}, 1000 / Number(perSecond));
