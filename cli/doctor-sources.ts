import { readFileSync } from 'node:fs';
import { messageOf } from '../core/app-error.ts';
import type { Native } from '../native/addon.ts';
import { findHierarchies } from '../services/collector/identity/cri/cgroup-hierarchies.ts';
import { LayoutNumbers } from '../services/collector/sources/field-table.ts';
import { openNetnsFileSources } from '../services/collector/sources/registry.ts';
import { SockdiagSource } from '../services/collector/sources/sockdiag.ts';
import { cpuList, SoftnetSource } from '../services/collector/sources/softnet.ts';
import type { TakeReading } from '../services/collector/sources/source.ts';
import { heldCapabilities } from './capabilities.ts';
import { enteringRemedy, type Finding, hintOf } from './finding.ts';

/** Reads each source of counters once, in the namespace of this process; others need a privilege more. */
export function* sourceFindings(native: Native): Generator<Finding> {
  const numbers = new LayoutNumbers();
  const enters = heldCapabilities().has('CAP_SYS_ADMIN');
  yield {
    area: 'source',
    what: 'counters of other namespaces',
    state: enters ? 'ok' : 'failed',
    found: enters ? 'may be read' : 'only those of the namespace that jitterscope runs in are read',
    ...(enters ? {} : { remedy: enteringRemedy }),
  };
  try {
    const handle = native.openNetns('/proc/self/ns/net');
    try {
      for (const source of openNetnsFileSources(numbers, 64))
        yield finding(source.name, `/proc/net/${source.file}`, (take) => {
          const [bytes] = handle.readProcNet([source.file]);
          if (bytes === undefined) throw new Error('this kernel has no such file');
          return source.read(bytes, take, true);
        });
      yield finding('sockdiag', 'listening sockets', (take) => {
        new SockdiagSource(numbers).read(handle, take);
        return true;
      });
    } finally {
      handle.close();
    }
  } catch (thrown) {
    yield { area: 'source', what: 'counters of this namespace', state: 'failed', found: messageOf(thrown), remedy: hintOf(thrown) };
  }
  yield finding('softnet', '/proc/net/softnet_stat', (take) =>
    new SoftnetSource(numbers).read(
      readFileSync('/proc/net/softnet_stat', 'latin1'),
      cpuList(readFileSync('/sys/devices/system/cpu/online', 'latin1')),
      take,
    ),
  );
  yield cgroupFinding();
}

function finding(what: string, origin: string, read: (take: TakeReading) => boolean): Finding {
  let targets = 0;
  let fields = 0;
  try {
    const understood = read((_, { values }) => {
      targets++;
      fields = Math.max(fields, values.length);
    });
    if (!understood) throw new Error('it is not what was expected');
    const found = targets === 0 ? 'none here' : `${fields} fields${targets > 1 ? ` of ${targets} targets` : ''}`;
    return { area: 'source', what, state: 'ok', found: `${origin}: ${found}` };
  } catch (thrown) {
    return { area: 'source', what, state: 'degraded', found: `${origin}: ${messageOf(thrown)}`, remedy: hintOf(thrown) };
  }
}

function cgroupFinding(): Finding {
  const { unified, cpu, memory } = findHierarchies();
  const legacy = cpu !== undefined || memory !== undefined;
  if (unified === undefined && !legacy)
    return {
      area: 'source',
      what: 'cgroup',
      state: 'degraded',
      found: 'no cgroup hierarchy is mounted',
      remedy: 'Mount /sys/fs/cgroup of the node into the container: CPU throttling and memory of containers are not read without it.',
    };
  const found = legacy ? `v1: ${[cpu, memory].filter((path) => path !== undefined).join(', ')}` : `v2: ${unified}`;
  return { area: 'source', what: 'cgroup', state: 'ok', found };
}
