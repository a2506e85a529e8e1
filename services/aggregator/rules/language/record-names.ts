import type { EventNames } from '../../../../bpf/event.ts';
import type { Probe } from '../../../../bpf/probe.ts';
import { recordFlags } from '../../../../schema/record.gen.ts';
import type { RecordReader } from '../../../../schema/record.ts';
import { transports } from '../../fragments.ts';
import type { NumberReader, TextReader } from './closures.ts';

/** A name that expressions over records of a probe may use. */
interface RecordName {
  readonly name: string;
  readonly meaning: string;
  /** It follows from the record's kind: variant, code, protocol, role, and the names of the node's kernel. */
  readonly ofKind?: boolean;
}

export interface RecordNumberName extends RecordName {
  readonly read: NumberReader<RecordReader, EventNames>;
}

export interface RecordTextName extends RecordName {
  /** Empty: the record does not have it. */
  readonly read: TextReader<RecordReader, EventNames>;
}

/** What `field`, `where` and `by` may name of a probe's records. */
export interface RecordNames {
  readonly numbers: readonly RecordNumberName[];
  readonly texts: readonly RecordTextName[];
}

const made = new WeakMap<Probe, RecordNames>();

/** Names of a probe's records. Numbers that a record does not have are NaN, texts are empty. */
export function recordNamesOf(probe: Probe): RecordNames {
  let names = made.get(probe);
  if (names === undefined) {
    names = { numbers: numbersOf(probe), texts: textsOf(probe) };
    made.set(probe, names);
  }
  return names;
}

function numbersOf({ event }: Probe): RecordNumberName[] {
  const severities = byVariant(event.variants, ({ severity }) => severity, Number.NaN);
  return [
    { name: 'port', meaning: 'port of the local end', read: (record) => record.sport },
    { name: 'far_port', meaning: 'port of the far end', read: (record) => record.dport },
    { name: 'severity', meaning: '1 info, 2 warning, 3 critical', read: ({ variant }) => severities[variant], ofKind: true },
    {
      name: 'suppressed',
      meaning: 'events like it that the token bucket withheld since the one before: suppressed + 1.0 stands for all of them',
      read: event.suppressed,
    },
    ...(event.values ?? []).map(({ name, description, read }) => ({
      name,
      meaning: description,
      read: (record: RecordReader) => {
        const value = read(record);
        return value < 0 ? Number.NaN : value;
      },
    })),
  ];
}

function textsOf({ event }: Probe): RecordTextName[] {
  const actions = byVariant(event.variants, ({ action }) => action, '');
  return [
    {
      name: 'action',
      meaning: `event.action: ${[...new Set(actions)].filter(Boolean).join(', ')}`,
      read: ({ variant }) => actions[variant],
      ofKind: true,
    },
    { name: 'reason', meaning: 'event.reason', read: oncePerRecord((record, names) => event.reason(record, names) ?? ''), ofKind: true },
    { name: 'role', meaning: 'of the local end: client, server, or empty', read: roleOf, ofKind: true },
    { name: 'transport', meaning: 'tcp, udp, icmp, ipv6-icmp, sctp, or empty', read: ({ proto }) => transports[proto] ?? '', ofKind: true },
    ...(event.texts?.list ?? []).map(({ name, read }) => ({
      name,
      meaning: `jitterscope.${event.texts?.group}.${name}`,
      read: oncePerRecord((record, names) => textOf(read(record, names))),
    })),
  ];
}

/** Several signals ask for the same text of a record, which takes looking names up. */
function oncePerRecord(read: TextReader<RecordReader, EventNames>): TextReader<RecordReader, EventNames> {
  let [text, serial, reader]: [string, number, RecordReader | undefined] = ['', -1, undefined];
  return (record, names) => {
    if (record !== reader || record.serial !== serial) {
      text = read(record, names);
      serial = record.serial;
      reader = record;
    }
    return text;
  };
}

function byVariant<Variant, Value>(variants: ReadonlyMap<number, Variant>, of: (variant: Variant) => Value, none: Value): Value[] {
  return Array.from({ length: 256 }, (_, number) => {
    const variant = variants.get(number);
    return variant === undefined ? none : of(variant);
  });
}

function roleOf({ flags }: RecordReader): string {
  if (flags & recordFlags.CLIENT) return 'client';
  return flags & recordFlags.SERVER ? 'server' : '';
}

function textOf(value: string | readonly string[] | undefined): string {
  if (value === undefined) return '';
  return typeof value === 'string' ? value : value.join(',');
}
