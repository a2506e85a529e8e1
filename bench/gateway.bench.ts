import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { openEmbeddedLog } from '../core/bus/embedded-log.ts';
import { createLog } from '../core/log.ts';
import { topics } from '../proto/bus.ts';
import { CollectorMessage } from '../proto/collect.ts';
import { recordBytes } from '../schema/record.gen.ts';
import { collectImplementation, collectService } from '../services/gateway/collect-service.ts';
import { startGateway } from '../services/gateway/main.ts';
import { type BenchRow, perCpuSecond, printRows } from './bench-row.ts';

const records = 4_000_000;
const batchRecords = 2048;
const megabytes = (records * recordBytes) / 1e6;

/** gRPC stream to embedded log, the collector in another process. The reference is a gRPC server that acks and forgets. */
export async function run(): Promise<BenchRow[]> {
  const dir = await mkdtemp(join(tmpdir(), 'jitterscope-bench-'));
  try {
    const reference = await perCpuSecond(megabytes, () => discard(join(dir, 'discard.sock')));
    const value = await perCpuSecond(megabytes, () => gateway(dir));
    return [
      {
        name: 'gateway, gRPC to embedded log, 256 KiB',
        value,
        unit: 'MB/core-s',
        reference,
        referenceName: 'a gRPC server that acks and forgets',
      },
    ];
  } finally {
    await rm(dir, { recursive: true });
  }
}

async function gateway(dir: string): Promise<void> {
  const bus = await openEmbeddedLog({
    dir: join(dir, 'bus'),
    topics: [{ name: topics.raw, partitions: 1, maxBytes: 2 ** 32, retain: 'oldest' }],
  });
  const socketPath = join(dir, 'collect.sock');
  const running = await startGateway({
    bus,
    socketPath,
    ticks: true,
    maxInFlightBytes: 8 * 2 ** 20,
    maxMemoryBytes: 2 ** 26,
    maxMessageBytes: 4 * 2 ** 20,
    log: createLog('warn'),
  });
  await collector(socketPath);
  await running.close();
  await bus.close();
}

async function discard(socketPath: string): Promise<void> {
  const server = new Server({ 'grpc.max_receive_message_length': -1 });
  server.addService(
    collectService,
    collectImplementation((call) => {
      call.on('data', (bytes: Buffer) => {
        const { seq } = CollectorMessage.decode(bytes);
        call.write(seq === 0 ? { welcome: { ackedSeq: 0 } } : { ack: { seq } });
      });
      call.on('end', () => call.end());
    }),
  );
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(`unix:${socketPath}`, ServerCredentials.createInsecure(), (thrown) => (thrown === null ? resolve() : reject(thrown)));
  });
  await collector(socketPath);
  server.forceShutdown();
}

async function collector(socketPath: string): Promise<void> {
  const child = fork(fileURLToPath(new URL('./gateway-client.js', import.meta.url)), [
    `unix:${socketPath}`,
    String(records),
    String(batchRecords),
  ]);
  const [code] = (await once(child, 'exit')) as [number];
  if (code !== 0) throw new Error(`the collector ended with ${code}`);
}

printRows(await run());
