/** Names of the maps that all probes share (bpf/include/maps.h). */
export const probeMaps = {
  /** Ring of records; with the other transport there is none (transport.ts). */
  ring: 'events',
  /** Array of the CPUs' perf buffers, and the places where records for them are made. */
  perf: 'perf_events',
  perfSlots: 'perf_slots',
  counters: 'counters',
  /** Per-CPU array of one u64: increments that found no room in `counters`. */
  counterLost: 'counter_lost',
  /** Namespaces that probes list: u64 as in the record's net → u64, bit n for the probe of number n. */
  netFilter: 'net_filter',
  /** Token buckets: { u64 net; u64 probe } → { u64 tat; u64 suppressed }. A dead namespace's is to be deleted. */
  buckets: 'buckets',
  /** The bucket that namespaces share when `buckets` is full. */
  bucketOther: 'bucket_other',
  /** Owners of sockets, filled by bpf/base. */
  owners: 'owners',
} as const;

/** Section that holds struct settings (bpf/include/emit.h); written while programs run, each member takes effect at once. */
export const settingsSection = '.data.settings';

/** Byte offset of each member of struct settings. */
export const settingsOffsets = { intervalNs: 0, burst: 8, filterMode: 12 } as const;

/** Length of struct settings. */
export const settingsBytes = 16;

/** Which namespaces a probe looks at. */
export type FilterMode = 'all' | 'listed' | 'unlisted';

/** What can be changed while a probe runs. */
export interface ProbeSettings {
  /** A namespace's token bucket gets one token per this many ns; 0: no limit. */
  readonly intervalNs: number;
  /** Events that a namespace may emit at once; 0: none, counters only. */
  readonly burst: number;
  readonly filterMode: FilterMode;
}

/** What an object starts with: 50 events a second and namespace, 200 at once. */
export const defaultSettings: ProbeSettings = { intervalNs: 20_000_000, burst: 200, filterMode: 'all' };

const filterModes: readonly FilterMode[] = ['all', 'listed', 'unlisted'];

/** Bytes for `writeData(settingsSection, 0, bytes)`. */
export function encodeSettings(settings: ProbeSettings): Uint8Array {
  const view = new DataView(new ArrayBuffer(settingsBytes));
  view.setBigUint64(settingsOffsets.intervalNs, BigInt(settings.intervalNs), true);
  view.setUint32(settingsOffsets.burst, settings.burst, true);
  view.setUint32(settingsOffsets.filterMode, filterModes.indexOf(settings.filterMode), true);
  return new Uint8Array(view.buffer);
}

/** Settings as read with `readData(settingsSection)`. */
export function decodeSettings(bytes: Uint8Array): ProbeSettings {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return {
    intervalNs: Number(view.getBigUint64(settingsOffsets.intervalNs, true)),
    burst: view.getUint32(settingsOffsets.burst, true),
    filterMode: filterModes[view.getUint32(settingsOffsets.filterMode, true)] ?? 'all',
  };
}

/** Key of a namespace in the map `net_filter`. @param net the record's net */
export function netFilterKey(net: bigint | number): Uint8Array {
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, BigInt(net), true);
  return new Uint8Array(view.buffer);
}

/** Value of a namespace in the map `net_filter`. @param probes numbers of the probes that list it, below 64 */
export function netFilterValue(probes: Iterable<number>): Uint8Array {
  let mask = 0n;
  for (const probe of probes) mask |= 1n << BigInt(probe);
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, mask, true);
  return new Uint8Array(view.buffer);
}

/** Key of a namespace's token bucket in the map `buckets`. */
export function bucketKey(net: bigint | number, probe: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(16));
  view.setBigUint64(0, BigInt(net), true);
  view.setBigUint64(8, BigInt(probe), true);
  return new Uint8Array(view.buffer);
}

/** Bytes of a probe's threshold for `writeData(section, offset, bytes)`. */
export function encodeThreshold(value: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint32(0, value, true);
  return new Uint8Array(view.buffer);
}
