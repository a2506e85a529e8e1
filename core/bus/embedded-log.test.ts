import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { busContract, CONTRACT_TOPICS } from './contract.ts';
import { openEmbeddedLog } from './embedded-log.ts';

busContract('embedded log', async () => {
  const dir = await mkdtemp(`${tmpdir()}/jitterscope-bus-`);
  const open = () => openEmbeddedLog({ dir, topics: CONTRACT_TOPICS });
  let bus = await open();
  return {
    bus,
    reopen: async () => {
      await bus.close();
      bus = await open();
      return bus;
    },
    destroy: async () => {
      await bus.close();
      await rm(dir, { recursive: true });
    },
  };
});
