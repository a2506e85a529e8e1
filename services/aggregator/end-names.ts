import type { EventNames } from '../../bpf/event.ts';
import type { RecordReader } from '../../schema/record.ts';
import { addressText } from './address-text.ts';
import { FarEnd, type Translated } from './far-end.ts';
import { LocalEnd } from './local-end.ts';
import { labelOfNetns, type Netns } from './netns.ts';
import { labelOfPod, type Pod } from './pod.ts';
import type { SessionState } from './session.ts';

/** Who is at the two ends of a record, found at the record's own time. One instance is reused for all records. */
export class Ends implements EventNames {
  readonly source = new LocalEnd();
  readonly destination = new FarEnd();
  local = '';
  far = '';
  /** The node is one of Kubernetes. */
  isKubernetes = false;
  #session: SessionState | undefined;

  /** Looks both ends up. Returns until when (boot ns) something better may be told of them; 0: that is who they are. */
  find(session: SessionState, record: RecordReader, translated: Translated | undefined): number {
    this.#session = session;
    this.source.find(session.identity, record);
    this.destination.find(session.identity, record, this.source, translated);
    return Math.max(this.source.waitUntilNs, this.destination.waitUntilNs);
  }

  /** Makes the names of what was found: strings, for events only. */
  name(record: RecordReader): void {
    const { node, identity } = this.#session as SessionState;
    const { source, destination } = this;
    this.isKubernetes = identity.hasPods;
    this.local = labelOf(source.pod, source.netns, node) ?? addressText(record.bytes, record.saddrAt);
    this.far = labelOf(destination.pod, destination.netns, node) ?? addressText(record.bytes, record.daddrAt);
  }

  enumName(enumeration: string, value: number): string | undefined {
    return this.#session?.enums.get(enumeration)?.get(value);
  }
}

function labelOf(pod: Pod | undefined, netns: Netns | undefined, node: string): string | undefined {
  if (pod !== undefined) return labelOfPod(pod);
  return netns === undefined ? undefined : labelOfNetns(netns, node);
}
