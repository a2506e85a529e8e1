import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { errorTable, messageOf } from '../core/app-error.ts';
import { addressOf, client, inNetns, web } from './demo-namespaces.ts';

const demoError = errorTable({
  DEMO_FILTER: {
    message: 'cannot make the packet filter of the demo: {cause}',
    retryable: false,
    remedy: 'Install nftables (`nft`), or iptables.',
    exitCode: 69,
  },
  DEMO_TRAFFIC: { message: 'the traffic of the demo does not start: {cause}', retryable: false, remedy: 'Report this.', exitCode: 69 },
});

/** One thing that the demo breaks, and the finding that explains it. */
export interface DemoFault {
  /** Id of the rule that finds it. */
  readonly rule: string;
  /** Namespace that the finding is about. */
  readonly entity: string;
  /** What is done, for the reader. */
  readonly what: string;
  start(): Promise<void>;
}

const ports = { full: 8080, closed: 81, filtered: 7000, resetting: 9000, unread: 5300 } as const;

/** The five faults, in the order in which they begin. Rates stay below what the probes' token buckets withhold. */
export const faults: readonly DemoFault[] = [
  {
    rule: 'accept-queue-saturation',
    entity: web,
    what: `a server on port ${ports.full} of ${web} stops to accept connections, and clients go on to connect`,
    async start() {
      await traffic(web, 'never-accept', addressOf(web), ports.full);
      await traffic(client, 'connect', addressOf(web), ports.full, 6);
    },
  },
  {
    rule: 'connect-failures',
    entity: client,
    what: `${client} connects to port ${ports.closed} of ${web}, where nothing listens`,
    start: () => traffic(client, 'connect', addressOf(web), ports.closed, 5),
  },
  {
    rule: 'packet-drops',
    entity: web,
    what: `a packet filter of ${web} drops datagrams to port ${ports.filtered}`,
    async start() {
      dropDatagrams(ports.filtered);
      await traffic(client, 'send', addressOf(web), ports.filtered, 10);
    },
  },
  {
    rule: 'reset-storm',
    entity: web,
    what: `a server on port ${ports.resetting} of ${web} resets each connection as soon as it speaks`,
    async start() {
      await traffic(web, 'reset-all', addressOf(web, 6), ports.resetting);
      await traffic(client, 'greet', addressOf(web, 6), ports.resetting, 12);
    },
  },
  {
    rule: 'udp-receive-overrun',
    entity: web,
    what: `a server on port ${ports.unread} of ${web} no longer reads its datagrams`,
    async start() {
      await traffic(web, 'never-read', addressOf(web), ports.unread);
      await traffic(client, 'send', addressOf(web), ports.unread, 40);
    },
  },
];

const running = new Set<ChildProcess>();

/** Ends all traffic. */
export function stopFaults(): void {
  for (const child of running) child.kill('SIGKILL');
  running.clear();
}

/** Starts one role of demo-traffic.ts in a namespace; resolves when it is ready. */
function traffic(netns: string, role: string, host: string, port: number, perSecond = 1): Promise<void> {
  const program = join(dirname(fileURLToPath(import.meta.url)), 'demo-traffic.js');
  const [command, ...args] = inNetns(netns, process.execPath, program, role, host, String(port), String(perSecond));
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  running.add(child);
  return new Promise((resolve, reject) => {
    let errors = '';
    child.stderr.on('data', (chunk: Buffer) => {
      errors = (errors + chunk.toString()).slice(-1000);
    });
    child.stdout.once('data', () => resolve());
    child.once('error', (error) => reject(demoError('DEMO_TRAFFIC', { cause: messageOf(error) }, error)));
    child.once('exit', () => {
      running.delete(child);
      reject(demoError('DEMO_TRAFFIC', { cause: errors.trim() || `${role} ended` }));
    });
  });
}

/** A filter at the input of the web namespace; it goes with the namespace. */
function dropDatagrams(port: number): void {
  const nft = `add table inet demo; add chain inet demo in { type filter hook input priority 0; }; add rule inet demo in udp dport ${port} drop`;
  const iptables = ['iptables', '-A', 'INPUT', '-p', 'udp', '--dport', String(port), '-j', 'DROP'];
  try {
    run(inNetns(web, 'nft', nft));
  } catch (thrown) {
    try {
      run(inNetns(web, ...iptables));
    } catch {
      throw demoError('DEMO_FILTER', { cause: messageOf(thrown) }, thrown);
    }
  }
}

function run([command, ...args]: readonly [string, ...string[]]): void {
  execFileSync(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
}
