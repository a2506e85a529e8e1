import { beforeAll, beforeEach, expect } from 'vitest';
import { metrics, recordFlags } from '../../schema/record.gen.ts';
import { dropCauses } from '../../test/lab/drop-causes.ts';
import { eventually } from '../../test/lab/eventually.ts';
import { kernelTest, kernelTestsRun } from '../../test/lab/kernel-tier.ts';
import { NetnsLab } from '../../test/lab/netns-lab.ts';
import { codeNames, ProbeRun, type SeenRecord, unlimited } from '../../test/lab/probe-run.ts';
import { endsOf } from '../../test/lab/record-text.ts';
import { meet } from '../../test/lab/traffic.ts';
import { packetloss } from './probe.ts';

let lab: NetnsLab;
let run: ProbeRun;
let reasons: ReadonlyMap<number, string>;

beforeAll(() => {
  if (kernelTestsRun()) reasons = codeNames(packetloss);
});

beforeEach(() => {
  lab = new NetnsLab('-causes');
  return () => lab.remove();
});

kernelTest.for(dropCauses)('$cause: $reason', async ({ cause, reason, site, netns, side, ends, socket, fixture, provoke }, { skip }) => {
  if (![...reasons.values()].includes(reason)) skip(`this kernel has no reason ${reason}`);
  await meet(lab);
  run = new ProbeRun(packetloss, { settings: unlimited });
  await provoke(lab);
  const isIt = ({ record }: SeenRecord) => reasons.get(record.code) === reason && record.side === side && endsOf(record) === ends;
  let found: SeenRecord[] = [];
  await eventually(`${cause}: ${reason} ${ends} is told`, async () => {
    found = (await run.records(lab[netns].cookie)).filter(isIt);
    return found.length > 0;
  }).catch(async (error: unknown) => {
    const told = [...(await run.records(lab.a.cookie)), ...(await run.records(lab.b.cookie))];
    throw new Error(
      told
        .map((one) => `${reasons.get(one.record.code)} ${one.record.side} ${run.placeOf(one.record.v1)} ${endsOf(one.record)}`)
        .join('\n'),
      { cause: error },
    );
  });
  const [first] = found as [SeenRecord];
  const { record } = first;
  expect(run.placeOf(record.v1)).toMatch(site);
  // A counter of this namespace, reason and place; the other namespace has none of either.
  const counted = run.count(metrics.PACKETLOSS_DROPS, lab[netns].cookie, { bucket: record.code, label: record.v1 });
  expect(counted).toBeGreaterThanOrEqual(found.length);
  const others = await run.records(lab[netns === 'a' ? 'b' : 'a'].cookie);
  expect(others.filter((other) => other.record.code === record.code && endsOf(other.record) === ends)).toEqual([]);
  expect([(record.flags & recordFlags.SOCK) !== 0, record.sock > 0]).toEqual([socket === true, socket === true]);
  expect(record.flags & recordFlags.STACK).not.toBe(0);
  if (fixture !== undefined) run.keepFixture(fixture, first);
});
