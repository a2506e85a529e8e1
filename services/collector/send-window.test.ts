import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { emptyCollectorMetrics } from './metrics.ts';
import { SendWindow } from './send-window.ts';
import { Spool } from './spool.ts';

const session = { node: 'n', session: '01'.repeat(16), startedMs: 1 };

async function spoolOf(): Promise<Spool> {
  const dir = mkdtempSync(join(tmpdir(), 'jitterscope-window-'));
  const spool = await Spool.open(dir, session, 2 ** 20, {});
  onTestFinished(async () => {
    await spool.close();
    rmSync(dir, { recursive: true, force: true });
  });
  return spool;
}

/** Whether a promise is settled after all that can run has run. */
async function isDone(promise: Promise<unknown>): Promise<boolean> {
  let done = false;
  void promise.then(() => (done = true));
  await new Promise((resolve) => setImmediate(resolve));
  return done;
}

const forever = new AbortController().signal;

test('it bounds the bytes in flight, and one message always may go', async () => {
  const metrics = emptyCollectorMetrics();
  const window = new SendWindow(100, metrics);
  await window.room(5000, forever);
  window.sent(1, 5000);
  expect(metrics.inFlightBytes).toBe(5000);
  const room = window.room(1, forever);
  expect(await isDone(room)).toBe(false);
  window.acked(1);
  await room;
  expect(metrics.inFlightBytes).toBe(0);
  window.sent(2, 60);
  await window.room(40, forever);
  window.sent(3, 40);
  expect(await isDone(window.room(1, forever))).toBe(false);
});

test('an ack holds for all before it, and an older one changes nothing', async () => {
  const metrics = emptyCollectorMetrics();
  const window = new SendWindow(1000, metrics);
  for (let seq = 1; seq <= 5; seq++) window.sent(seq, 10);
  const reached = window.reached(4, forever);
  window.acked(3);
  expect(metrics.inFlightBytes).toBe(20);
  expect(await isDone(reached)).toBe(false);
  window.acked(2);
  expect([window.ackedSeq, metrics.inFlightBytes]).toEqual([3, 20]);
  window.acked(5);
  await reached;
  expect(metrics.inFlightBytes).toBe(0);
});

test('waiting ends with the signal', async () => {
  const window = new SendWindow(1, emptyCollectorMetrics());
  window.sent(1, 10);
  const stop = new AbortController();
  const waits = Promise.all([window.room(1, stop.signal), window.reached(9, stop.signal)]);
  expect(await isDone(waits)).toBe(false);
  stop.abort();
  await waits;
  await window.room(1, stop.signal);
});

test('a new stream begins behind the last ack, with the item that follows it, and nothing in flight', async () => {
  const metrics = emptyCollectorMetrics();
  const window = new SendWindow(1000, metrics);
  for (let seq = 1; seq <= 4; seq++) {
    window.nextItem = seq * 10;
    window.sent(seq, 5);
  }
  window.acked(2);
  window.restart();
  expect([window.sentSeq, window.nextItem, metrics.inFlightBytes]).toEqual([2, 20, 0]);
});

test('where it stands outlives the process, if it is saved', async () => {
  const spool = await spoolOf();
  for (let n = 0; n < 4; n++) await spool.append(Buffer.from('m'));
  const window = new SendWindow(1000, emptyCollectorMetrics());
  await window.restore(spool);
  expect([window.ackedSeq, window.sentSeq]).toEqual([0, 0]);
  window.nextItem = 77;
  window.sent(3, 1);
  window.acked(3);
  window.saveSoon(spool);
  await window.save(spool);
  const next = new SendWindow(1000, emptyCollectorMetrics());
  await next.restore(spool);
  next.restart();
  expect([next.ackedSeq, next.sentSeq, next.nextItem]).toEqual([3, 3, 77]);
});
