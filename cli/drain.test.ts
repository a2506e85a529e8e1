import { expect, test } from 'vitest';
import { Deadline } from '../core/deadline.ts';
import { drain } from './drain.ts';
import { closeHops } from './pipeline.ts';

/** Steps that each use up all the time they are given, and note what was left before. */
function hangingSteps(deadline: Deadline) {
  const steps: { readonly name: string; readonly leftMs: number }[] = [];
  const hang = (name: string) => async (graceMs?: number) => {
    steps.push({ name, leftMs: deadline.leftMs });
    expect(graceMs, `${name} stays within what is left`).toBeLessThanOrEqual(deadline.leftMs + 1);
    await new Promise((resolve) => setTimeout(resolve, graceMs));
    return 0;
  };
  const hangUntil = (name: string) => async (signal: AbortSignal) => {
    steps.push({ name, leftMs: deadline.leftMs });
    // The signal's own timer keeps no process alive.
    const keepAlive = setInterval(() => undefined, 1_000);
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    clearInterval(keepAlive);
    return false;
  };
  return { steps, hang, hangUntil };
}

test('all that hangs ends within one deadline, in the direction of the data, and each step has some of it', async () => {
  const deadline = new Deadline(3_000);
  const { steps, hang, hangUntil } = hangingSteps(deadline);
  const settled = hangUntil('settled');
  const hops = {
    settled,
    gateway: { close: async (graceMs?: number) => void (await hang('gateway')(graceMs)) },
    aggregator: { close: async (graceMs?: number) => void (await hang('aggregator')(graceMs)) },
    sinks: { close: async (graceMs: number) => void (await hang('sinks')(graceMs)) },
  };
  await drain(
    {
      collector: { close: hang('collector') },
      view: { finish: async (signal) => void (await hangUntil('view')(signal)) },
      pipeline: { settled, close: (given) => closeHops(hops, given).then(() => undefined) },
    },
    deadline,
  );
  expect(steps.map(({ name }) => name)).toEqual(['collector', 'settled', 'view', 'gateway', 'settled', 'aggregator', 'sinks']);
  for (const { name, leftMs } of steps) expect(leftMs, name).toBeGreaterThan(0);
});

test('steps that end at once leave their time to the others, and what stays in the spool and on the bus is told', async () => {
  const shares: number[] = [];
  const waiting = [{ name: 'loki', messages: 2, events: 500 }];
  const left = await drain({
    collector: { close: async () => 3 },
    pipeline: {
      settled: async () => true,
      close: async (deadline) => {
        shares.push(deadline.leftMs);
        return waiting;
      },
    },
  });
  expect(left).toEqual({ spooledMessages: 3, waiting });
  expect(shares[0]).toBeGreaterThan(5_000);
});
