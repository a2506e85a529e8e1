// What clients do all day with a set of soak-server.mjs, which it is told by lines of JSON on its standard input:
// {"ready": [addresses], "starting": [addresses]}. Short connections, connections kept alive with little on them, large
// transfers both ways, datagrams, requests that are left in the middle, and what a load balancer does: health checks that
// end with a reset, and readiness probes of servers that do not listen yet. Says its counts when its standard input ends.
import { createSocket } from 'node:dgram';
import { Agent, request } from 'node:http';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';

const counts = { requests: 0, transfers: 0, datagrams: 0, cancelled: 0, checks: 0, probes: 0, refused: 0, failed: 0 };
let ready = [];
let starting = [];
let turn = 0;
const next = () => ready[turn++ % ready.length];
const failed = (what) => (error) => {
  counts[error?.code === 'ECONNREFUSED' ? 'refused' : 'failed']++;
  if (process.env.SOAK_VERBOSE !== undefined) process.stderr.write(`${what}: ${error?.code}\n`);
};

function ask(host, { agent = false, path = '/', body = 2_000, cancel = false } = {}) {
  const sent = request({ host, port: 8080, method: 'POST', path, agent, timeout: 10_000 }, (response) => {
    response.once('data', () => {
      if (!cancel) return;
      counts.cancelled++;
      response.destroy();
    });
    response.on('error', () => undefined).resume();
  });
  sent.on('error', (error) => !cancel && failed('request')(error));
  sent.end(Buffer.alloc(body));
  counts.requests++;
}

function transfer(host, bytes) {
  const socket = connect(8082, host, () => socket.end(Buffer.alloc(bytes)));
  socket.on('error', failed('transfer')).resume();
  counts.transfers++;
}

function check(host) {
  const socket = connect(8082, host, () => socket.resetAndDestroy());
  socket.on('error', failed('health check'));
  counts.checks++;
}

function probe(host) {
  const socket = connect(8080, host, () => socket.end());
  socket.setTimeout(1_000, () => socket.destroy());
  socket.on('error', failed('readiness probe')).resume();
  counts.probes++;
}

const idle = new Map();
/** A few connections to each server that carry nothing but keepalives. */
function keepIdle() {
  for (const host of ready) {
    if (idle.has(host)) continue;
    const sockets = Array.from({ length: 5 }, () => connect({ host, port: 8082, keepAlive: true, keepAliveInitialDelay: 2_000 }));
    for (const socket of sockets) socket.on('error', () => undefined).on('end', () => socket.end());
    idle.set(host, sockets);
  }
  for (const [host, sockets] of idle) {
    if (ready.includes(host)) continue;
    for (const socket of sockets) socket.end();
    idle.delete(host);
  }
}

const datagrams = createSocket('udp4');
datagrams.on('error', () => undefined);
const agent = new Agent({ keepAlive: true, maxSockets: 4 });
const every = (ms, action) => setInterval(() => ready.length > 0 && action(), ms);
every(50, () => ask(next()));
every(100, () => ask(next(), { agent }));
every(100, () => {
  datagrams.send('question', 5353, next());
  counts.datagrams++;
});
every(2_000, keepIdle);
every(2_000, () => ready.forEach(check));
every(3_000, () => ask(next(), { cancel: true, path: '/large' }));
every(5_000, () => transfer(next(), 20_000_000));
every(7_000, () => ask(next(), { path: '/large' }));
setInterval(() => starting.forEach(probe), 1_000);

const lines = createInterface({ input: process.stdin });
lines.on('line', (line) => ({ ready, starting } = JSON.parse(line)));
lines.on('close', () => process.stdout.write(`${JSON.stringify(counts)}\n`, () => process.exit(0)));
process.stdout.write(`${JSON.stringify({ pid: process.pid })}\n`);
