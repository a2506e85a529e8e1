import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

const built = ['**/node_modules/**', '**/dist/**', '**/build/**', '**/.cache/**', '**/data/**'];
/** Files that scripts/test.mjs leaves out, because this machine lacks what they need. */
const leftOut = process.env.TESTS_LEFT_OUT?.split(' ') ?? [];
const kernel = ['**/kernel.test.ts', '**/*.kernel.test.ts'];
const promise = ['test/*.promise.test.ts'];
/** Those that start real servers (scripts/servers): what installs in a minute, and what is built for a quarter of an hour. */
const servers = ['**/*.servers.test.ts'];
const loki = ['**/*.loki.test.ts'];
/** Only for machines made to be changed: test/vm. */
const matrix = ['test/vm/*.matrix.test.ts'];

/** A tier of tests that runs alone on the machine's shared parts: one file at a time. */
const serial = { fileParallelism: false, testTimeout: 300_000, hookTimeout: 300_000 };
const processors = availableParallelism();
/**
 * Tests with real kernels and processes, each with namespaces, folders and ports of its own: they mostly wait, those of the
 * kernel still more. A machine with one processor is one of the matrix, which are slow enough.
 */
const sideBySide = (maxWorkers: number) => ({ ...serial, fileParallelism: processors > 1, maxWorkers });

export default defineConfig({
  test: {
    pool: 'forks',
    watch: false,
    allowOnly: false,
    // Real kernels, processes and disks on two shared cores: CI tries a failed test once more, and its report says so.
    retry: process.env.CI ? 1 : 0,
    unstubEnvs: true,
    setupFiles: ['test/support/plain-environment.ts'],
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['**/*.test.ts'],
          exclude: [...built, ...leftOut, ...kernel, ...promise, ...servers, ...loki, ...matrix],
          // One process after the other would import the same modules again for each file: half of the CPU seconds.
          isolate: false,
          maxWorkers: processors,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        extends: true,
        test: { name: 'kernel', include: kernel, exclude: built, ...sideBySide(processors + 1), sequence: { groupOrder: 1 } },
      },
      {
        extends: true,
        test: { name: 'promise', include: promise, exclude: built, ...sideBySide(processors), sequence: { groupOrder: 2 } },
      },
      { extends: true, test: { name: 'servers', include: servers, exclude: built, ...serial, sequence: { groupOrder: 3 } } },
      { extends: true, test: { name: 'loki', include: loki, exclude: built, ...serial, sequence: { groupOrder: 4 } } },
      { extends: true, test: { name: 'matrix', include: matrix, exclude: built, ...serial, sequence: { groupOrder: 5 } } },
    ],
  },
});
