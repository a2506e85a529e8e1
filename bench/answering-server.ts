import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

// A store that takes everything at once and keeps nothing, in a process of its own: argv: status, body. Prints its port.
const [status = '204', body = ''] = process.argv.slice(2);
const server = createServer((request, response) => {
  request.resume();
  request.once('end', () => {
    if (request.method === 'POST') response.writeHead(Number(status)).end(body);
    else response.writeHead(200).end('{"data":{"result":[]}}');
  });
}).listen(0, '127.0.0.1', () => process.stdout.write(`${(server.address() as AddressInfo).port}\n`));
process.once('disconnect', () => {
  server.closeAllConnections();
  server.close();
});
