// Until it is ended: connects that are refused (port 81), connections that send a little to busy-server.mjs (port 8082).
// Says { pid } as it begins.
// mixed-client.mjs <remote address> <pause ms between two of each>
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

const [host, pauseMs] = process.argv.slice(2);
process.stdout.write(`${JSON.stringify({ pid: process.pid })}\n`);
for (;;) {
  connect(81, host).on('error', () => undefined);
  connect(8082, host)
    .on('error', () => undefined)
    .end(Buffer.alloc(30_000));
  await sleep(Number(pauseMs));
}
