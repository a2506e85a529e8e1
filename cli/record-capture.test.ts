import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { CaptureWriter, readCapture } from '../core/capture.ts';
import { RawMessage } from '../proto/bus.ts';
import { CollectorMessage } from '../proto/collect.ts';
import type { Pipeline } from './pipeline.ts';
import { recordCapture } from './record-capture.ts';

test('a capture begins with the first keyframe, whatever cannot be read before it', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'jitterscope-record-'));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  const file = join(dir, 'a.jscap');
  const message = CollectorMessage.encode({ seq: 1, keyframe: {} }).finish();
  const keyframe = RawMessage.encode({ message }).finish();
  const undecodable = Buffer.from([0xff, 0xff]);
  const inMessage = RawMessage.encode({ message: undecodable }).finish();
  const values = [undecodable, inMessage, keyframe, undecodable];
  const requestKeyframes = vi.fn();
  const pipeline = {
    gateway: { requestKeyframes },
    bus: {
      offsets: () => Promise.resolve({ earliest: 0, next: 0 }),
      async *read() {
        yield { messages: values.map((value, offset) => ({ offset, value })) };
      },
    },
  } as unknown as Pipeline;
  expect(await recordCapture(pipeline, new CaptureWriter(file), new AbortController().signal)).toBe(2);
  const recorded: Buffer[] = [];
  for await (const value of readCapture(file)) recorded.push(Buffer.from(value));
  expect(recorded).toEqual([Buffer.from(keyframe), undecodable]);
  expect(requestKeyframes).toHaveBeenCalledOnce();
});
