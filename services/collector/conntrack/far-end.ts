import type { TrackedConnection, Tuple } from './ctnetlink.ts';

/** An address of 16 bytes with its port. */
export interface End {
  readonly address: Buffer;
  readonly port: number;
}

/**
 * The far end behind a translated address, of a connection as its local end sees it (local to far): for the client it is
 * who answers, for the server who asked. Undefined where it is what the local end sees.
 */
export function translatedFarEnd(seen: Tuple, { original, reply }: TrackedConnection): End | undefined {
  const isClient = sameTuple(seen, original);
  if (!isClient && !sameTuple(seen, reply)) return undefined;
  const end = isClient ? { address: reply.source, port: reply.sourcePort } : { address: original.source, port: original.sourcePort };
  return end.port === seen.destinationPort && end.address.equals(seen.destination) ? undefined : end;
}

function sameTuple(a: Tuple, b: Tuple): boolean {
  return (
    a.sourcePort === b.sourcePort &&
    a.destinationPort === b.destinationPort &&
    a.source.equals(b.source) &&
    a.destination.equals(b.destination)
  );
}
