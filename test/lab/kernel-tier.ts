import { existsSync } from 'node:fs';
import { test } from 'vitest';

/** Why tests that load BPF programs cannot run here; undefined when they can. */
export function kernelObstacle(): string | undefined {
  if (process.getuid?.() !== 0) return 'they need root: sudo npm test -- --tier kernel';
  if (!existsSync('/sys/kernel/btf/vmlinux')) return 'they need a kernel with BTF (CONFIG_DEBUG_INFO_BTF=y)';
  return undefined;
}

/** Whether the tests of the kernel tier run here. Says so when not; throws when REQUIRE_TIERS wants them. */
export function kernelTestsRun(): boolean {
  const obstacle = kernelObstacle();
  if (obstacle === undefined) return true;
  const required = (process.env.REQUIRE_TIERS ?? '').split(',').includes('kernel');
  if (required) throw new Error(`REQUIRE_TIERS wants the kernel tests, but ${obstacle}`);
  process.stderr.write(`SKIPPED kernel tests: ${obstacle}\n`);
  return false;
}

/** `test` where the kernel tier can run, else `test.skip`, loudly. */
export const kernelTest = kernelTestsRun() ? test : test.skip;
