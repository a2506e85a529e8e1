// What runs inside the demo's namespaces: one well or badly behaved server or client a process, until it is killed.
// demo-traffic.js <role> <host> <port> [per second]
import { createSocket } from 'node:dgram';
import { connect, createServer } from 'node:net';

/** Connections that may wait for the server that never accepts. */
const deafBacklog = 8;
/** A client that was not connected by then gives up. */
const patienceMs = 2_500;
const smallBufferBytes = 4_096;
const datagram = Buffer.alloc(400);

type Role = (host: string, port: number, perSecond: number) => void;

/** Blocks this thread while the demo lives: the kernel goes on completing handshakes and queueing datagrams. */
function fallAsleep(): void {
  const cell = new Int32Array(new SharedArrayBuffer(4));
  const demo = process.ppid;
  process.stdout.write('ready\n', () => {
    while (process.ppid === demo) Atomics.wait(cell, 0, 0, 1000);
    process.exit(0);
  });
}

function ready(): void {
  process.stdout.write('ready\n');
}

function times(perSecond: number, action: () => void): void {
  ready();
  setInterval(action, 1000 / perSecond);
}

/** Connects, keeps what is accepted, and gives up on what is not. */
function open(host: string, port: number, greeting?: string): void {
  const socket = connect({ host, port });
  const givingUp = setTimeout(() => socket.destroy(), patienceMs);
  socket.once('connect', () => {
    clearTimeout(givingUp);
    if (greeting !== undefined) socket.write(greeting);
  });
  socket.on('error', () => clearTimeout(givingUp));
  socket.resume();
}

const roles: Readonly<Record<string, Role>> = {
  'never-accept': (host, port) => void createServer().listen({ host, port, backlog: deafBacklog }, fallAsleep),
  'never-read': (host, port) => {
    const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
    socket.bind(port, host, () => {
      socket.setRecvBufferSize(smallBufferBytes);
      fallAsleep();
    });
  },
  'reset-all': (host, port) =>
    void createServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () => socket.resetAndDestroy());
    }).listen({ host, port }, ready),
  connect: (host, port, perSecond) => times(perSecond, () => open(host, port)),
  greet: (host, port, perSecond) => times(perSecond, () => open(host, port, 'hello')),
  send: (host, port, perSecond) => {
    const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
    socket.on('error', () => undefined);
    times(perSecond, () => socket.send(datagram, port, host));
  },
};

const [role = '', host = '', port = '', perSecond = '1'] = process.argv.slice(2);
// Whoever started it is gone: so is the demo.
process.stdin.on('end', () => process.exit(0)).resume();
roles[role]?.(host, Number(port), Number(perSecond));
