// Sends datagrams. Says { pid, localPort } before the first one and { sent } after the last one.
// udp.mjs <local address> <local port> <remote address> <remote port> <datagrams> <bytes of each>
import { createSocket } from 'node:dgram';

const [localAddress, localPort, host, port, datagrams, bytes] = process.argv.slice(2);
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
const payload = Buffer.alloc(Number(bytes));

socket.on('error', () => undefined);
socket.bind(Number(localPort), localAddress, async () => {
  say({ pid: process.pid, localPort: socket.address().port });
  let sent = 0;
  // Whether the kernel takes it is what is tested.
  for (let i = 0; i < Number(datagrams); i++)
    await new Promise((resolve) => socket.send(payload, Number(port), host, (error) => resolve((sent += error ? 0 : 1))));
  socket.close();
  say({ sent });
});
