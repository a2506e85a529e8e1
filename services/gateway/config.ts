import { z } from 'zod';
import { hostPort, isLoopback, parseHostPort } from '../../core/host-port.ts';
import { size } from '../../core/quantity.ts';
import { serverTlsSchema } from '../../core/tls.ts';
import type { TcpOptions } from './tcp-listener.ts';

/** The `gateway` section. A message goes into the raw log as one of its own, which has to stay below 8 MiB. */
export const gatewayConfig = z
  .strictObject({
    listen: hostPort({ off: true })
      .default('off')
      .describe('TCP address and port that collectors of other machines connect to; off: only the Unix socket of the data folder.'),
    tls: serverTlsSchema
      .optional()
      .describe('With it a collector must have a certificate of one of these authorities, and writes as the node that it names.'),
    allowPlaintext: z
      .boolean()
      .default(false)
      .describe('Whether to listen without tls on an address that other machines reach. Whoever reaches it can write as any node.'),
    replays: z
      .boolean()
      .default(false)
      .describe(
        'A gateway for `replay --gateway`: it takes captures, which bring their own clock, and writes no ticks. Live collectors need another one.',
      ),
    inFlightSize: size('8MiB', { atLeast: '64KiB', atMost: '1GiB' }).describe(
      'Bytes of one stream that may wait for durability; beyond, the stream is paused.',
    ),
    memorySize: size('64MiB', { atLeast: '8MiB', atMost: '64GiB' }).describe(
      'Bytes of all streams that may wait for durability: an equal part for each raw partition, shared evenly by its streams; beyond, none of them is read on.',
    ),
    messageSize: size('4MiB', { atLeast: '2MiB', atMost: '7MiB' }).describe('Largest message a collector may send.'),
  })
  .superRefine(({ listen, tls, allowPlaintext }, context) => {
    const host = parseHostPort(listen)?.host;
    if (host === undefined || tls !== undefined || allowPlaintext || isLoopback(host)) return;
    const message = `found nothing beside listen: ${listen}, expected ca, cert and key: other machines reach this address (allowPlaintext: true does without)`;
    context.addIssue({ code: 'custom', path: ['tls'], message });
  })
  .prefault({});

export type GatewayConfig = z.output<typeof gatewayConfig>;

/** Where to listen besides the Unix socket; undefined: nowhere. */
export function tcpOptions({ listen, tls }: GatewayConfig): TcpOptions | undefined {
  const address = parseHostPort(listen);
  return address === undefined ? undefined : { ...address, tls };
}
