import { createHash } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { processIdentity } from '../../core/process-identity.ts';

/** In the environment of whatever a test process starts: which one that was. */
const ownerVariable = 'JITTERSCOPE_TEST_OWNER';

/**
 * Where process ids mean what they do here: this kernel's run, and the PID namespace. Virtual machines and containers may share
 * a folder for temporary files, and cannot know whose owners live.
 */
const scope = createHash('sha256')
  .update(readFileSync('/proc/sys/kernel/random/boot_id'))
  .update(readlinkSync('/proc/self/ns/pid'))
  .digest('hex')
  .slice(0, 6);

/** This process as names and environments tell it, `<scope>.<pid>.<start time in ticks>`: no other one. */
const thisOwner = `${scope}.${process.pid}.${processIdentity(process.pid)?.startTicks ?? 0}`;
process.env[ownerVariable] = thisOwner;

/** How the names of all begin that a test process makes on the machine: namespaces, and folders with mounts. */
export const ownPrefix = `jst-${thisOwner}`;

/** Who made what has this name; undefined where that is nobody's of the tests. */
export function ownerOfName(name: string): string | undefined {
  return /^jst-([0-9a-f]{6}\.\d+\.\d+)-/.exec(name)?.[1];
}

/** Process id of an owner. */
export function pidOfOwner(owner: string): number {
  return Number(owner.split('.')[1]);
}

/** An owner of this scope. @param startTicks see ProcessIdentity */
export function ownerNamed(pid: number, startTicks: number): string {
  return `${scope}.${pid}.${startTicks}`;
}

/** By what test process another was started, from the text of /proc/<pid>/environ. */
export function ownerOfEnvironment(environment: string): string | undefined {
  return environment
    .split('\0')
    .find((entry) => entry.startsWith(`${ownerVariable}=`))
    ?.slice(ownerVariable.length + 1);
}

/** Whether an owner was killed, or ended otherwise. What is not known here counts as living. */
export function isGone(owner: string): boolean {
  const [ownScope, pid, startTicks] = owner.split('.');
  return ownScope === scope && processIdentity(Number(pid))?.startTicks !== startTicks;
}

/** Whether an owner lives and is another one than this process. */
export function isAnother(owner: string): boolean {
  return owner.startsWith(`${scope}.`) && owner !== thisOwner && !isGone(owner);
}

/** Path of a file of test/lab, also for what runs compiled. */
export function labFile(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url.replace('/dist/test/lab/', '/test/lab/')));
}
