import type { Bus } from '../../core/bus/bus.ts';

/** The same bus until it is killed; from then on it takes nothing and answers no append, as for a process that is gone. */
export function mortal(bus: Bus): { readonly bus: Bus; kill(): void } {
  let isDead = false;
  const never = () => new Promise<never>(() => undefined);
  return {
    bus: {
      partitions: (topic) => bus.partitions(topic),
      append: (...call) => (isDead ? never() : bus.append(...call)),
      offsets: (...call) => bus.offsets(...call),
      read: (...call) => bus.read(...call),
      consume: (...call) => bus.consume(...call),
      committed: (...call) => bus.committed(...call),
      commit: (...call) => (isDead ? never() : bus.commit(...call)),
      checkpointed: (...call) => bus.checkpointed(...call),
      close: (...call) => bus.close(...call),
    },
    kill: () => {
      isDead = true;
    },
  };
}
