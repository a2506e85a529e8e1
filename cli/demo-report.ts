import pc from 'picocolors';
import { printable } from '../core/printable.ts';
import type { DemoFault } from './demo-faults.ts';
import { client, web } from './demo-namespaces.ts';

/** The fields of an event or a finding that the demo looks at. */
interface ShownLine {
  readonly '@timestamp': string;
  readonly message: string;
  readonly log: { readonly level: string };
  readonly event: { readonly kind: string; readonly action: string };
  readonly jitterscope: {
    readonly type: string;
    readonly netns?: { readonly name?: string };
    readonly evidence?: readonly { readonly text: string }[];
  };
}

/** What jitterscope told during the demo: kernel events are counted, findings shown. */
export class DemoReport {
  readonly #faults: readonly DemoFault[];
  readonly #say: (text: string) => void;
  readonly #found = new Set<DemoFault>();
  #events = 0;
  #onComplete: () => void = () => undefined;
  /** Resolves when each fault has its finding. */
  readonly complete = new Promise<void>((resolve) => {
    this.#onComplete = resolve;
  });

  constructor(faults: readonly DemoFault[], say: (text: string) => void) {
    this.#faults = faults;
    this.#say = say;
  }

  /** Takes one line of the stream of events. */
  take(line: string): void {
    const told = JSON.parse(line) as ShownLine;
    const entity = told.jitterscope.netns?.name;
    if (entity !== client && entity !== web) return;
    if (told.event.kind !== 'alert') {
      this.#events++;
      return;
    }
    if (told.event.action === 'anomaly-opened') this.#opened(told, entity);
  }

  #opened(told: ShownLine, entity: string): void {
    const level = told.log.level === 'critical' ? pc.red : told.log.level === 'warning' ? pc.yellow : pc.cyan;
    const rule = printable(told.jitterscope.type);
    this.#say(`${pc.bold(level(`finding ${printable(told.log.level)}`))} ${pc.bold(printable(told.message))} ${pc.dim(`(${rule})`)}`);
    for (const { text } of told.jitterscope.evidence ?? []) this.#say(`  ${pc.dim('because')} ${printable(text)}`);
    const fault = this.#faults.find((one) => one.rule === rule && one.entity === entity);
    if (fault === undefined) return;
    this.#found.add(fault);
    if (this.#found.size === this.#faults.length) this.#onComplete();
  }

  /** Says what came of it. @returns the exit code: 1 when a fault has no finding */
  close(): number {
    const missing = this.#faults.filter((fault) => !this.#found.has(fault));
    this.#say(
      `${pc.bold(`${this.#found.size} of ${this.#faults.length} faults were found and explained`)}, out of ${this.#events} kernel events`,
    );
    for (const { rule, what } of missing) this.#say(pc.red(`no finding of ${rule}: ${what}`));
    return missing.length === 0 ? 0 : 1;
  }
}
