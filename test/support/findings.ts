import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { eventLines } from './event-files.ts';

/** A finding's document, as far as tests look at it. */
export interface FindingDocument {
  readonly '@timestamp': string;
  readonly message: string;
  readonly log: { readonly level: 'info' | 'warning' | 'critical' };
  readonly event: {
    readonly kind: string;
    readonly action: 'anomaly-opened' | 'anomaly-updated' | 'anomaly-resolved';
    readonly id: string;
    readonly reason?: string;
    readonly start: string;
    readonly end?: string;
  };
  readonly rule: { readonly id: string };
  readonly kubernetes?: { readonly namespace?: string; readonly pod?: { readonly name: string } };
  readonly jitterscope: {
    readonly type: string;
    readonly values?: Readonly<Record<string, number>>;
    readonly by?: Readonly<Record<string, string>>;
    readonly evidence?: readonly { readonly text: string; readonly weight: number }[];
    readonly confidence: number;
    readonly anomaly: {
      readonly id: string;
      readonly transition: number;
      readonly caused_by?: readonly string[];
      readonly samples?: readonly string[];
    };
    readonly peers?: readonly { readonly name: string; readonly count: number }[];
    readonly netns?: { readonly name?: string };
  };
}

/** All findings that the files of a data folder hold, in order. */
export function findingsIn(dataDir: string): FindingDocument[] {
  const dir = join(dataDir, 'events');
  if (!existsSync(dir) || readdirSync(dir).every((name) => !name.startsWith('0-'))) return [];
  const found: FindingDocument[] = [];
  for (const line of eventLines(dir)) {
    if (!line.includes('"kind":"alert"')) continue;
    found.push(JSON.parse(line.toString()) as FindingDocument);
  }
  return found;
}

/** Whom a finding is about: shop/web-0, or the name of a network namespace. */
export function entityOf({ kubernetes, jitterscope }: FindingDocument): string {
  const pod = kubernetes?.pod;
  return pod === undefined ? (jitterscope.netns?.name ?? '') : `${kubernetes?.namespace}/${pod.name}`;
}
