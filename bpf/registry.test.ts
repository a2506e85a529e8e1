import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { metrics, probes as probeNumbers } from '../schema/record.gen.ts';
import type { Probe } from './probe.ts';
import { probes } from './registry.ts';

const here = fileURLToPath(new URL('.', import.meta.url));

/** Numbers that belong to no probe's folder. */
const testProbes = ['BURST'];
/** Counters that every probe keeps (bpf/include/emit.h). */
const sharedMetrics = ['SUPPRESSED', 'RING_FULL', 'EMITTED'];
/** Folders that are no probe: headers, what probes share, and programs that user space runs. */
const otherFolders = ['base', 'include', 'netns'];

function filesOf(probe: Probe): string[] {
  return readdirSync(`${here}${probe.name}`);
}

test('every folder of bpf/ is in the registry, and the other way round', () => {
  const folders = readdirSync(here, { withFileTypes: true }).filter((entry) => entry.isDirectory() && !otherFolders.includes(entry.name));
  expect(probes.map(({ name }) => name).sort()).toEqual(folders.map(({ name }) => name).sort());
});

test('every number of enum probe is one probe, and the other way round', () => {
  const declared = Object.entries(probeNumbers).filter(([name]) => !testProbes.includes(name));
  expect(probes.map(({ name, number }) => [name.toUpperCase(), number])).toEqual(declared);
  // Each is a bit of 64 in the namespace filter (bpf/include/maps.h).
  for (const { number } of probes) expect(number).toBeLessThan(64);
});

test('every counter of counter.h is described by one probe, or shared by all', () => {
  const described = probes.flatMap((probe) =>
    probe.metrics.flatMap((metric) => (metric.kind === 'histogram' ? [metric.number, metric.sum] : [metric.number])),
  );
  const shared = sharedMetrics.map((name) => metrics[name as keyof typeof metrics]);
  expect([...described, ...shared].sort((a, b) => a - b)).toEqual(Object.values(metrics).sort((a, b) => a - b));
  for (const metric of probes.flatMap((probe) => probe.metrics))
    expect(metric.name).toMatch(metric.kind === 'histogram' ? /^jitterscope_[a-z0-9_]+_seconds$/ : /^jitterscope_[a-z0-9_]+_total$/);
});

test.each(probes)('$name: source, README, tests and fixtures are there', (probe) => {
  const files = filesOf(probe);
  expect(files).toEqual(
    expect.arrayContaining([
      `${probe.name}.bpf.c`,
      'README.md',
      'event.ts',
      'probe.test.ts',
      'probe.ts',
      `${probe.name}.kernel.test.ts`,
      'fixtures',
    ]),
  );
  expect(probe.object).toBe(`${probe.name}.bpf.o`);
  expect(readdirSync(`${here}${probe.name}/fixtures`).filter((file) => file.endsWith('.bin')).length).toBeGreaterThan(0);
});

test.each(probes)('$name: its events are those of its records, and a summary can say what it saw', (probe) => {
  expect([probe.event.type, probe.event.probe]).toEqual([probe.name, probe.number]);
  expect([...probe.event.variants.keys()]).toEqual([...probe.variants.keys()]);
  expect(probe.metrics.map(({ seen }) => seen ?? '')).not.toEqual(probe.metrics.map(() => ''));
  for (const field of probe.fields) expect([...probe.variants.keys()]).toEqual(expect.arrayContaining([...field.variants]));
});

test.each(probes)('$name: every program it may choose is in its C source, and its README speaks of every field and blind spot', (probe) => {
  const source = ['include', probe.name]
    .flatMap((folder) => readdirSync(`${here}${folder}`).map((file) => `${here}${folder}/${file}`))
    .filter((file) => /\.[ch]$/.test(file) && existsSync(file))
    .map((file) => readFileSync(file, 'utf8'))
    .join('\n');
  const kernels = [undefined, 1, 2, 3].flatMap((args) => [true, false].map((loaded) => ({ args, loaded })));
  for (const { args, loaded } of kernels) {
    const facts = { tracepointArgs: () => args, hasMember: () => true, loads: () => loaded, hookSystemCalls: true };
    const { programs, attach, iterators, whenNotAttached } = probe.select(facts);
    for (const program of programs) expect(source).toMatch(new RegExp(`\\(?\\b${program}[,(]`));
    expect(programs).toEqual(expect.arrayContaining([...attach, ...iterators, ...whenNotAttached.keys()]));
  }
  const readme = readFileSync(`${here}${probe.name}/README.md`, 'utf8');
  for (const { name, meaning } of probe.fields) expect(readme).toContain(`| ${name} | ${meaning}`);
  for (const blindSpot of probe.blindSpots) expect(readme).toContain(blindSpot);
  for (const metric of probe.metrics) expect(readme).toContain(metric.name);
  for (const { name, meaning } of probe.thresholds ?? []) expect(readme).toContain(`| ${name} | ${meaning}`);
});
