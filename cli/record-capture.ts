import type { CaptureWriter } from '../core/capture.ts';
import { RawMessage, topics } from '../proto/bus.ts';
import { CollectorMessage } from '../proto/collect.ts';
import type { Pipeline } from './pipeline.ts';

/** Copies the raw log into a capture: asks for keyframes and begins with the first one. Resolves when the signal aborts. */
export async function recordCapture(pipeline: Pipeline, capture: CaptureWriter, signal: AbortSignal): Promise<number> {
  const { bus, gateway, partition } = pipeline;
  const { next } = await bus.offsets(topics.raw, partition);
  // The stream may not be open yet: a new session begins with a keyframe by itself.
  gateway.requestKeyframes('a capture begins');
  let begun = false;
  for await (const fetch of bus.read(topics.raw, partition, next, { signal })) {
    for (const { value } of fetch.messages) {
      begun ||= isKeyframe(value);
      if (begun) await capture.write(value);
    }
  }
  await capture.close();
  return capture.messages;
}

/** What cannot be read is none: it may come from another version, or be damaged. */
function isKeyframe(value: Uint8Array): boolean {
  try {
    const raw = RawMessage.decode(value);
    return !raw.tick && CollectorMessage.decode(raw.message).body === 'keyframe';
  } catch {
    return false;
  }
}
