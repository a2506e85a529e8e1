import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { describeMetric } from '../../../schema/metrics.ts';
import type { CgroupTarget } from '../identity/cri/container-cgroup.ts';
import { CgroupSource } from './cgroup.ts';
import { scanCgroups } from './cgroup-scan.ts';
import { LayoutNumbers } from './field-table.ts';
import { collected } from './test-readings.ts';

const folder = mkdtempSync(join(tmpdir(), 'jitterscope-cgroup-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const fixtures = (version: string): string => fileURLToPath(new URL(`fixtures/cgroup-${version}`, import.meta.url));
const none = { unified: undefined, cpu: undefined, cpuacct: undefined, memory: undefined };
const v1: CgroupTarget = { id: 1, ...none, cpu: fixtures('v1'), cpuacct: fixtures('v1'), memory: fixtures('v1') };
const v2: CgroupTarget = { id: 2, ...none, unified: fixtures('v2') };
const read = (target: CgroupTarget, source = new CgroupSource(new LayoutNumbers())) =>
  collected((take) => expect(source.read(target, take, false)).toBe(true))[''] ?? {};

test('v1 and v2 say the same by the same names, in the same unit', () => {
  const both = [read(v1), read(v2)];
  for (const field of [
    'cpu.usage_usec',
    'cpu.throttled_usec',
    'cpu.nr_periods',
    'memory.current',
    'memory.max',
    'memory.events.oom_kill',
    'memory.stat.pgfault',
  ])
    for (const values of both) expect(values).toHaveProperty([field]);
  expect(both[0]).toMatchObject({
    'cpu.nr_periods': 7,
    'cpu.nr_throttled': 7,
    'cpu.throttled_usec': 612_922.845,
    'cpu.usage_usec': 35_650.21,
  });
  expect(both[1]).toMatchObject({
    'cpu.nr_throttled': 12,
    'cpu.throttled_usec': 904_321,
    'memory.events.max': 7,
    'memory.stat.anon': 1_032_192,
  });
  expect(both.map((values) => values['memory.max'])).toEqual([2 ** 63, 2 ** 63]);
  expect(both.map((values) => values['memory.current'])).toEqual([258_048, 4_194_304]);
});

test('the catalogue knows every field that these kernels print', () => {
  for (const field of [...Object.keys(read(v1)), ...Object.keys(read(v2))]) expect(describeMetric('cgroup', field).known, field).toBe(true);
});

test('a limit is read as it is', () => {
  const limited = join(folder, 'limited');
  mkdirSync(limited);
  writeFileSync(join(limited, 'memory.max'), '67108864\n');
  writeFileSync(join(limited, 'cpu.stat'), 'usage_usec 5\n');
  expect(read({ id: 3, ...none, unified: limited })).toEqual({ 'memory.max': 67_108_864, 'cpu.usage_usec': 5 });
});

test('one reader reads cgroups of different controllers in turn', () => {
  const source = new CgroupSource(new LayoutNumbers());
  const truth = [read(v1), read(v2)];
  for (let i = 0; i < 3; i++) expect([read(v1, source), read(v2, source)]).toEqual(truth);
});

test('a cgroup that is gone is not read', () => {
  expect(new CgroupSource(new LayoutNumbers()).read({ id: 4, ...none, unified: join(folder, 'gone') }, () => undefined, false)).toBe(false);
});

test('containers are found below kubepods, made by either driver, and nothing else is', () => {
  const mount = join(folder, 'mount');
  const containers = [
    'kubepods/burstable/pod0b7f2c1e-0000-4000-8000-000000000001/c1',
    'kubepods/pod0b7f2c1e-0000-4000-8000-000000000002/c2',
    'node2/kubepods/besteffort/pod0b7f2c1e-0000-4000-8000-000000000003/c3',
    'kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0b7f2c1e_0000_4000_8000_000000000004.slice/cri-containerd-c4.scope',
    'kubepods.slice/kubepods-pod0b7f2c1e_0000_4000_8000_000000000005.slice/crio-c5.scope',
  ];
  for (const path of [...containers, 'system.slice/sshd.service', 'kubepods/burstable/other/c6', 'a/b/c/kubepods/podaa/c7'])
    mkdirSync(join(mount, path), { recursive: true });
  const found = scanCgroups({ unified: mount, cpu: undefined, cpuacct: undefined, memory: undefined });
  expect(found.map(({ unified }) => unified?.slice(mount.length + 1)).sort()).toEqual([...containers].sort());
  expect(new Set(found.map(({ id }) => id)).size).toBe(containers.length);
  expect(scanCgroups({ unified: undefined, cpu: mount, cpuacct: undefined, memory: join(folder, 'none') })[0]).toMatchObject({
    unified: undefined,
    memory: undefined,
  });
  expect(scanCgroups({ unified: undefined, cpu: undefined, cpuacct: undefined, memory: undefined })).toEqual([]);
});
