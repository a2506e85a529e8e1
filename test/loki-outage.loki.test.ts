import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, expect, test } from 'vitest';
import { topics } from '../proto/bus.ts';
import { temporaryFolder } from './support/data-folder.ts';
import { EventStream } from './support/event-stream.ts';
import { FaultProxy } from './support/fault-proxy.ts';
import { holdingOf, LokiRun } from './support/loki-run.ts';
import { startLoki } from './support/loki-server.ts';
import { patiently } from './support/patiently.ts';
import { sizeFromEnvironment } from './support/random.ts';

const events = sizeFromEnvironment('JITTERSCOPE_OUTAGE_EVENTS', 100_000);
/** Half of it Loki is dead, half of it all requests are answered with 503. */
const outageMs = sizeFromEnvironment('JITTERSCOPE_OUTAGE_SECONDS', 40) * 1000;
/** Until the process has the size that it works with. */
const warmUpMs = 4_000;
const prefix = '00000000000000a1';
const perMessage = 200;

const folder = temporaryFolder();
afterAll(() => folder.remove());

const mebibytes = (bytes: number) => Math.round(bytes / 2 ** 20);

test(`${events} events flow while Loki is down for ${outageMs / 1000} s: each is stored once, and the files do not wait`, {
  timeout: 600_000,
}, async () => {
  const options = { dataDir: join(folder.path, 'loki'), limits: { discover_log_levels: false } };
  let server = await startLoki(options);
  const proxy = await FaultProxy.start(server.address);
  const run = await LokiRun.start(join(folder.path, 'data'), {
    file: { enabled: true },
    loki: { enabled: true, url: proxy.address, timeout: '10s' },
  });
  const startS = Math.floor(Date.now() / 1000);
  const stream = new EventStream({ prefix, node: 'node1', startS, stepNs: 1_000_000, lineBytes: 1_300 });
  let sent = 0;
  let maxFileLag = 0;
  let startRss = 0;
  let maxRss = 0;
  let isFlowing = true;
  try {
    const flow = async () => {
      // Over the outage and some seconds before and behind it.
      const pauseMs = (outageMs + warmUpMs + 3_000) / (events / perMessage);
      const begunMs = performance.now();
      for (; sent < events; sent += perMessage) {
        await run.bus.append(topics.events, 0, [stream.next(perMessage)]);
        await sleep(Math.max(0, begunMs + (sent / perMessage) * pauseMs - performance.now()));
      }
    };
    const watch = async () => {
      while (isFlowing) {
        maxFileLag = Math.max(maxFileLag, await run.lag('file'));
        maxRss = Math.max(maxRss, process.memoryUsage.rss());
        await sleep(200);
      }
    };
    const flowing = flow();
    const watching = watch();
    await patiently('the first events are stored', 30_000, () => (run.countersOf('loki').partitions.get(0)?.delivered ?? 0) > 0);
    await sleep(warmUpMs);
    startRss = process.memoryUsage.rss();
    maxRss = startRss;

    await server.kill();
    await sleep(outageMs / 2);
    expect(await run.lag('loki')).toBeGreaterThan(0);
    expect(run.sinks.ready().ready).toBe(true);
    server = await startLoki(options);
    proxy.fault = () => ({ status: 503, body: 'down' });
    await sleep(outageMs / 2);
    expect(run.countersOf('loki').delivery.failures.LOKI_FAILED).toBeGreaterThan(0);
    const outageRss = maxRss;
    proxy.fault = () => 'pass';

    await flowing;
    await patiently('everything is delivered', 120_000, async () => (await run.lag('loki')) + (await run.lag('file')) === 0);
    isFlowing = false;
    await watching;

    const { delivery, partitions } = run.countersOf('loki');
    const endS = startS + Math.ceil(events / 1000) + 1;
    const held = await holdingOf({ address: server.address }, prefix, startS - 1, endS);
    process.stdout.write(
      `  ${events} events: ${held.distinct.size} distinct, ${held.lines} lines; unknown ${delivery.unknownEvents}, found ${delivery.foundEvents}, ` +
        `again ${delivery.retriedEvents}; lag of files at most ${maxFileLag} messages; RSS ${mebibytes(startRss)}, in the outage ${mebibytes(outageRss)}, while it catches up ${mebibytes(maxRss)} MiB\n`,
    );
    expect(held.distinct.size).toBe(events);
    expect(held.lines).toBe(events);
    expect(delivery.possiblyDuplicatedEvents).toBe(0);
    expect(partitions.get(0)).toMatchObject({ in: events, delivered: events, rejected: 0, repeat: 0 });
    expect(run.countersOf('file').partitions.get(0)).toMatchObject({ in: events, delivered: events });
    // A second of the flow, and not the outage.
    expect(maxFileLag).toBeLessThan(events / perMessage / 4);
    // What waits is on the disk: nothing grows with the outage. Catching up takes fetches of 4 MiB and garbage of them.
    expect(mebibytes(outageRss - startRss)).toBeLessThan(60);
    expect(mebibytes(maxRss - startRss)).toBeLessThan(200);
  } finally {
    isFlowing = false;
    await run.close();
    await proxy.close();
    await server.kill();
  }
});
