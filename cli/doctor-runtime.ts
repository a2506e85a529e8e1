import { status } from '@grpc/grpc-js';
import { messageOf } from '../core/app-error.ts';
import type { Native } from '../native/addon.ts';
import type { CollectorConfig } from '../services/collector/config.ts';
import { netlinkNetfilter, parseEntries, statsRequest } from '../services/collector/conntrack/ctnetlink.ts';
import { kernelTracks } from '../services/collector/conntrack/tracked-netns.ts';
import { findHierarchies } from '../services/collector/identity/cri/cgroup-hierarchies.ts';
import { CriClient } from '../services/collector/identity/cri/client.ts';
import { findEndpoint } from '../services/collector/identity/cri/endpoint.ts';
import { hostNetnsPath } from '../services/collector/identity/netns-lister.ts';
import { heldCapabilities } from './capabilities.ts';
import { type Finding, hintOf } from './finding.ts';

const remedies: Readonly<Record<number, string>> = {
  [status.UNIMPLEMENTED]:
    'Enable the `cri` plugin of this containerd (disabled_plugins in its configuration) and restart it; for Docker alone: collector.cri.socket: off.',
  [status.UNAVAILABLE]: 'Check that the container runtime runs and answers there. A running collector tries again by itself.',
  [status.DEADLINE_EXCEEDED]: 'The container runtime is overloaded or hangs: see its log. A running collector tries again by itself.',
};

/** Whether Pods, their cgroups and translated addresses can be found out here. */
export async function runtimeFindings(
  native: Native,
  config: Pick<CollectorConfig, 'cri' | 'conntrack' | 'hostNetns'>,
): Promise<Finding[]> {
  return [hostNetnsFinding(config.hostNetns), await runtimeFinding(config.cri.socket), cgroupFinding(), conntrackFinding(native, config)];
}

function hostNetnsFinding(configured: string): Finding {
  const what = "the node's network namespace";
  try {
    return { area: 'identity', what, state: 'ok', found: hostNetnsPath(configured) };
  } catch (thrown) {
    return { area: 'identity', what, state: 'failed', found: messageOf(thrown), remedy: hintOf(thrown) };
  }
}

async function runtimeFinding(configured: string): Promise<Finding> {
  const what = 'Pods (container runtime)';
  if (configured === 'off') return { area: 'identity', what, state: 'ok', found: 'not asked for: collector.cri.socket is off' };
  const { socket, problem, remedy } = findEndpoint(configured);
  if (socket === undefined || problem !== undefined) {
    const expected = configured === 'auto' && socket === undefined;
    return { area: 'identity', what, state: expected ? 'ok' : 'failed', found: problem ?? '', remedy };
  }
  const client = new CriClient(socket);
  try {
    const { runtimeName, runtimeVersion } = await client.version();
    const pods = (await client.sandboxes()).length;
    return { area: 'identity', what, state: 'ok', found: `${runtimeName} ${runtimeVersion} at ${socket}: ${pods} running` };
  } catch (thrown) {
    const found = `${socket} does not answer: ${messageOf(thrown)}`;
    return { area: 'identity', what, state: 'failed', found, remedy: remedies[(thrown as { code?: number }).code ?? -1] ?? '' };
  } finally {
    client.close();
  }
}

function cgroupFinding(): Finding {
  const { unified } = findHierarchies();
  const what = 'hostNetwork Pods (cgroups)';
  if (unified !== undefined) return { area: 'identity', what, state: 'ok', found: `cgroup v2 at ${unified}` };
  return {
    area: 'identity',
    what,
    state: 'degraded',
    found: 'no cgroup v2 hierarchy is mounted: their events name the node',
    remedy:
      'Mount it (mount -t cgroup2 none /sys/fs/cgroup/unified) before containers start, or boot with systemd.unified_cgroup_hierarchy=1.',
  };
}

function conntrackFinding(native: Native, { conntrack, hostNetns }: Pick<CollectorConfig, 'conntrack' | 'hostNetns'>): Finding {
  const what = 'translated addresses (conntrack)';
  if (conntrack.lookups === 'off')
    return { area: 'identity', what, state: 'ok', found: 'not asked for: collector.conntrack.lookups is off' };
  if (!kernelTracks()) return { area: 'identity', what, state: 'ok', found: 'this kernel tracks no connections: nothing is translated' };
  try {
    const entries = parseEntries(native.netlinkDump(hostNetnsPath(hostNetns), netlinkNetfilter, statsRequest));
    return { area: 'identity', what, state: 'ok', found: `${entries} connections tracked in the node's namespace` };
  } catch (thrown) {
    const remedy = heldCapabilities().has('CAP_NET_ADMIN')
      ? hintOf(thrown)
      : 'Missing capability CAP_NET_ADMIN: connection tracking answers nobody else (and CAP_SYS_ADMIN, to enter other namespaces)';
    return { area: 'identity', what, state: 'degraded', found: messageOf(thrown), remedy };
  }
}
