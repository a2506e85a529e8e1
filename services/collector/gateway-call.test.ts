import { EventEmitter } from 'node:events';
import { expect, test } from 'vitest';
import { drained } from './gateway-call.ts';

test('waiting for a stream that drains ends with the stream, with the signal, and at once when that has aborted before', async () => {
  const stream = new EventEmitter();
  const drain = drained(stream, new AbortController().signal);
  stream.emit('drain');
  await drain;
  const stop = new AbortController();
  const stopped = drained(stream, stop.signal);
  stop.abort();
  await stopped;
  await drained(stream, stop.signal);
  expect(stream.listenerCount('drain')).toBe(0);
});
