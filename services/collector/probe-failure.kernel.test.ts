import { readdirSync } from 'node:fs';
import { afterEach, beforeEach, expect, vi } from 'vitest';
import { selectBase } from '../../bpf/base/select.ts';
import type { Probe } from '../../bpf/probe.ts';
import { probes } from '../../bpf/registry.ts';
import { defaultSettings } from '../../bpf/settings.ts';
import { createLog } from '../../core/log.ts';
import type { Native } from '../../native/addon.ts';
import { loadNative } from '../../native/index.ts';
import { kernelTest, kernelTestsRun } from '../../test/lab/kernel-tier.ts';
import { withRejectedProgram } from '../../test/lab/rejected-program.ts';
import { forcedFailureVariable } from './forced-failure.ts';
import type { ProbeStatus } from './hosted-probe.ts';
import { LiveSymbols } from './live-symbols.ts';
import { ProbeHost } from './probe-host.ts';
import { kernelFacts } from './probe-object.ts';

let host: ProbeHost | undefined;
let names: ReturnType<LiveSymbols['namesFor']>;

beforeEach(() => {
  names ??= new LiveSymbols().namesFor(loadNative());
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await close();
});

async function close(): Promise<void> {
  await host?.stop();
  host?.close();
  host = undefined;
}

/** A host with these probes running, as far as they do. */
function start(wanted: readonly Probe[], native = loadNative()): ProbeHost {
  host = new ProbeHost(native, { drainMs: 5, chunkBytes: 65_536, maxChunks: 4, names }, createLog('silent'));
  host.open(() => undefined);
  for (const probe of wanted) host.start(probe, defaultSettings);
  return host;
}

/** The addon, with an object in which the verifier rejects one program. */
function rejecting(owner: string, program: string): Native {
  const native = loadNative();
  return Object.create(native, {
    openObject: {
      value: (name: string, bytes: Uint8Array) => native.openObject(name, name === owner ? withRejectedProgram(bytes, program) : bytes),
    },
  }) as Native;
}

/** Every program that this kernel is given, with its probe. */
function programs(): { probe: Probe; program: string }[] {
  if (!kernelTestsRun()) return [];
  const facts = kernelFacts(loadNative());
  return probes.flatMap((probe) => probe.select(facts).programs.map((program) => ({ probe, program })));
}

/** What the failure of one program makes of its probe, and of no other. */
function expectMissing(status: readonly ProbeStatus[], probe: Probe, program: string, reason: RegExp): void {
  const { programs: all, sees, degraded } = probe.select(kernelFacts(loadNative()));
  const found = status.find(({ name }) => name === probe.name);
  const others = all.filter((one) => one !== program);
  expect(found?.attached).toEqual(others);
  expect(found?.state).toBe(others.length > 0 ? 'degraded' : 'failed');
  const more = found?.problems.filter(({ what }) => !degraded.some((known) => known.what === what));
  expect(more).toEqual([{ what: sees.get(program), reason: expect.stringMatching(reason), remedy: expect.stringMatching(/\w/) }]);
}

kernelTest('each program that cannot be attached is missing with its cause, and the probe is whole when it is enabled again', async () => {
  expect(programs().length).toBeGreaterThanOrEqual(probes.length);
  for (const { probe, program } of programs()) {
    const [other] = probes.filter((one) => one !== probe);
    vi.stubEnv(forcedFailureVariable, `attach:${program}`);
    const running = start([probe, other]);
    expectMissing(running.status(), probe, program, new RegExp(`Cannot attach ${program}`));
    expect(running.running().map((one) => one.probe)).toContain(other);
    vi.unstubAllEnvs();
    const { programs: all, degraded } = probe.select(kernelFacts(loadNative()));
    expect(running.enable(probe.name)).toMatchObject({ state: degraded.length > 0 ? 'degraded' : 'enabled', attached: all });
    await close();
  }
});

kernelTest('each program that cannot be loaded is missing with its cause', async () => {
  for (const { probe, program } of programs()) {
    vi.stubEnv(forcedFailureVariable, `load:${program}`);
    expectMissing(start([probe]).status(), probe, program, new RegExp(`Cannot load ${program}`));
    await close();
  }
});

kernelTest('each program that the verifier rejects is missing with what the verifier said', async () => {
  for (const { probe, program } of programs()) {
    expectMissing(start([probe], rejecting(probe.name, program)).status(), probe, program, new RegExp(`verifier rejects ${program}: \\w`));
    await close();
  }
});

kernelTest('what the verifier rejects of the base is missing in every probe, and they run all the same', async () => {
  const { programs: all, sees } = selectBase(loadNative());
  expect(all.length).toBeGreaterThan(0);
  for (const program of all) {
    const running = start(probes, rejecting('base', program));
    for (const { name, state, attached, problems } of running.status()) {
      expect([name, state]).toEqual([name, 'degraded']);
      expect(attached).not.toEqual([]);
      expect(problems).toContainEqual({
        what: sees.get(program),
        reason: expect.stringMatching(/verifier rejects/),
        remedy: expect.stringMatching(/\w/),
      });
    }
    await close();
  }
});

kernelTest('objects that fail as a whole leave nothing behind, and are tried again', async () => {
  const descriptors = readdirSync('/proc/self/fd').length;
  vi.stubEnv(forcedFailureVariable, 'load:base');
  for (const { state, problems } of start(probes).status()) {
    expect(state).toBe('failed');
    expect(problems).toMatchObject([
      { what: 'all probes', reason: expect.stringMatching(/Cannot load base/), remedy: expect.stringMatching(/\w/) },
    ]);
  }
  await close();
  expect(readdirSync('/proc/self/fd').length).toBe(descriptors);

  vi.stubEnv(forcedFailureVariable, probes.map(({ name }) => `load:${name}`).join());
  const running = start(probes);
  const withBase = readdirSync('/proc/self/fd').length;
  for (let round = 0; round < 5; round++)
    for (const { name } of probes)
      expect(running.enable(name)).toMatchObject({
        state: 'failed',
        attached: [],
        problems: [{ reason: expect.stringMatching(/Cannot load/) }],
      });
  expect(readdirSync('/proc/self/fd').length).toBe(withBase);
  expect(running.loaded()).toEqual([]);
  vi.unstubAllEnvs();
  for (const { name } of probes) expect(running.enable(name).attached).not.toEqual([]);
});
