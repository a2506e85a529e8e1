// Opens one connection, and tells by its own clock how long that took. Says { pid, localPort, outcome, connectedNs, elapsedMs }:
// outcome is connected, an error code, or gave-up; connectedNs is CLOCK_MONOTONIC, a string.
// dial.mjs <local address, '' for any> <local port, 0 for any> <remote address> <remote port> [keep | send | <give up after ms>]
// keep: holds the connection until SIGTERM, and then closes it. send: sends a little before it closes.
import { connect } from 'node:net';

const [localAddress, localPort, host, port, how = ''] = process.argv.slice(2);
const started = process.hrtime.bigint();
const socket = connect({
  host,
  port: Number(port),
  ...(localAddress === '' ? {} : { localAddress }),
  ...(localPort === '0' ? {} : { localPort: Number(localPort) }),
});
let said = false;

function say(outcome) {
  if (said) return;
  said = true;
  const now = process.hrtime.bigint();
  const line = {
    pid: process.pid,
    localPort: socket.localPort ?? 0,
    outcome,
    connectedNs: String(now),
    elapsedMs: Number(now - started) / 1e6,
  };
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

socket.on('connect', () => {
  say('connected');
  if (how === 'keep') process.on('SIGTERM', () => socket.end());
  else socket.end(how === 'send' ? 'hello' : undefined);
});
socket.on('error', (error) => say(error.code));
socket.resume();
if (/^\d/.test(how))
  setTimeout(() => {
    if (socket.connecting) {
      socket.destroy();
      say('gave-up');
    }
  }, Number(how));
