import { accessSync, constants, statSync } from 'node:fs';
import type { NativeFailure } from '../../../../native/addon.ts';

/** Where container runtimes listen: containerd, k3s, CRI-O, cri-dockerd. */
export const runtimeSockets = [
  '/run/containerd/containerd.sock',
  '/run/k3s/containerd/containerd.sock',
  '/var/run/crio/crio.sock',
  '/run/cri-dockerd.sock',
] as const;

/** What was found of a runtime's socket. */
export interface Endpoint {
  /** Undefined: there is none. */
  readonly socket: string | undefined;
  /** Why it cannot be used; undefined when it can, as far as the file tells. */
  readonly problem: string | undefined;
  readonly remedy: string;
}

/** @param configured `auto`, `off`, or a path */
export function findEndpoint(configured: string, sockets: readonly string[] = runtimeSockets): Endpoint {
  if (configured === 'off') return { socket: undefined, problem: undefined, remedy: '' };
  const looked = (configured === 'auto' ? sockets : [configured]).map(lookAt);
  const there = looked.find(({ problem }) => problem === undefined) ?? looked.find(({ socket }) => socket !== undefined);
  if (there !== undefined) return there;
  if (configured !== 'auto') return looked[0];
  return {
    socket: undefined,
    problem: `no container runtime: none of ${sockets.join(', ')} is there`,
    remedy: 'Without Kubernetes nothing is to be done. Else set collector.cri.socket to the runtime’s socket (in a container: mount it).',
  };
}

function lookAt(path: string): Endpoint {
  try {
    if (!statSync(path).isSocket()) {
      return { socket: undefined, problem: `${path} is no socket`, remedy: 'Set collector.cri.socket to the runtime’s Unix socket.' };
    }
    accessSync(path, constants.R_OK | constants.W_OK);
    return { socket: path, problem: undefined, remedy: '' };
  } catch (thrown) {
    const { code } = thrown as Partial<NativeFailure>;
    if (code === 'EACCES' || code === 'EPERM') {
      return {
        socket: path,
        problem: `${path} may not be opened by user ${process.getuid?.() ?? '?'} (${code})`,
        remedy: 'Run as root, or in the group that owns the socket.',
      };
    }
    return {
      socket: undefined,
      problem: `${path} is not there (${code ?? 'unknown error'})`,
      remedy: 'Start the container runtime, or correct collector.cri.socket.',
    };
  }
}
