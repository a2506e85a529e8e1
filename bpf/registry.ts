import type { Probe } from './probe.ts';
import { tcpreset } from './tcpreset/probe.ts';

/** All probes: one line each. */
export const probes: readonly Probe[] = [tcpreset];
