import type { Native, NetnsHandle } from '../../../native/addon.ts';
import type { CollectorConfig } from '../config.ts';
import type { NodeIdentity } from '../identity/node-identity.ts';
import { TrackedNetns } from './tracked-netns.ts';
import { Translator, type TranslatorMetrics } from './translator.ts';

/** The translator of a live node; undefined where the configuration wants none. */
export function openTranslator(
  native: Native,
  identity: NodeIdentity,
  { lookups, rate }: CollectorConfig['conntrack'],
  metrics: TranslatorMetrics,
): Translator | undefined {
  if (lookups === 'off') return undefined;
  const nowMs = (): number => performance.now();
  const open = (cookie: number): NetnsHandle | undefined => {
    const path = identity.pathOf(cookie);
    if (path === undefined) return undefined;
    const handle = native.openNetns(path);
    // The path may lead into the next namespace by now.
    if (handle.cookie === cookie || handle.inode === cookie) return handle;
    handle.close();
    return undefined;
  };
  return new Translator(new TrackedNetns({ open, nowMs }), { rate, nowMs }, metrics);
}
