import { execFileSync } from 'node:child_process';
import { accessSync, constants, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { pauseImage } from './container-images.ts';

const disabled = [
  ...['btrfs', 'devmapper', 'zfs', 'aufs'].map((name) => `io.containerd.snapshotter.v1.${name}`),
  'io.containerd.internal.v1.opt',
  'io.containerd.internal.v1.tracing',
  'io.containerd.tracing.processor.v1.otlp',
  // Of 2.x; it would listen in a fixed place.
  'io.containerd.nri.v1.nri',
];

/** Writes containerd's and CNI's configuration into a folder. `addresses`: how many the Pods have to share. */
export function writeContainerdConfig(folder: string, addresses: number): void {
  const cni = join(folder, 'cni');
  mkdirSync(cni);
  const range = { subnet: '10.244.1.0/24', rangeStart: '10.244.1.2', rangeEnd: `10.244.1.${1 + addresses}` };
  const ipam = { type: 'host-local', dataDir: join(folder, 'cni-ipam'), ranges: [[range]], routes: [{ dst: '0.0.0.0/0' }] };
  const bridge = { type: 'bridge', bridge: 'cni0', isGateway: true, ipMasq: false, hairpinMode: true, ipam };
  writeFileSync(join(cni, '10-lab.conflist'), JSON.stringify({ cniVersion: '0.4.0', name: 'lab', plugins: [bridge] }));
  writeFileSync(join(folder, 'config.toml'), configToml(folder, cni));
}

/** Each line here that looks superfluous was found to be needed where tests run: without systemd, without CAP_SYS_RESOURCE. */
function configToml(folder: string, cni: string): string {
  const cri = 'plugins."io.containerd.grpc.v1.cri"';
  return `version = 2
root = "${folder}/root"
state = "${folder}/state"
disabled_plugins = ${JSON.stringify(disabled)}
[grpc]
  address = "${folder}/containerd.sock"
[${cri}]
  sandbox_image = "${pauseImage}"
  disable_apparmor = true
  restrict_oom_score_adj = ${!mayLowerOomScore()}
  disable_tcp_service = true
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  netns_mounts_under_state_dir = true
  [${cri}.containerd]
    snapshotter = "${snapshotter(folder)}"
    default_runtime_name = "runc"
    [${cri}.containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [${cri}.containerd.runtimes.runc.options]
        SystemdCgroup = false
        BinaryName = "${commandPath('runc')}"
  [${cri}.cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "${cni}"
    max_conf_num = 1
`;
}

/** An overlay cannot lie upon an overlay: where tests run in a container themselves, files are copied. */
function snapshotter(folder: string): string {
  const type = execFileSync('stat', ['-f', '-c', '%T', folder], { encoding: 'utf8' }).trim();
  return type === 'overlayfs' ? 'native' : 'overlayfs';
}

/** Bit 24 of the effective capabilities: CAP_SYS_RESOURCE (capability.h). */
function mayLowerOomScore(): boolean {
  const held = /^CapEff:\s*(\w+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0';
  return ((BigInt(`0x${held}`) >> 24n) & 1n) === 1n;
}

/** Where a command of the system is; throws when it is not installed. */
export function commandPath(name: string): string {
  for (const folder of [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin']) {
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not in this one.
    }
  }
  throw new Error(`${name} is not installed`);
}
