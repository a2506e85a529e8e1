import { createHash } from 'node:crypto';
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { messageOf } from '../../core/app-error.ts';
import { captureError, readCapture } from '../../core/capture.ts';
import { CollectorMessage, type GatewayBody } from '../../proto/collect.ts';
import { recordSchema } from '../../schema/record.gen.ts';
import { openGatewayCall } from './gateway-call.ts';
import type { GatewayTarget } from './gateway-target.ts';
import { rebatched } from './rebatch.ts';

export interface ReplayOptions {
  readonly file: string;
  /** A gateway that writes no ticks of its own. */
  readonly gateway: GatewayTarget;
  readonly version: string;
  /** Cut and join record batches to about this size; undefined: as captured. What comes out is the same. */
  readonly batchBytes: number | undefined;
}

/** What a replay did. */
export interface ReplayResult {
  /** Messages of the capture. */
  readonly messages: number;
  /** Of those, already durable from an earlier replay of the same capture into the same data folder. */
  readonly resumedAfter: number;
}

const maxInFlight = 64;

/**
 * Sends a capture to a gateway, byte for byte, and resolves when all of it is durable. Goes on where an earlier replay
 * of the same capture was cut off.
 */
export async function replayCapture(options: ReplayOptions): Promise<ReplayResult> {
  const { file, gateway, version, batchBytes } = options;
  const { stream: call, broken, close } = openGatewayCall(gateway);
  let acked = -1;
  let wake: () => void = () => undefined;
  call.on('data', (body: GatewayBody) => {
    const seq = body.welcome?.ackedSeq ?? body.ack?.seq;
    if (seq !== undefined && seq !== null) acked = Math.max(acked, seq);
    wake();
  });
  broken.addEventListener('abort', () => wake());
  const until = async (ready: () => boolean): Promise<void> => {
    while (!ready() && !broken.aborted) await new Promise<void>((resolve) => (wake = resolve));
    if (broken.aborted) throw gateway.explain(broken.reason);
  };

  try {
    const hello = { node: 'replay', session: identityOf(file, batchBytes), version, replay: true, schema: recordSchema };
    call.write(Buffer.from(CollectorMessage.encode({ hello }).finish()));
    await until(() => acked >= 0);
    const resumedAfter = acked;
    let seq = 0;
    for await (const message of batchBytes === undefined ? readCapture(file) : rebatched(readCapture(file), batchBytes)) {
      seq++;
      if (seq <= resumedAfter) continue;
      await until(() => seq - acked <= maxInFlight);
      call.write(Buffer.from(CollectorMessage.encode({ seq, replayed: message }).finish()));
    }
    await until(() => acked >= seq);
    return { messages: seq, resumedAfter: Math.min(seq, resumedAfter) };
  } finally {
    close();
  }
}

/** The same file with the same batch size is the same replay: 16 bytes of a hash of its size, beginning and end. */
function identityOf(file: string, batchBytes: number | undefined): Buffer {
  const { fd, size } = opened(file);
  try {
    const sample = Buffer.alloc(Math.min(size, 1024 * 1024));
    const hash = createHash('sha256').update(`${size}\0${batchBytes ?? ''}\0`);
    readSync(fd, sample, 0, sample.length, 0);
    hash.update(sample);
    readSync(fd, sample, 0, sample.length, size - sample.length);
    return hash.update(sample).digest().subarray(0, 16);
  } finally {
    closeSync(fd);
  }
}

function opened(file: string): { fd: number; size: number } {
  let fd: number;
  try {
    fd = openSync(file, 'r');
  } catch (thrown) {
    throw captureError('CAPTURE_UNREADABLE', { file, cause: messageOf(thrown) }, thrown);
  }
  const stat = fstatSync(fd);
  if (stat.isFile()) return { fd, size: stat.size };
  closeSync(fd);
  throw captureError('CAPTURE_UNREADABLE', { file, cause: 'it is not a file' });
}
