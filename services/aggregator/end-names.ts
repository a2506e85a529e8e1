import type { EventNames } from '../../bpf/event.ts';
import type { RecordReader } from '../../schema/record.ts';
import { addressText } from './address-text.ts';
import { FarEnd, type Translated } from './far-end.ts';
import { LocalEnd } from './local-end.ts';
import { labelOfNetns, type Netns } from './netns.ts';
import { labelOfPod, type Pod } from './pod.ts';
import type { SessionState } from './session.ts';

/** record's side: the local end receives, or sends; any other: neither end is local. */
const [incoming, outgoing] = [1, 2];

/** Who is at the two ends of a record, found at the record's own time. One instance is reused for all records. */
export class Ends implements EventNames {
  readonly source = new LocalEnd();
  readonly destination = new FarEnd();
  local = '';
  far = '';
  origin = '';
  /** Who sent a forwarded packet: the source is not the namespace that the record is of. */
  originPod: Pod | undefined;
  originNetns: Netns | undefined;
  /** The node is one of Kubernetes. */
  isKubernetes = false;
  #session: SessionState | undefined;

  /** Looks both ends up. Returns until when (boot ns) something better may be told of them; 0: that is who they are. */
  find(session: SessionState, record: RecordReader, translated: Translated | undefined): number {
    this.#session = session;
    this.source.find(session.identity, record);
    this.destination.find(session.identity, record, this.source, translated);
    this.#findOrigin(session, record);
    return Math.max(this.source.waitUntilNs, this.destination.waitUntilNs);
  }

  /** Makes the names of what was found: strings, for events only. */
  name(record: RecordReader): void {
    const { node, identity } = this.#session as SessionState;
    const { source, destination } = this;
    this.isKubernetes = identity.hasPods;
    this.local = labelOf(source.pod, source.netns, node) ?? unknownLabel(record);
    this.far = labelOf(destination.pod, destination.netns, node) ?? addressText(record.bytes, record.daddrAt);
    this.origin = isForwarded(record) ? (labelOf(this.originPod, this.originNetns, node) ?? addressText(record.bytes, record.saddrAt)) : '';
  }

  enumName(enumeration: string, value: number): string | undefined {
    return this.#session?.enums.get(enumeration)?.get(value);
  }

  symbol(offset: number): string | undefined {
    return this.#session?.code.symbol(offset);
  }

  stack(id: number): readonly string[] | undefined {
    return this.#session?.code.stack(id);
  }

  #findOrigin({ identity }: SessionState, record: RecordReader): void {
    this.originPod = undefined;
    this.originNetns = undefined;
    if (!isForwarded(record)) return;
    const { netnsId, pod } = identity.holder(record.saddr0, record.saddr1, record.saddr2, record.saddr3, record.tsNs);
    this.originPod = pod ?? (netnsId < 0 ? undefined : identity.podOf(netnsId, record.tsNs));
    this.originNetns = netnsId < 0 ? undefined : identity.get(netnsId);
  }
}

function labelOf(pod: Pod | undefined, netns: Netns | undefined, node: string): string | undefined {
  if (pod !== undefined) return labelOfPod(pod);
  return netns === undefined ? undefined : labelOfNetns(netns, node);
}

/** Whether a packet was on its way between two others; without addresses nobody knows. */
export function isForwarded({ side, family }: RecordReader): boolean {
  return side !== incoming && side !== outgoing && family !== 0;
}

/** Without a local end there is no address to name the namespace by. */
function unknownLabel(record: RecordReader): string {
  return isForwarded(record) || record.family === 0 ? `netns ${record.net}` : addressText(record.bytes, record.saddrAt);
}
