import { chmod, unlink } from 'node:fs/promises';
import { Server, ServerCredentials, type ServerDuplexStream, status } from '@grpc/grpc-js';
import { messageOf } from '../../core/app-error.ts';
import { appendRetrying } from '../../core/bus/append-retrying.ts';
import type { Bus } from '../../core/bus/bus.ts';
import { Deadline } from '../../core/deadline.ts';
import { sharedAbort } from '../../core/joined-signal.ts';
import { type Log, LogLimiter } from '../../core/log.ts';
import { sleep } from '../../core/retry.ts';
import { type PipelineFiguresBody, topics } from '../../proto/bus.ts';
import type { GatewayBody } from '../../proto/collect.ts';
import { peerOf, refusalOf } from './authorization.ts';
import { startTicks } from './clock.ts';
import { collectImplementation, collectService } from './collect-service.ts';
import { gatewayError } from './errors.ts';
import { MemoryBudget } from './memory-budget.ts';
import { emptyGatewayMetrics, type GatewayMetrics } from './metrics.ts';
import { partitionOf } from './partition.ts';
import { Positions } from './positions.ts';
import { CollectorStream } from './stream.ts';
import { listenTcp, type TcpListener, type TcpOptions } from './tcp-listener.ts';

export interface GatewayOptions {
  readonly bus: Bus;
  /** A Unix socket's path, for collectors of this machine; only its owner may connect. */
  readonly socketPath?: string;
  /** For collectors of other machines. */
  readonly tcp?: TcpOptions | undefined;
  /** Whether to write ticks; a replay brings the capture's own, and is only taken by a gateway that writes none. */
  readonly ticks: boolean;
  /** Bytes of one stream that may wait for durability, and of all of them; each partition has an equal part of these. */
  readonly maxInFlightBytes: number;
  readonly maxMemoryBytes: number;
  /** Largest gRPC message. */
  readonly maxMessageBytes: number;
  readonly log: Log;
  /** What the process knows of the pipeline of a partition; goes into the ticks. */
  readonly figures?: (partition: number, metrics: GatewayMetrics) => PipelineFiguresBody;
}

/** A running gateway. */
export interface Gateway {
  readonly metrics: GatewayMetrics;
  /** Where it listens on TCP. */
  readonly tcpAddress: string | undefined;
  /** Asks every collector for a keyframe. */
  requestKeyframes(reason: string): void;
  /** Ends the streams once what they sent is durable, or after most of graceMs; positions are written down in what is left. */
  close(graceMs?: number): Promise<void>;
}

/** How often it is looked whether a certificate has expired. */
const expiryMs = 1_000;
/** Part of the grace that streams have; cut ones end in the same part of the rest, and within maxEndMs. */
const streamShare = 0.6;
const maxEndMs = 500;
/** Positions are written down at the end within what is left, which is taken for this at least. */
const minSaveMs = 500;
/** A collector has one, and one for each session that it catches up with, one after the other. */
const maxStreamsOfConnection = 16;
/** Positions are written down so often. A stream that goes on from an older one sends repeats, which are dropped. */
const saveMs = 5_000;

/** Starts the gateway: many gRPC streams in, raw partitions out, an ack once durable. */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const { bus, log } = options;
  const budget = new MemoryBudget(options.maxMemoryBytes, options.maxInFlightBytes, bus.partitions(topics.raw));
  const metrics = emptyGatewayMetrics(budget);
  const limiter = new LogLimiter();
  /** With the time at which what vouches for them ends. */
  const streams = new Map<CollectorStream, number>();
  const stopping = sharedAbort();
  const positions = new Positions(bus);
  await positions.load();

  /** One of its own for each listener: what is asked of a stream does not depend on what it says. */
  const serverFor = (certified: boolean): Server => {
    const server = new Server({
      'grpc.max_receive_message_length': options.maxMessageBytes,
      'grpc.max_concurrent_streams': maxStreamsOfConnection,
      // A machine that lost its power says nothing.
      'grpc.keepalive_time_ms': 30_000,
      'grpc.keepalive_timeout_ms': 20_000,
    });
    server.addService(
      collectService,
      collectImplementation((call) => open(call, certified)),
    );
    return server;
  };
  const open = (call: ServerDuplexStream<Buffer, GatewayBody>, certified: boolean): void => {
    const peer = certified ? peerOf(call) : undefined;
    const stream = new CollectorStream(call, {
      partitionOf: (node) => partitionOf(node, bus.partitions(topics.raw)),
      acked: (key) => positions.acked(key),
      advance: (key, seq, partition) => positions.advance(key, seq, partition),
      append: async (partition, values, signal) => void (await appendRetrying(bus, topics.raw, partition, values, log, signal)),
      budget,
      metrics,
      refusalOf: (hello) => refusalOf(hello, peer, { certified, replays: !options.ticks }),
      warn: ({ code, message, remedy }) => limiter.once(code, (heldBack) => log.warn({ code, remedy, heldBack }, message)),
    });
    streams.set(stream, peer?.notAfterMs ?? Infinity);
    metrics.streams = streams.size;
    const forget = (): void => {
      streams.delete(stream);
      metrics.streams = streams.size;
    };
    call.on('end', forget);
    call.on('error', forget);
    call.on('cancelled', forget);
  };
  const servers: Server[] = [];
  const { socketPath, tcp } = options;
  if (socketPath !== undefined) {
    const server = serverFor(false);
    await listen(server, socketPath);
    servers.push(server);
  }
  let listener: TcpListener | undefined;
  if (tcp !== undefined) {
    const grpc = serverFor(tcp.tls !== undefined);
    servers.push(grpc);
    try {
      listener = await listenTcp(tcp, { grpc, metrics, log, limiter });
    } catch (thrown) {
      for (const server of servers) server.forceShutdown();
      throw thrown;
    }
  }

  const expire = (): void => {
    const nowMs = Date.now();
    const { message } = gatewayError('GATEWAY_CERTIFICATE_EXPIRED');
    for (const [stream, notAfterMs] of streams) if (nowMs >= notAfterMs) stream.breakOff(message, status.UNAUTHENTICATED);
  };
  const save = (): void =>
    void positions.save().catch((thrown: unknown) => log.debug({ cause: messageOf(thrown) }, 'positions not written'));
  const { ticks, figures } = options;
  const timers = [
    setInterval(expire, expiryMs),
    setInterval(save, saveMs),
    ...(ticks ? [startTicks({ bus, log, figures: (partition) => figures?.(partition, metrics), signal: stopping.signal })] : []),
  ];
  return {
    metrics,
    tcpAddress: listener?.address,
    requestKeyframes(reason) {
      for (const stream of streams.keys()) stream.requestKeyframe(reason);
    },
    async close(graceMs = 5_000) {
      const deadline = new Deadline(graceMs);
      for (const timer of timers) clearInterval(timer);
      listener?.close();
      const ended = Promise.all(servers.map((server) => new Promise<void>((resolve) => server.tryShutdown(() => resolve()))));
      const patience = new AbortController();
      await Promise.race([ended, sleep(deadline.share(streamShare), patience.signal)]);
      const reason = 'the gateway closes';
      stopping.abort(new Error(reason));
      for (const stream of [...streams.keys()]) stream.breakOff(reason, status.UNAVAILABLE);
      for (const server of servers) server.forceShutdown();
      // grpc-js waits for ever for a session that was destroyed and has not said so yet.
      await Promise.race([ended, sleep(Math.min(maxEndMs, deadline.share(streamShare)), patience.signal)]);
      // Brokers that are away are waited for; positions that are not written cost repeats.
      const saved = positions.saveLast().catch(() => undefined);
      await Promise.race([saved, sleep(Math.max(minSaveMs, deadline.leftMs), patience.signal)]);
      patience.abort();
    },
  };
}

async function listen(server: Server, socketPath: string): Promise<void> {
  // Only the holder of the data folder's lock comes here: a socket file is left over from a process that is gone.
  await unlink(socketPath).catch(() => undefined);
  // For its owner alone from the moment it is there. Files and folders that others make meanwhile stay usable to them.
  const umask = process.umask(0o077);
  try {
    await new Promise<void>((resolve, reject) => {
      server.bindAsync(`unix:${socketPath}`, ServerCredentials.createInsecure(), (thrown) => {
        if (thrown === null) resolve();
        else reject(gatewayError('GATEWAY_LISTEN', { address: socketPath, cause: messageOf(thrown) }, thrown));
      });
    });
  } finally {
    process.umask(umask);
  }
  await chmod(socketPath, 0o600);
}
