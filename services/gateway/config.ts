import { z } from 'zod';
import { size } from '../../core/quantity.ts';

/** The `gateway` section. A message goes into the raw log as one of its own, which has to stay below 8 MiB. */
export const gatewayConfig = z
  .strictObject({
    inFlightSize: size('8MiB', { atLeast: '64KiB', atMost: '1GiB' }).describe(
      'Bytes of one stream that may wait for durability; beyond, the stream is paused.',
    ),
    messageSize: size('4MiB', { atLeast: '2MiB', atMost: '7MiB' }).describe('Largest message a collector may send.'),
  })
  .prefault({});

export type GatewayConfig = z.output<typeof gatewayConfig>;
