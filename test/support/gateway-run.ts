import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, type ClientDuplexStream, credentials, type ServiceError } from '@grpc/grpc-js';
import { onTestFinished } from 'vitest';
import type { Bus } from '../../core/bus/bus.ts';
import { openEmbeddedLog } from '../../core/bus/embedded-log.ts';
import { createLog } from '../../core/log.ts';
import { RawMessage, topics } from '../../proto/bus.ts';
import { type CollectorBody, CollectorMessage, type GatewayBody, GatewayMessage } from '../../proto/collect.ts';
import { startGateway } from '../../services/gateway/main.ts';
import { eventually } from '../lab/eventually.ts';

/** Of a test collector, unless it says another. */
export const session = Buffer.alloc(16, 7);

/** A folder of this test's own. */
export function folder(): string {
  const dir = mkdtempSync(join(tmpdir(), 'jitterscope-gateway-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** The raw log in two partitions; closed when the test is finished. */
export async function openBus(dir: string): Promise<Bus> {
  const bus = await openEmbeddedLog({
    dir: join(dir, 'bus'),
    commitMs: 1,
    topics: [{ name: topics.raw, partitions: 2, maxBytes: 2 ** 26, retain: 'oldest' }],
  });
  onTestFinished(() => bus.close());
  return bus;
}

/** A gateway with its socket in a folder; closed when the test is finished. */
export async function gatewayOn(dir: string, bus: Bus, more: { ticks?: boolean; maxInFlightBytes?: number; maxMemoryBytes?: number } = {}) {
  const gateway = await startGateway({
    bus,
    socketPath: join(dir, 'collect.sock'),
    ticks: more.ticks ?? false,
    maxInFlightBytes: more.maxInFlightBytes ?? 2 ** 20,
    maxMemoryBytes: more.maxMemoryBytes ?? 2 ** 26,
    maxMessageBytes: 2 ** 20,
    log: createLog('silent'),
  });
  onTestFinished(() => gateway.close(100));
  return gateway;
}

/** A collector over a real gRPC stream. */
export class TestCollector {
  readonly answers: GatewayBody[] = [];
  error: ServiceError | undefined;
  ended = false;
  readonly call: ClientDuplexStream<Buffer, GatewayBody>;
  readonly #client: Client;

  constructor(dir: string) {
    this.#client = new Client(`unix:${join(dir, 'collect.sock')}`, credentials.createInsecure(), {
      'grpc.default_authority': 'localhost',
      'grpc.max_send_message_length': -1,
      'grpc.use_local_subchannel_pool': 1,
    });
    this.call = this.#client.makeBidiStreamRequest<Buffer, GatewayBody>(
      '/jitterscope.collect.v1.Collect/Stream',
      (bytes) => bytes,
      (bytes) => GatewayMessage.decode(bytes),
    );
    this.call.on('data', (answer: GatewayBody) => this.answers.push(answer));
    this.call.on('error', (error: ServiceError) => (this.error = error));
    this.call.on('end', () => (this.ended = true));
    onTestFinished(() => this.close());
  }

  close(): void {
    this.call.cancel();
    this.#client.close();
  }

  send(...bodies: (CollectorBody | Buffer)[]): this {
    for (const body of bodies) this.call.write(Buffer.isBuffer(body) ? body : Buffer.from(CollectorMessage.encode(body).finish()));
    return this;
  }

  hello(more: object = {}): this {
    return this.send({ hello: { node: 'node1', session, version: 't', schema: 1, ...more } });
  }

  get acked(): number {
    return Math.max(-1, ...this.answers.map(({ ack, welcome }) => ack?.seq ?? welcome?.ackedSeq ?? -1));
  }

  until(seq: number): Promise<void> {
    return eventually(`seq ${seq} is acked`, () => this.acked >= seq);
  }

  failed(): Promise<void> {
    return eventually('the stream fails', () => this.error !== undefined);
  }
}

/** A message without items. */
export function beat(seq: number): CollectorBody {
  return { seq, heartbeat: { bootNs: seq, nextItem: 0 } };
}

/** A message with so many items. */
export function items(seq: number, count: number): CollectorBody {
  return { seq, batch: { firstItem: seq, count, records: Buffer.alloc(count * 128, seq) } };
}

/** A message of a collector in the raw log. */
interface Stored {
  seq: number;
  node: string;
  session: string;
}

/** What is in the raw log, ticks aside. */
export async function stored(bus: Bus): Promise<Stored[]> {
  const found: Stored[] = [];
  for (let partition = 0; partition < bus.partitions(topics.raw); partition++) {
    const { next } = await bus.offsets(topics.raw, partition);
    if (next === 0) continue;
    for await (const { messages } of bus.read(topics.raw, partition, 0, { until: next })) {
      for (const { value } of messages) {
        const raw = RawMessage.decode(value);
        if (!raw.tick)
          found.push({ seq: CollectorMessage.decode(raw.message).seq, node: raw.node, session: Buffer.from(raw.session).toString('hex') });
      }
    }
  }
  return found;
}

/** Numbers of the messages in the raw log. */
export const seqs = async (bus: Bus): Promise<number[]> => (await stored(bus)).map(({ seq }) => seq);
