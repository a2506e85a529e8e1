// Accepts connections and ends each by a reset. Says { pid, port } once it listens.
// abort-server.mjs <address> <port> linger: closes with SO_LINGER 0
// abort-server.mjs <address> <port> unread: closes as soon as data that nobody read has arrived
// abort-server.mjs <address> <port> close: closes in order, so that data which comes later is answered by a reset
// abort-server.mjs <address> <port> hold: never reads and never closes; the reset comes when it is killed
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

const [host, port, how] = process.argv.slice(2);

/** Bytes that wait to be read by an ESTABLISHED socket on the port: rx_queue in /proc/net/tcp and tcp6. */
function unreadBytes(remotePort) {
  const hex = (number) => number.toString(16).toUpperCase().padStart(4, '0');
  const rows = ['tcp', 'tcp6'].flatMap((table) => readFileSync(`/proc/self/net/${table}`, 'utf8').split('\n').slice(1));
  for (const row of rows) {
    const [, local = '', remote = '', state, queues = ''] = row.trim().split(/\s+/);
    if (local.endsWith(`:${hex(Number(port))}`) && remote.endsWith(`:${hex(remotePort)}`) && state === '01')
      return Number.parseInt(queues.split(':')[1], 16);
  }
  return 0;
}

const server = createServer({ pauseOnConnect: true }, async (socket) => {
  socket.on('error', () => undefined);
  if (how === 'linger') return socket.resetAndDestroy();
  if (how === 'close') return socket.destroy();
  if (how === 'hold') return socket;
  while (unreadBytes(socket.remotePort) === 0) await sleep(5);
  return socket.destroy();
});
server.listen(Number(port), host, () => process.stdout.write(`${JSON.stringify({ pid: process.pid, port: Number(port) })}\n`));
