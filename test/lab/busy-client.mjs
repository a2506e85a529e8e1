// What clients do all day with busy-server.mjs: connections kept alive, short ones, some left in the middle, reset, or
// closed while the other end still writes; datagrams; a large transfer. Says { done: true } at the end.
// busy-client.mjs <remote address>
import { createSocket } from 'node:dgram';
import { Agent, request } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

const [host] = process.argv.slice(2);
const post = (options, onResponse) =>
  new Promise((resolve) => {
    const sent = request({ host, port: 8080, method: 'POST', ...options }, (response) => onResponse(response, resolve));
    sent.on('error', resolve);
    sent.end(Buffer.alloc(20_000));
  });
const readAll = (response, resolve) => response.resume().on('end', resolve).on('error', resolve);
const leave = (response, resolve) =>
  response.once('data', () => {
    response.destroy();
    resolve();
  });
const tcp = (port, use) =>
  new Promise((resolve) => {
    const socket = connect(port, host, () => use(socket));
    socket.on('close', resolve).on('error', resolve).resume();
  });

const agent = new Agent({ keepAlive: true, maxSockets: 4 });
for (let round = 0; round < 5; round++) await Promise.all(Array.from({ length: 8 }, () => post({ agent }, readAll)));
agent.destroy();
for (let i = 0; i < 20; i++) await post({ agent: false }, readAll);
for (let i = 0; i < 10; i++) await post({ agent: false }, leave);
for (let i = 0; i < 10; i++) {
  await tcp(8081, (socket) => {
    socket.write(Buffer.alloc(1000));
    setTimeout(() => socket.destroy(), 20);
  });
}
for (let i = 0; i < 10; i++) await tcp(8082, (socket) => socket.end(Buffer.alloc(100_000)));
for (let i = 0; i < 5; i++) await tcp(8082, (socket) => socket.resetAndDestroy());
const datagrams = createSocket(host.includes(':') ? 'udp6' : 'udp4');
for (let i = 0; i < 20; i++) datagrams.send('question', 5353, host);
await sleep(200);
datagrams.close();
await tcp(8082, (socket) => socket.end(Buffer.alloc(20_000_000)));
process.stdout.write(`${JSON.stringify({ done: true })}\n`);
