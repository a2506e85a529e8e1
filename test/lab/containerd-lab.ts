import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { loadNative } from '../../native/index.ts';
import { buildImages, busyboxImage } from './container-images.ts';
import { commandPath, writeContainerdConfig } from './containerd-config.ts';
import { CriRequests } from './cri-requests.ts';
import { eventually } from './eventually.ts';
import { labFile, ownPrefix } from './lab-owner.ts';
import { type LabProcess, labProcess } from './lab-process.ts';
import { removeLeftovers, untilAlone } from './leftovers.ts';
import { cgroupFolders, podsCgroup, quietly, removeNode } from './node-remains.ts';

/** What a Pod is made of. */
export interface PodSpec {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly hostNetwork?: boolean;
  /** Command of the container `main`; it sleeps by default. */
  readonly command?: readonly string[];
  /** CPUs that the container `main` may use; any number by default. */
  readonly cpuLimit?: number;
}

/** A Pod that runs. */
export interface LabPod {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly sandboxId: string;
  /** '' with hostNetwork. */
  readonly ip: string;
  /** First process of the sandbox. */
  readonly pid: number;
  /** Inode of its network namespace. */
  readonly netnsInode: number;
  /** Ids by name. */
  readonly containers: Map<string, string>;
}

interface Made extends LabPod {
  readonly config: Record<string, unknown>;
}

export interface LabOptions {
  /** Addresses that the Pods have to share: a small number makes the next Pod take over the address of the last. */
  readonly addresses?: number;
  /** Folder with another containerd than the installed one, its shim and ctr; that of JITTERSCOPE_CONTAINERD by default. */
  readonly programs?: string;
}

const forever = ['/bin/sleep', '100000'];

/**
 * A node with a real container runtime: containerd and runc in a network namespace of their own, Pods on a bridge in it
 * (10.244.1.0/24). Needs root. One at a time on a machine: shims and runc keep their state in fixed places. Everything
 * that was made is gone after `remove`, or when the process ends; what one that was killed left goes when the next one starts.
 */
export class ContainerdLab {
  readonly folder: string;
  readonly socket: string;
  /** Path of the node's network namespace. */
  readonly netns: string;
  readonly #netnsName: string;
  readonly #lock: { close(): void };
  readonly #programs: string | undefined;
  readonly #pods = new Set<Made>();
  readonly #children = new Set<ChildProcess>();
  #daemon: ChildProcess | undefined;
  #requests: CriRequests | undefined;
  readonly #onExit = () => this.#removeNow();

  private constructor(
    label: string,
    lock: { close(): void },
    { addresses = 200, programs = process.env.JITTERSCOPE_CONTAINERD }: LabOptions,
  ) {
    this.#lock = lock;
    this.#programs = programs;
    this.folder = mkdtempSync(join(tmpdir(), `${ownPrefix}-ctd-${label}-`));
    this.socket = join(this.folder, 'containerd.sock');
    this.#netnsName = `${ownPrefix}-${label}`;
    this.netns = `/run/netns/${this.#netnsName}`;
    process.once('exit', this.#onExit);
    execFileSync('ip', ['netns', 'add', this.#netnsName]);
    execFileSync('ip', ['-n', this.#netnsName, 'link', 'set', 'lo', 'up']);
    writeContainerdConfig(this.folder, addresses);
  }

  /** @param label names it among the labs of one process */
  static async start(label: string, options: LabOptions = {}): Promise<ContainerdLab> {
    const lock = await oneAtATime();
    try {
      removeLeftovers();
      await untilAlone();
    } catch (thrown) {
      lock.close();
      throw thrown;
    }
    const lab = new ContainerdLab(label, lock, options);
    try {
      await lab.#startDaemon();
      for (const archive of buildImages(join(lab.folder, 'images'))) {
        const args = ['-a', lab.socket, '-n', 'k8s.io', 'images', 'import', archive];
        execFileSync(lab.#command('ctr'), args, { stdio: ['ignore', 'ignore', 'pipe'] });
      }
      return lab;
    } catch (thrown) {
      await lab.remove();
      throw thrown;
    }
  }

  /** Runs a command in the node's namespace and returns its output. */
  run(command: string, ...args: string[]): string {
    return execFileSync('nsenter', [`--net=${this.netns}`, command, ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  }

  async addPod(spec: PodSpec): Promise<LabPod> {
    const {
      name,
      namespace = 'shop',
      uid = randomUUID(),
      labels = {},
      annotations = {},
      hostNetwork = false,
      command = forever,
      cpuLimit,
    } = spec;
    const logs = join(this.folder, 'logs', uid);
    mkdirSync(logs, { recursive: true });
    const kubelet = { 'io.kubernetes.pod.name': name, 'io.kubernetes.pod.namespace': namespace, 'io.kubernetes.pod.uid': uid };
    const config = {
      metadata: { name, uid, namespace },
      // runc refuses a host name without a UTS namespace.
      hostname: hostNetwork ? '' : name.slice(0, 63),
      logDirectory: logs,
      labels: { ...kubelet, ...labels },
      annotations: { 'kubernetes.io/config.source': 'api', ...annotations },
      linux: {
        cgroupParent: `${podsCgroup}/pod${uid}`,
        securityContext: { namespaceOptions: { network: hostNetwork ? 'NODE' : 'POD', pid: 'CONTAINER', ipc: 'POD' } },
      },
    };
    const { podSandboxId } = (await this.#ask('RunPodSandbox', { config })) as { podSandboxId: string };
    const { status, info } = (await this.#ask('PodSandboxStatus', { podSandboxId, verbose: true })) as {
      status: { network: { ip: string } | null };
      info: { info: string };
    };
    const { pid } = JSON.parse(info.info) as { pid: number };
    const netnsInode = statSync(`/proc/${pid}/ns/net`).ino;
    const ip = status.network?.ip ?? '';
    const pod = { name, namespace, uid, sandboxId: podSandboxId, ip, pid, netnsInode, containers: new Map<string, string>(), config };
    this.#pods.add(pod);
    await this.addContainer(pod, 'main', command, cpuLimit);
    return pod;
  }

  /** Starts another container in a Pod. */
  async addContainer(pod: LabPod, name: string, command: readonly string[] = forever, cpuLimit?: number): Promise<string> {
    const config = {
      metadata: { name },
      image: { image: busyboxImage },
      command,
      labels: { 'io.kubernetes.container.name': name },
      logPath: `${name}.log`,
      linux: { resources: { cpuShares: 128, memoryLimitInBytes: 64 * 2 ** 20, ...quotaOf(cpuLimit) } },
    };
    const request = { podSandboxId: pod.sandboxId, config, sandboxConfig: (pod as Made).config };
    const { containerId } = (await this.#ask('CreateContainer', request)) as { containerId: string };
    pod.containers.set(name, containerId);
    await this.#ask('StartContainer', { containerId });
    return containerId;
  }

  /** Runs a command in a container to its end; its exit code and output. */
  async exec(pod: LabPod, command: readonly string[], container = 'main'): Promise<{ exitCode: number; output: string }> {
    const request = { containerId: pod.containers.get(container), cmd: command, timeout: 30 };
    const { exitCode, stdout, stderr } = (await this.#ask('ExecSync', request)) as { exitCode: number; stdout: Buffer; stderr: Buffer };
    return { exitCode, output: `${stdout.toString()}${stderr.toString()}` };
  }

  /** Starts a script of test/lab in a Pod's network namespace, and in the cgroup of its container `main`. */
  startIn(pod: LabPod, script: string, ...args: string[]): LabProcess {
    const file = labFile(script);
    const groups = cgroupFolders(`${podsCgroup}/pod${pod.uid}/${pod.containers.get('main')}`);
    // The limit of memory is made for busybox.
    const enter = groups.filter((group) => !group.startsWith('/sys/fs/cgroup/memory/')).map((group) => `echo $$ > ${group}/cgroup.procs`);
    const command = [...enter, `exec nsenter --net=/proc/${pod.pid}/ns/net "$@"`].join('\n');
    const child = spawn('sh', ['-ec', command, 'sh', process.execPath, file, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#children.add(child);
    child.once('exit', () => this.#children.delete(child));
    return labProcess(child);
  }

  /** Runs a command of this machine in a Pod's network namespace and returns its output. */
  runIn(pod: LabPod, command: string, ...args: string[]): string {
    const inside = [`--net=/proc/${pod.pid}/ns/net`, command, ...args];
    return execFileSync('nsenter', inside, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  }

  /** Stops and removes a Pod. */
  async removePod(pod: LabPod): Promise<void> {
    await this.#ask('StopPodSandbox', { podSandboxId: pod.sandboxId });
    await this.#ask('RemovePodSandbox', { podSandboxId: pod.sandboxId });
    this.#pods.delete(pod as Made);
  }

  /** kill -9; the Pods live on. */
  async killDaemon(): Promise<void> {
    this.#requests?.close();
    const daemon = this.#daemon;
    if (daemon === undefined || daemon.exitCode !== null || daemon.signalCode !== null) return;
    daemon.kill('SIGKILL');
    await once(daemon, 'exit');
  }

  async startDaemon(): Promise<void> {
    await this.#startDaemon();
  }

  /** Removes all Pods and everything else. Any number of times. */
  async remove(): Promise<void> {
    for (const child of this.#children) child.kill('SIGKILL');
    for (const pod of [...this.#pods]) await this.removePod(pod).catch(() => undefined);
    await this.killDaemon();
    this.#removeNow();
    process.removeListener('exit', this.#onExit);
  }

  async #startDaemon(): Promise<void> {
    const log = openSync(join(this.folder, 'containerd.log'), 'a');
    // Not by `ip netns exec`: it mounts another /sys, without cgroups.
    const args = [`--net=${this.netns}`, this.#command('containerd'), '-c', join(this.folder, 'config.toml')];
    // It looks for its shim in PATH first.
    const env = { ...process.env, PATH: [this.#programs, process.env.PATH].filter(Boolean).join(delimiter) };
    const daemon = spawn('nsenter', args, { stdio: ['ignore', log, log], env });
    this.#daemon = daemon;
    await eventually('containerd answers', () => {
      if (daemon.exitCode !== null)
        throw new Error(`containerd ended: ${readFileSync(join(this.folder, 'containerd.log'), 'utf8').slice(-2000)}`);
      try {
        execFileSync(this.#command('ctr'), ['-a', this.socket, 'version'], { stdio: 'ignore' });
        return true;
      } catch {
        return false;
      }
    });
    this.#requests = new CriRequests(this.socket);
  }

  #command(name: string): string {
    return this.#programs === undefined ? commandPath(name) : join(this.#programs, name);
  }

  #ask(...[method, request]: Parameters<CriRequests['ask']>): Promise<Record<string, unknown>> {
    if (this.#requests === undefined) throw new Error('containerd does not run');
    return this.#requests.ask(method, request);
  }

  /** Whatever is left, in whatever state: also of a test that failed. */
  #removeNow(): void {
    for (const child of this.#children) child.kill('SIGKILL');
    this.#daemon?.kill('SIGKILL');
    removeNode(this.folder);
    quietly(() => execFileSync('ip', ['netns', 'del', this.#netnsName], { stdio: 'ignore' }));
    quietly(() => rmSync(this.folder, { recursive: true, force: true }));
    this.#lock.close();
  }
}

/** Of the kernel's default period of 100 ms. */
function quotaOf(cpus: number | undefined): { cpuPeriod?: number; cpuQuota?: number } {
  return cpus === undefined ? {} : { cpuPeriod: 100_000, cpuQuota: Math.round(cpus * 100_000) };
}

async function oneAtATime(): Promise<{ close(): void }> {
  const path = join(tmpdir(), 'jitterscope-containerd-lab.lock');
  let lock = loadNative().lockFile(path);
  const end = performance.now() + 280_000;
  while (lock === undefined) {
    if (performance.now() > end) throw new Error(`another containerd lab runs: ${path} is locked`);
    await new Promise((resolve) => setTimeout(resolve, 100));
    lock = loadNative().lockFile(path);
  }
  return lock;
}
