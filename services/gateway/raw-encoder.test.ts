import fc from 'fast-check';
import { expect, test } from 'vitest';
import { millisOf } from '../../core/time.ts';
import { RawMessage } from '../../proto/bus.ts';
import { encodeReplayed, encodeStreamMessage, encodeTick } from './raw-encoder.ts';

const bytes = fc.uint8Array({ maxLength: 300 });
const session = fc.uint8Array({ minLength: 16, maxLength: 16 });
const hex = (value: Uint8Array | null | undefined): string => Buffer.from(value ?? []).toString('hex');

/** When it was appended, in ms; must be now. */
function appendedNow(raw: InstanceType<typeof RawMessage>, beforeMs: number): void {
  const at = millisOf({ seconds: raw.appended?.seconds ?? 0, nanos: raw.appended?.nanos ?? 0 });
  expect(at).toBeGreaterThanOrEqual(beforeMs);
  expect(at).toBeLessThanOrEqual(Date.now());
}

test('a message of a stream decodes to what went in', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 80 }), session, bytes, (node, id, message) => {
      const beforeMs = Date.now();
      const raw = RawMessage.decode(Buffer.concat(encodeStreamMessage(node, id, message)));
      expect([raw.node, hex(raw.session), hex(raw.message), raw.tick ?? null, raw.replay ?? null]).toEqual([
        node,
        hex(id),
        hex(message),
        null,
        null,
      ]);
      appendedNow(raw, beforeMs);
    }),
  );
});

test.each([0, 1, 127, 128, 2 ** 32, Number.MAX_SAFE_INTEGER])('tick %d decodes to its number', (number) => {
  const beforeMs = Date.now();
  const raw = RawMessage.decode(encodeTick(number));
  expect([raw.tick?.number, raw.node, hex(raw.message)]).toEqual([number, '', '']);
  appendedNow(raw, beforeMs);
});

test('a tick carries what is known of the pipeline', () => {
  const figures = {
    queues: [{ queue: 'raw', depthBytes: 5, capacityBytes: 2 ** 40 }],
    lostEvents: [{ name: 'files', total: 7 }],
    stateLost: true,
  };
  const { tick } = RawMessage.decode(encodeTick(3, figures));
  expect(tick).toMatchObject({ number: 3, pipeline: figures });
});

test('a replayed message is the captured one byte for byte, with the position behind it', () => {
  fc.assert(
    fc.property(session, bytes, fc.maxSafeNat(), session, (id, message, seq, replaySession) => {
      const captured = Buffer.concat(encodeStreamMessage('node1', id, message));
      const again = Buffer.concat(encodeReplayed(captured, replaySession, seq));
      expect(again.subarray(0, captured.length).equals(captured)).toBe(true);
      const { replay, ...rest } = RawMessage.decode(again);
      expect(rest).toEqual({ ...RawMessage.decode(captured) });
      expect([hex(replay?.session), replay?.seq]).toEqual([hex(replaySession), seq]);
      // A capture of a replay: the newer position counts.
      const twice = RawMessage.decode(Buffer.concat(encodeReplayed(again, id, 7)));
      expect([hex(twice.replay?.session), twice.replay?.seq]).toEqual([hex(id), 7]);
    }),
  );
});
