import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { EventArrivals, type Watcher, watchElasticsearch, watchFiles, watchLoki, watchTap } from './event-arrivals.ts';

// From the kernel's event to the answer that holds it, for records that are real: datagrams that are dropped, and connects that are
// refused. One in a hundred records becomes an event. Agents of their own processes, real stores on the same machine.
const seconds = Number(process.env.JITTERSCOPE_BENCH_SECONDS ?? 15);
const warmUpMs = 5_000;
/** Slower ones are not waited for. */
const tailMs = 10_000;
const netns = `jslat-${process.pid}`;
const program = fileURLToPath(new URL('../cli/main.js', import.meta.url));
/** A refused connect is an event of each: a reset that was sent, one that came, a connect that failed. */
const eventsPerRefused = 3;

interface Running {
  readonly address: string;
  readonly pid: number;
  ended(): boolean;
  kill(): Promise<void>;
}

/** The type of scripts/servers/*.mjs, which is no part of the compiled program. */
interface Server {
  install(): Promise<string>;
  start(options: { dataDir: string }): Promise<Running>;
}

const servers: Running[] = [];
const children = new Set<ChildProcess>();
const killAll = (): void => {
  for (const child of children) child.kill('SIGKILL');
};
const cleanUp = (): void => {
  killAll();
  for (const { pid, ended } of servers) if (!ended()) process.kill(pid, 'SIGKILL');
  if (existsSync(`/run/netns/${netns}`)) execFileSync('ip', ['netns', 'del', netns]);
};
process.once('exit', cleanUp);
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => {
    cleanUp();
    process.kill(process.pid, signal);
  });

async function serverOf(name: 'kafka' | 'loki' | 'elasticsearch', dir: string): Promise<Running> {
  const found = (await import(new URL(`../../scripts/servers/${name}.mjs`, import.meta.url).href)) as Record<string, Server>;
  await found[name].install();
  const server = await found[name].start({ dataDir: join(dir, name) });
  servers.push(server);
  return server;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  return port;
}

/** Starts a role; resolves when it says what `ready` matches. */
async function startRole(args: readonly string[], settings: readonly string[], ready: RegExp): Promise<ChildProcess> {
  const [, , , ...nodeOptions] = (await readFile(program, 'utf8')).split('\n', 1)[0].split(' ');
  const sets = settings.flatMap((setting) => ['--set', setting]);
  const child = spawn(process.execPath, [...nodeOptions, program, 'run', ...args, ...sets], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.add(child);
  child.once('exit', () => children.delete(child));
  await new Promise<void>((resolve, reject) => {
    let said = '';
    child.once('exit', (code) => reject(new Error(`${args.join(' ')} ended with ${code}: ${said}`)));
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-10_000);
      if (ready.test(said)) resolve();
    });
  });
  return child;
}

/** Load for some seconds; each watcher tells when it saw which event. */
async function measure(title: string, recordsPerSecond: number, watchers: Readonly<Record<string, Watcher>>, load: string): Promise<void> {
  const refused = Math.max(1, Math.round(recordsPerSecond / 100 / eventsPerRefused));
  const drops = recordsPerSecond - refused * eventsPerRefused;
  const flow = (lengthS: number) =>
    once(spawn('nsenter', [`--net=/run/netns/${netns}`, load, String(lengthS), String(drops), String(refused)]), 'exit');
  await flow(warmUpMs / 1000);
  // What is still on its way is not of this run.
  await sleep(2_000);
  const watching = new AbortController();
  const startMs = Date.now();
  const arrivals = new Map(Object.keys(watchers).map((name) => [name, new EventArrivals(startMs)]));
  const watched = Object.entries(watchers).map(([name, watch]) => watch(arrivals.get(name) as EventArrivals, watching.signal));
  await flow(seconds);
  const expected = refused * seconds * eventsPerRefused;
  const endMs = Date.now() + tailMs;
  while (Date.now() < endMs && [...arrivals.values()].some(({ count }) => count < expected)) await sleep(100);
  watching.abort();
  await Promise.all(watched);
  for (const [name, seen] of arrivals) {
    const [half, most] = [seen.quantileMs(0.5), seen.quantileMs(0.99)].map(Math.round);
    const row = `${title}, ${recordsPerSecond} records/s, ${name}`;
    process.stdout.write(`${row.padEnd(52)} p50 ${half} ms, p99 ${most} ms, ${seen.count} of ${expected} events\n`);
  }
}

async function main(): Promise<void> {
  if (process.getuid?.() !== 0) {
    process.stdout.write('latency: skipped, it needs root: it attaches the probes and makes a namespace\n');
    return;
  }
  const dir = await mkdtemp(join(tmpdir(), 'jitterscope-latency-'));
  // Elasticsearch runs as a user that may not go through other folders.
  await chmod(dir, 0o755);
  try {
    const load = join(dir, 'paced-load');
    execFileSync('cc', ['-O2', '-o', load, fileURLToPath(new URL('../../bench/paced-load.c', import.meta.url))]);
    execFileSync('ip', ['netns', 'add', netns]);
    execFileSync('ip', ['-n', netns, 'link', 'set', 'lo', 'up']);
    const loki = await serverOf('loki', dir);
    const elasticsearch = await serverOf('elasticsearch', dir);
    const lokiUrl = loki.address.startsWith('http') ? loki.address : `http://${loki.address}`;
    const collector = ['node.name=bench', 'collector.cri.socket=off', 'collector.rate=1000000', 'collector.burst=1000000'];
    const common = ['metrics.listen=off', 'aggregator.events.packetloss.minSeverity=critical'];
    const stores = [
      'sinks.loki.enabled=true',
      `sinks.loki.url=${lokiUrl}`,
      'sinks.elasticsearch.enabled=true',
      `sinks.elasticsearch.urls=["${elasticsearch.address}"]`,
    ];
    const watchers = (folder: string) => ({
      file: watchFiles(join(folder, 'events'), netns),
      Loki: watchLoki(lokiUrl, netns),
      Elasticsearch: watchElasticsearch(elasticsearch.address, netns),
    });
    const rates = [1_000, 10_000];

    const all = join(dir, 'all');
    const agent = await startRole(['--data-dir', all], [...common, ...collector, ...stores], /Waiting for events/);
    for (const rate of rates)
      await measure('one process', rate, { tap: watchTap(join(all, 'control.sock'), netns), ...watchers(all) }, load);
    agent.kill('SIGTERM');
    await once(agent, 'exit');

    const broker = await serverOf('kafka', dir);
    const port = await freePort();
    const kafka = [
      ...common,
      'bus.type=kafka',
      `bus.kafka.brokers=["${broker.address}"]`,
      'bus.kafka.replicationFactor=1',
      'bus.kafka.partitions=4',
      `gateway.listen=127.0.0.1:${port}`,
      `collector.gateway.address=127.0.0.1:${port}`,
    ];
    for (const role of ['gateway', 'aggregator', 'sinks'])
      await startRole(['--role', role, '--data-dir', join(dir, role)], [...kafka, ...(role === 'sinks' ? stores : [])], /role \w+/);
    await startRole(['--role', 'collector', '--data-dir', join(dir, 'collector')], [...kafka, ...collector], /Waiting for events|role \w+/);
    for (const rate of rates) await measure('roles over Kafka', rate, watchers(join(dir, 'sinks')), load);
  } finally {
    killAll();
    await Promise.all(servers.map((server) => server.kill()));
    await rm(dir, { recursive: true, force: true });
  }
}

await main();
