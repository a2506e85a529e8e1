// A virtual machine that runs one job on another kernel, without KVM, and powers off.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  createWriteStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from '../../scripts/step.mjs';

const initScript = fileURLToPath(new URL('init.sh', import.meta.url));

/** Processor features that Debian's programs may use, and random bytes from the start. */
const processor = 'qemu64,+ssse3,+sse4.1,+sse4.2,+popcnt,+rdrand';
/** A boot takes 5 to 20 s. */
const bootLimitMs = 60_000;
const commandLine = 'console=ttyS0 quiet panic=-1 mitigations=off nokaslr random.trust_cpu=on';

/** The kernel's first file system, compressed: busybox, the modules and init.sh. */
function makeInitramfs(modules, output) {
  const folder = mkdtempSync(join(tmpdir(), 'jitterscope-initramfs-'));
  try {
    for (const name of ['bin', 'modules']) mkdirSync(join(folder, name));
    copyFileSync('/bin/busybox', join(folder, 'bin', 'busybox'));
    copyFileSync(initScript, join(folder, 'init'));
    chmodSync(join(folder, 'init'), 0o755);
    for (const module of modules) copyFileSync(module, join(folder, 'modules', basename(module)));
    writeFileSync(join(folder, 'modules.order'), modules.map((module) => `${basename(module)}\n`).join(''));
    run('sh', ['-c', 'find . | cpio -o -H newc --quiet | gzip -1 >"$0"', output], { cwd: folder });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** One processor: two would spend half of a busy host's time waiting for each other's locks, as neither knows when the other runs. */
function argumentsFor(kernel, initramfs, out) {
  const share = (path, tag, more) => {
    const options = `path=${path.replaceAll(',', ',,')},mount_tag=${tag},security_model=none,multidevs=remap${more}`;
    return ['-virtfs', `local,${options}`];
  };
  return [
    ...['-machine', 'q35', '-accel', 'tcg,thread=multi', '-cpu', processor, '-smp', '1', '-m', '1024'],
    ...['-nodefaults', '-no-user-config', '-no-reboot', '-display', 'none', '-serial', 'stdio', '-nic', 'none'],
    ...['-kernel', kernel.vmlinux, '-initrd', initramfs, '-append', commandLine],
    ...share('/', 'host', ',readonly=on'),
    ...share(out, 'out', ''),
  ];
}

/** Ends when the machine is off, or kills it: after `limitMs`, or `bootLimitMs` when `booted` does not say yes by then. */
async function runMachine(args, console, limitMs, booted) {
  const machine = spawn('qemu-system-x86_64', args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const stop = () => machine.kill('SIGKILL');
  const limits = [setTimeout(stop, limitMs), setTimeout(() => booted() || stop(), bootLimitMs)];
  process.once('exit', stop);
  const log = createWriteStream(console);
  machine.stdout.pipe(log, { end: false });
  machine.stderr.pipe(log, { end: false });
  try {
    await once(machine, 'close');
  } finally {
    limits.forEach(clearTimeout);
    process.removeListener('exit', stop);
    log.end();
  }
  await once(log, 'close');
}

/**
 * Boots a kernel, runs a shell script as root there, and resolves when the machine is off, killed after `limitMs` at the
 * latest. `job` reads the host's files and may write into /out, which is the folder `out` here. There, job.log has what the job
 * said, console.log what the kernel said.
 * Result: `{ bootSeconds: until the job began, status: its exit code, ms: in all }`, undefined what was not reached.
 */
export async function runInMachine({ kernel, job, out, limitMs }) {
  writeFileSync(join(out, 'job.sh'), `cut -d' ' -f1 /proc/uptime >/out/booted\n(${job}\n)\n`);
  const initramfs = join(out, 'initramfs.gz');
  makeInitramfs(kernel.modules, initramfs);
  const told = (name) => (existsSync(join(out, name)) ? Number(readFileSync(join(out, name), 'utf8')) : undefined);
  const began = Date.now();
  await runMachine(argumentsFor(kernel, initramfs, out), join(out, 'console.log'), limitMs, () => told('booted') !== undefined);
  return { bootSeconds: told('booted'), status: told('status'), ms: Date.now() - began };
}
