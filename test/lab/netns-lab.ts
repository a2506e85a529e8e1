import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { loadNative } from '../../native/index.ts';
import { labFile, ownPrefix } from './lab-owner.ts';
import { type LabProcess, labProcess } from './lab-process.ts';
import { removeLeftovers } from './leftovers.ts';

/** One namespace of the lab. */
export interface LabNetns {
  readonly name: string;
  /** /run/netns/<name> */
  readonly path: string;
  readonly ipv4: string;
  readonly ipv6: string;
  /** The kernel's own number of it: `net` of records and counters. */
  readonly cookie: bigint;
}

/** What the kernel itself counted in a namespace since then. */
export interface KernelCounts {
  /** Of /proc/net/snmp and netstat: "Tcp.OutRsts". Throws where this kernel has no such counter. */
  grown(name: string): number;
}

/** Name of the lab's interface in both namespaces. */
export const labInterface = 'veth0';

/**
 * Two network namespaces with a cable between them: 198.51.100.1 and .2, 2001:db8::1 and ::2, loopback up. Needs root
 * and iproute2. Everything that was started or made is gone after `remove`, or when the process ends; what
 * one that was killed left goes when the next one starts.
 */
export class NetnsLab {
  readonly a: LabNetns;
  readonly b: LabNetns;
  readonly #children = new Set<ChildProcess>();
  readonly #onExit = () => this.#removeNow();

  /** @param label tells labs of one process apart */
  constructor(label = '') {
    removeLeftovers();
    this.a = netnsOf(`${ownPrefix}${label}-a`, 1);
    this.b = netnsOf(`${ownPrefix}${label}-b`, 2);
    process.once('exit', this.#onExit);
    try {
      this.#make();
    } catch (error) {
      this.#removeNow();
      throw error;
    }
  }

  #make(): void {
    for (const { name } of [this.a, this.b]) {
      ip('netns', 'add', name);
      ip('-n', name, 'link', 'set', 'lo', 'up');
    }
    ip('link', 'add', labInterface, 'netns', this.a.name, 'type', 'veth', 'peer', 'name', labInterface, 'netns', this.b.name);
    for (const { name, ipv4, ipv6 } of [this.a, this.b]) {
      ip('-n', name, 'address', 'add', `${ipv4}/24`, 'dev', labInterface);
      ip('-n', name, 'address', 'add', `${ipv6}/64`, 'dev', labInterface, 'nodad');
      ip('-n', name, 'link', 'set', labInterface, 'up');
    }
  }

  /** Runs a command in a namespace to its end and returns its output; throws when it fails. */
  run(netns: LabNetns, command: string, ...args: string[]): string {
    return execFileSync('nsenter', [`--net=${netns.path}`, command, ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  }

  /** Starts a script of test/lab in a namespace. */
  start(netns: LabNetns, script: string, ...args: string[]): LabProcess {
    const file = labFile(script);
    const child = spawn('nsenter', [`--net=${netns.path}`, process.execPath, file, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#children.add(child);
    child.once('exit', () => this.#children.delete(child));
    return labProcess(child);
  }

  /** Runs a script of test/lab to its end and returns the last line it said, parsed. */
  async result(netns: LabNetns, script: string, ...args: string[]): Promise<Record<string, unknown>> {
    const started = this.start(netns, script, ...args);
    const line = await started.line();
    await started.ended();
    return line;
  }

  /** Counters of the namespace's /proc/net/snmp: "Tcp.OutRsts" → number. */
  snmp(netns: LabNetns): ReadonlyMap<string, number> {
    return this.#counters(netns, '/proc/net/snmp');
  }

  /** Counters of the namespace's /proc/net/netstat: "TcpExt.TCPSynRetrans" → number. */
  netstat(netns: LabNetns): ReadonlyMap<string, number> {
    return this.#counters(netns, '/proc/net/netstat');
  }

  /** Counts from here on. */
  kernelCounts(netns: LabNetns): KernelCounts {
    const read = () => this.#counters(netns, '/proc/net/snmp', '/proc/net/netstat');
    const before = read();
    return {
      grown(name) {
        const [now, then] = [read().get(name), before.get(name)];
        if (now === undefined || then === undefined) throw new Error(`this kernel has no counter ${name}`);
        return now - then;
      },
    };
  }

  #counters(netns: LabNetns, ...files: string[]): ReadonlyMap<string, number> {
    const lines = this.run(netns, 'cat', ...files)
      .trim()
      .split('\n');
    const counters = new Map<string, number>();
    for (let index = 0; index + 1 < lines.length; index += 2) {
      const [protocol = '', ...names] = lines[index].split(' ');
      const values = lines[index + 1].split(' ').slice(1);
      names.forEach((name, column) => {
        counters.set(`${protocol.slice(0, -1)}.${name}`, Number(values[column]));
      });
    }
    return counters;
  }

  /** Adds a rule of nftables to what passes a hook of the namespace; `ingress`: of the lab's interface, before IP. */
  rule(netns: LabNetns, hook: 'input' | 'output' | 'forward' | 'ingress', words: string): void {
    const [family, where] = hook === 'ingress' ? ['netdev', `ingress device "${labInterface}"`] : ['inet', hook];
    const chain = `add table ${family} lab; add chain ${family} lab ${hook} { type filter hook ${where} priority 0; }`;
    this.run(netns, 'nft', `${chain}; add rule ${family} lab ${hook} ${words}`);
  }

  /** Takes away all rules of a namespace. */
  clearRules(netns: LabNetns): void {
    this.run(netns, 'nft', 'flush ruleset');
  }

  /** Sets "net.ipv4.ip_forward=1" and the like. */
  sysctl(netns: LabNetns, ...settings: string[]): void {
    this.run(netns, 'sysctl', '-qw', ...settings);
  }

  /** Index of the lab's interface in a namespace. */
  ifindex(netns: LabNetns): number {
    return Number(this.run(netns, 'ip', '-o', 'link', 'show', 'dev', labInterface).split(':')[0]);
  }

  /** Ends what was started. */
  async stop(): Promise<void> {
    const children = [...this.#children];
    for (const child of children) child.kill('SIGKILL');
    const running = children.filter((child) => child.exitCode === null && child.signalCode === null);
    await Promise.all(running.map((child) => once(child, 'exit')));
  }

  /** Ends what was started and removes the namespaces. Any number of times. */
  async remove(): Promise<void> {
    await this.stop();
    this.#removeNow();
    process.removeListener('exit', this.#onExit);
  }

  #removeNow(): void {
    for (const child of this.#children) child.kill('SIGKILL');
    for (const { name, path } of [this.a, this.b]) if (existsSync(path)) ip('netns', 'delete', name);
  }
}

function netnsOf(name: string, host: number): LabNetns {
  const path = `/run/netns/${name}`;
  let cookie: bigint | undefined;
  return {
    ...{ name, path, ipv4: `198.51.100.${host}`, ipv6: `2001:db8::${host}` },
    get cookie() {
      cookie ??= loadNative().netnsCookie(path);
      return cookie;
    },
  };
}

function ip(...args: string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}
