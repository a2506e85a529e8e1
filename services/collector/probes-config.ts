import { type ZodType, z } from 'zod';
import type { Probe } from '../../bpf/probe.ts';
import { probes } from '../../bpf/registry.ts';
import { live } from '../../core/config/traits.ts';

/** A u32 of a BPF program. */
const maxThreshold = 0xffff_ffff;

/** What is said of one probe; besides these its thresholds, by their own names with units. */
export interface ProbeConfig {
  readonly enabled: boolean;
  /** Undefined: collector.burst. */
  readonly burst?: number | undefined;
  /** Undefined: collector.rate. */
  readonly rate?: number | undefined;
}

/** Section `collector.probes`, by names of probes. */
export type ProbesConfig = Readonly<Record<string, ProbeConfig & Readonly<Record<string, unknown>>>>;

function probeSchema({ summary, thresholds = [] }: Probe) {
  const own = thresholds.map((threshold) => {
    const schema = z.int().min(0).max(maxThreshold).default(threshold.default).describe(sentenceOf(threshold.meaning));
    return [threshold.name, live(schema)] as const;
  });
  return z
    .strictObject({
      enabled: live(
        z
          .boolean()
          .default(true)
          .describe(`Whether it runs: ${summary}. A change takes effect whatever \`jitterscope probes\` did before.`),
      ),
      burst: live(
        z.int().min(0).max(1_000_000).optional().describe('Instead of `collector.burst` for this probe; 0: counters only, no events.'),
      ),
      rate: live(z.int().min(1).max(1_000_000).optional().describe('Instead of `collector.rate` for this probe.')),
      ...Object.fromEntries(own),
    })
    .prefault({});
}

function sentenceOf(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}

const sections = Object.fromEntries(probes.map((probe) => [probe.name, probeSchema(probe)]));

/** A section for each probe of the registry. Their names are not known to the compiler, which is why the type is told. */
export const probesConfig = z.strictObject(sections).prefault({}) as unknown as z.ZodPrefault<ZodType<ProbesConfig>>;
