import { z } from 'zod';
import { size } from '../../core/quantity.ts';

/** The `gateway` section. */
export const gatewayConfig = z
  .strictObject({
    inFlightSize: size('8MiB').describe('Bytes of one stream that may wait for durability; beyond, the stream is paused.'),
    messageSize: size('4MiB').describe('Largest message a collector may send.'),
  })
  .prefault({});

export type GatewayConfig = z.output<typeof gatewayConfig>;
