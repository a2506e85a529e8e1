import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { openEmbeddedLog } from '../core/bus/embedded-log.ts';
import { createLog } from '../core/log.ts';
import { topics } from '../proto/bus.ts';
import { sinksSchema } from '../services/sinks/config.ts';
import { startSinks } from '../services/sinks/main.ts';
import { encodeSyntheticEvents } from '../services/sinks/test-documents.ts';

// Bus -> Elasticsearch: the CPU of this process alone, for a server that takes everything at once. The reference: the same
// events through the same path to a file.
const [events, warmUp, bytesPerEvent, perMessage] = [200_000, 40_000, 1_300, 190];
const log = createLog('error');

function cpuSeconds(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

async function busTo(sink: 'elasticsearch' | 'file', section: object, count: number) {
  const dir = await mkdtemp(join(tmpdir(), 'jitterscope-bench-'));
  const spec = { partitions: 1, maxBytes: 2 ** 32, retain: 'oldest' } as const;
  const topicSpecs = [topics.events, topics.deadLetters].map((name) => ({ ...spec, name }));
  const bus = await openEmbeddedLog({ dir: join(dir, 'bus'), topics: topicSpecs });
  try {
    for (let first = 0; first < count; first += perMessage) {
      const size = Math.min(perMessage, count - first);
      await bus.append(topics.events, 0, [encodeSyntheticEvents({ partition: 0, first, count: size, bytes: bytesPerEvent })]);
    }
    const config = sinksSchema.parse({ file: { enabled: sink === 'file' }, elasticsearch: { enabled: sink !== 'file', ...section } });
    const [before, startMs] = [process.cpuUsage(), performance.now()];
    const sinks = await startSinks({ bus, config, clusterName: 'default', dataDir: dir, log });
    while (((await sinks.lag()).get(sink)?.get(0) ?? 1) > 0) await sleep(5);
    const found = { cpuS: cpuSeconds(before), wallS: (performance.now() - startMs) / 1000, requests: sinks.stats()[0].delivery.requests };
    await sinks.close(1_000);
    return found;
  } finally {
    await bus.close();
    await rm(dir, { recursive: true });
  }
}

async function bytesOf(child: ChildProcess): Promise<number> {
  child.send('bytes');
  return ((await once(child, 'message')) as [number])[0];
}

const inThousands = (figure: number): number => Math.round(figure / 1000);
const child = fork(fileURLToPath(new URL('bulk-server.js', import.meta.url)), { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] });
try {
  const [port] = (await once(child.stdout as NodeJS.ReadableStream, 'data')) as [Buffer];
  const urls = [`http://127.0.0.1:${String(port).trim()}`];
  const section = { urls, templates: 'off' };
  await busTo('elasticsearch', section, warmUp);
  await busTo('file', {}, warmUp);
  for (const [name, more, count] of [
    ['bus -> Elasticsearch', {}, events],
    ['bus -> Elasticsearch, gzip', { compression: true }, events / 4],
  ] as const) {
    await bytesOf(child);
    const { cpuS, wallS, requests } = await busTo('elasticsearch', { ...section, ...more }, count);
    const bytes = Math.round((await bytesOf(child)) / count);
    process.stdout.write(
      `${name}: ${inThousands(count / cpuS)} k docs/core-s (${inThousands(count / wallS)} k/s by the clock), ${bytes} bytes a document on the wire, ${Math.round(count / requests)} a request\n`,
    );
  }
  const { cpuS } = await busTo('file', {}, events);
  process.stdout.write(`bus -> file, the same events: ${inThousands(events / cpuS)} k docs/core-s\n`);
} finally {
  child.disconnect();
}
