import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Server, ServerCredentials, type ServerDuplexStream } from '@grpc/grpc-js';
import { expect, onTestFinished, test } from 'vitest';
import { CaptureWriter } from '../../core/capture.ts';
import { type CollectorBody, CollectorMessage, type GatewayBody, GatewayMessage } from '../../proto/collect.ts';
import { socketTarget } from './gateway-target.ts';
import { replayCapture } from './replay.ts';

/** A gateway that remembers what each session sent and acks it; with `acks` it acks only so many of a stream, then fails, or `ends` it. */
async function gatewayOf(dir: string, acks = Infinity, ends = false) {
  const sessions = new Map<string, Buffer[]>();
  const server = new Server();
  server.addService(
    {
      stream: {
        path: '/jitterscope.collect.v1.Collect/Stream',
        requestStream: true,
        responseStream: true,
        requestSerialize: (bytes: Buffer) => bytes,
        requestDeserialize: (bytes: Buffer) => CollectorMessage.decode(bytes) as CollectorBody,
        responseSerialize: (body: GatewayBody) => Buffer.from(GatewayMessage.encode(body).finish()),
        responseDeserialize: (bytes: Buffer) => GatewayMessage.decode(bytes),
      },
    },
    {
      stream: (call: ServerDuplexStream<CollectorBody, GatewayBody>) => {
        let stored: Buffer[] = [];
        let left = acks;
        call.on('data', ({ hello, seq, replayed }: CollectorBody) => {
          if (hello) {
            const key = Buffer.from(hello.session ?? []).toString('hex');
            stored = sessions.get(key) ?? [];
            sessions.set(key, stored);
            expect(hello.replay).toBe(true);
            call.write({ welcome: { ackedSeq: stored.length } });
          } else if (left-- > 0) {
            expect(seq).toBe(stored.length + 1);
            stored.push(Buffer.from(replayed ?? []));
            call.write({ ack: { seq: seq ?? 0 } });
          } else if (ends) call.end();
          else call.emit('error', { code: 14, details: 'killed' });
        });
        call.on('error', () => undefined);
      },
    },
  );
  const gatewayAddress = `unix:${join(dir, 'collect.sock')}`;
  await new Promise<void>((resolve, reject) =>
    server.bindAsync(gatewayAddress, ServerCredentials.createInsecure(), (error) => (error ? reject(error) : resolve())),
  );
  onTestFinished(() => server.forceShutdown());
  return { sessions, gateway: socketTarget(gatewayAddress), server };
}

function folder(): string {
  const dir = mkdtempSync(join(tmpdir(), 'jitterscope-replay-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

async function captureOf(dir: string, name: string, count: number, text = 'message'): Promise<{ file: string; messages: Buffer[] }> {
  const file = join(dir, name);
  const messages = Array.from({ length: count }, (_, n) => Buffer.from(`${text} ${n}`));
  const capture = new CaptureWriter(file);
  for (const message of messages) await capture.write(message);
  await capture.close();
  return { file, messages };
}

const version = 't';

test('a capture arrives byte for byte, in order, and the same one again is known', async () => {
  const dir = folder();
  const { sessions, gateway } = await gatewayOf(dir);
  const { file, messages } = await captureOf(dir, 'a.jscap', 300);
  expect(await replayCapture({ file, gateway, version, batchBytes: undefined })).toEqual({ messages: 300, resumedAfter: 0 });
  expect(await replayCapture({ file, gateway, version, batchBytes: undefined })).toEqual({ messages: 300, resumedAfter: 300 });
  expect([...sessions.values()]).toEqual([messages]);
});

test('other contents, another batch size, are other replays; another name is not', async () => {
  const dir = folder();
  const { sessions, gateway } = await gatewayOf(dir);
  const one = await captureOf(dir, 'a.jscap', 3);
  const other = await captureOf(dir, 'b.jscap', 3, 'MESSAGE');
  const same = await captureOf(dir, 'c.jscap', 3);
  for (const { file } of [one, other, same]) await replayCapture({ file, gateway, version, batchBytes: undefined });
  await replayCapture({ file: one.file, gateway, version, batchBytes: 1000 });
  expect(sessions.size).toBe(3);
});

test.each([false, true])('cut off, it goes on where it was acked (the gateway ends the stream in good order: %s)', async (ends) => {
  const dir = folder();
  const { file, messages } = await captureOf(dir, 'a.jscap', 200);
  const { sessions, gateway } = await gatewayOf(dir, 70, ends);
  const run = () => replayCapture({ file, gateway, version, batchBytes: undefined });
  await expect(run()).rejects.toThrow();
  await expect(run()).rejects.toThrow();
  expect(await run()).toEqual({ messages: 200, resumedAfter: 140 });
  expect([...sessions.values()]).toEqual([messages]);
});

test('a damaged capture is sent up to its damage, and told', async () => {
  const dir = folder();
  const { sessions, gateway } = await gatewayOf(dir);
  const { file, messages } = await captureOf(dir, 'a.jscap', 5);
  const bytes = readFileSync(file);
  bytes[bytes.length - 1] ^= 1;
  writeFileSync(file, bytes);
  await expect(replayCapture({ file, gateway, version, batchBytes: undefined })).rejects.toMatchObject({ code: 'CAPTURE_DAMAGED' });
  expect([...sessions.values()][0].length).toBeLessThanOrEqual(4);
  expect(messages.slice(0, [...sessions.values()][0].length)).toEqual([...sessions.values()][0]);
});

test('what is no file is named before anything is sent', async () => {
  const dir = folder();
  const { sessions, gateway } = await gatewayOf(dir);
  for (const file of [dir, join(dir, 'missing')]) {
    await expect(replayCapture({ file, gateway, version, batchBytes: undefined })).rejects.toMatchObject({
      code: 'CAPTURE_UNREADABLE',
    });
  }
  expect(sessions.size).toBe(0);
});
