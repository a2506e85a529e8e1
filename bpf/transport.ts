import type { Native } from '../native/addon.ts';
import { probeMaps } from './settings.ts';

/** How records leave the kernel: one ring buffer, or a perf buffer for each CPU. */
export type Transport = 'ring' | 'perf';

/** Which maps of bpf/include/maps.h a transport needs; the other one's are not made. */
export const transportMaps: Readonly<Record<Transport, readonly string[]>> = {
  ring: [probeMaps.ring],
  perf: [probeMaps.perf, probeMaps.perfSlots],
};

/** Section that says whether the perf buffers are used (bpf/include/emit.h): one byte, set before load. */
export const transportSection = '.rodata.transport';

/** The transport to use: the one wanted, or a ring where the kernel has ring buffers (5.8). */
export function chooseTransport(kernel: Pick<Native, 'enumValues'>, wanted: Transport | 'auto'): Transport {
  if (wanted !== 'auto') return wanted;
  return kernel.enumValues('bpf_map_type')?.some(([, name]) => name === 'BPF_MAP_TYPE_RINGBUF') ? 'ring' : 'perf';
}

/**
 * Size of one CPU's perf buffer when all of them share so many bytes: a power of two, and on a machine of very many CPUs
 * still 64 KiB, so that each holds a burst between two drains.
 */
export function perfCpuBytes(allBytes: number, cpus: number): number {
  const share = 2 ** Math.floor(Math.log2(allBytes / cpus));
  return Math.max(share, Math.min(allBytes, 64 * 1024));
}
