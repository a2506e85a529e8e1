// System packages: finds what is missing, installs it as root, otherwise says how to.
import { spawnSync } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { run, StepFailure, say, step } from './step.mjs';

/**
 * What the project needs of the system. `name` is the Debian package, `or` matches packages that do as well;
 * `command` or `file` tells whether it is there on a system without dpkg; `service`: it brings one.
 */
const needs = [
  { name: 'gcc', tier: 'base', command: 'cc', what: 'a C compiler (cc)' },
  { name: 'libc6-dev', tier: 'base', file: '/usr/include/stdio.h', what: 'the C library headers' },
  { name: 'libbpf-dev', tier: 'base', file: '/usr/include/bpf/libbpf.h', what: 'libbpf 1.1 or newer with headers' },
  { name: 'clang', or: /^clang-(1[4-9]|[2-9]\d)$/, tier: 'base', command: 'clang', what: 'clang 14 or newer' },
  { name: 'iproute2', tier: 'base', command: 'ip', what: 'iproute2 (ip)' },
  { name: 'nftables', or: /^iptables$/, tier: 'demo', command: 'nft', what: 'nftables (nft)' },
  { name: 'nftables', tier: 'test', command: 'nft', what: 'nftables (nft)' },
  { name: 'tcpdump', tier: 'test', command: 'tcpdump', what: 'tcpdump' },
  { name: 'openssl', tier: 'test', command: 'openssl', what: 'openssl' },
  { name: 'containerd', or: /^containerd\.io$/, tier: 'test', command: 'containerd', what: 'containerd', service: true },
  { name: 'runc', or: /^containerd\.io$/, tier: 'test', command: 'runc', what: 'runc' },
  { name: 'containernetworking-plugins', tier: 'test', file: '/usr/lib/cni/bridge', what: 'CNI plugins' },
  { name: 'busybox-static', tier: 'test', file: '/bin/busybox', what: 'a static busybox' },
  { name: 'prometheus', tier: 'test', file: '/usr/bin/prometheus', what: 'Prometheus', service: true },
  {
    name: 'default-jre-headless',
    or: /^openjdk-(1[7-9]|2\d)-jre-headless$/,
    tier: 'servers',
    command: 'java',
    what: 'a Java runtime 17 or newer',
  },
  { name: 'maven', tier: 'servers', command: 'mvn', what: 'Maven (mvn)' },
  { name: 'openssl', tier: 'servers', command: 'openssl', what: 'openssl' },
  { name: 'golang-go', tier: 'loki', command: 'go', what: 'Go 1.19 or newer' },
  { name: 'qemu-system-x86', tier: 'matrix', command: 'qemu-system-x86_64', what: 'qemu for x86-64' },
  { name: 'busybox-static', tier: 'matrix', file: '/bin/busybox', what: 'a static busybox' },
  { name: 'cpio', tier: 'matrix', command: 'cpio', what: 'cpio' },
  { name: 'kmod', tier: 'matrix', command: 'modinfo', what: 'kmod (modinfo)' },
  { name: 'xz-utils', tier: 'matrix', command: 'xz', what: 'xz' },
  { name: 'zstd', tier: 'matrix', command: 'zstd', what: 'zstd' },
];

/** Whether a command of this name is in PATH or where root's commands are. */
export function hasCommand(name) {
  const folders = (process.env.PATH || '').split(delimiter).concat('/usr/sbin', '/sbin');
  return folders.some((folder) => folder !== '' && existsSync(join(folder, name)));
}

/** Whether this process is root. */
export function isRoot() {
  return typeof process.getuid === 'function' && process.getuid() === 0;
}

/** Names of the installed packages, or undefined where there is no dpkg. */
function installedPackages(names) {
  // dpkg-query ends with 1 when one of them is unknown, and lists the others all the same.
  const format = `\${Package} \${db:Status-Status}\n`;
  const result = spawnSync('dpkg-query', ['-W', `-f=${format}`].concat(names), { encoding: 'utf8' });
  if (result.error) return undefined;
  const lines = result.stdout.split('\n').filter((line) => / installed$/.test(line));
  return lines.map((line) => line.split(' ')[0]);
}

/** The needs of the base tier, and of `tier`, that this system does not meet. */
export function missingNeeds(tier) {
  const wanted = needs.filter((need) => need.tier === 'base' || need.tier === tier);
  const installed = installedPackages(
    wanted.map((need) => need.name).concat('clang-[0-9]*', 'containerd.io', 'iptables', 'openjdk-*-jre-headless'),
  );
  if (installed === undefined) return wanted.filter((need) => !(need.command ? hasCommand(need.command) : existsSync(need.file)));
  return wanted.filter((need) => !installed.some((name) => name === need.name || (need.or && need.or.test(name))));
}

/** The line that installs these packages, ready to paste. */
export function installCommand(missing) {
  const names = missing.map((need) => need.name).join(' ');
  return `sudo apt-get update && sudo apt-get install -y --no-install-recommends ${names}`;
}

/** What the reader does about missing packages, in one line. */
export function remedyFor(missing) {
  if (hasCommand('apt-get')) return installCommand(missing);
  return `install with your package manager: ${missing.map((need) => need.what).join(', ')}`;
}

/** Whether this process may install packages: it is root, and there is apt-get. */
export function canInstall() {
  return isRoot() && hasCommand('apt-get');
}

/** Says what is missing and what to do about it, where this process may not do it itself. */
export function tellMissing(missing) {
  const names = missing.map((need) => need.name).join(' ');
  const reason = hasCommand('apt-get') ? 'Installing them needs root. Run:' : 'There is no apt-get here:';
  say(`missing system packages: ${names}. ${reason}\n\n    ${remedyFor(missing)}\n`);
}

/** Installs the packages and returns what `check` finds missing afterwards; going on without is the caller's choice. */
export function installNeeds(missing, check) {
  try {
    step(`system packages: ${missing.map((need) => need.name).join(' ')}`, () => install(missing));
  } catch (thrown) {
    if (!(thrown instanceof StepFailure)) throw thrown;
    const line = thrown.output.split('\n').find((one) => /^E: /.test(one));
    say(`the system packages could not be installed: ${line || thrown.message}. Try it yourself:\n\n    ${installCommand(missing)}\n`);
  }
  return check();
}

/** Asked by packages whether they may start what they bring (invoke-rc.d(8)); 101: no. */
const servicePolicy = '/usr/sbin/policy-rc.d';

/** A package that brings a service, as containerd does, must not leave it running: tests start their own. */
function withoutServices(missing, action) {
  const own = missing.some((need) => need.service) && !existsSync(servicePolicy);
  if (own) writeFileSync(servicePolicy, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    action();
  } finally {
    if (own) rmSync(servicePolicy, { force: true });
  }
}

function install(missing) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const waiting = ['-o', 'DPkg::Lock::Timeout=300'];
  run('apt-get', waiting.concat('update', '-qq'), { env });
  const names = missing.map((need) => need.name);
  const options = ['install', '-y', '-qq', '--no-install-recommends'];
  withoutServices(missing, () => run('apt-get', waiting.concat(options, names), { env }));
}
