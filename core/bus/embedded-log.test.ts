import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { busContract, CONTRACT_TOPICS } from './contract.ts';
import { type Disk, localDisk } from './disk.ts';
import { openEmbeddedLog } from './embedded-log.ts';

/** A disk on which nothing becomes durable once it is stalled, until it goes on. */
function stallingDisk(): { readonly disk: Disk; stall(): () => Promise<void> } {
  let stalled: Promise<void> = Promise.resolve();
  return {
    disk: { ...localDisk, fdatasync: (fd) => stalled.then(() => localDisk.fdatasync(fd)) },
    stall() {
      let resume: () => void = () => undefined;
      stalled = new Promise((resolve) => {
        resume = resolve;
      });
      return async () => resume();
    },
  };
}

busContract('embedded log', async () => {
  const dir = await mkdtemp(`${tmpdir()}/jitterscope-bus-`);
  let disk = stallingDisk();
  const open = () => openEmbeddedLog({ dir, topics: CONTRACT_TOPICS, disk: disk.disk });
  let bus = await open();
  return {
    bus,
    reopen: async () => {
      await bus.close();
      // What hangs in a call of the one before takes no part in this one.
      disk = stallingDisk();
      bus = await open();
      return bus;
    },
    stall: async () => disk.stall(),
    destroy: async () => {
      await bus.close();
      await rm(dir, { recursive: true });
    },
  };
});
