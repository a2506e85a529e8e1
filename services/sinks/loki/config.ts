import { z } from 'zod';
import { expecting } from '../../../core/config/traits.ts';
import { duration, size } from '../../../core/quantity.ts';
import { tlsSchema } from '../../../core/tls.ts';
import { credentialsSchema } from '../http/credentials.ts';

const url = z.string().refine(
  (text) => {
    const parsed = URL.canParse(text) ? new URL(text) : undefined;
    return /^https?:$/.test(parsed?.protocol ?? '') && parsed?.username === '' && parsed.search === '' && parsed.hash === '';
  },
  { error: 'expected http(s)://host[:port][/prefix] without a user, a query or /loki/api/v1/push' },
);

/** Section `sinks.loki`. The limits are those of Loki's limits_config; the defaults are its own. */
export const lokiSinkSchema = z.strictObject({
  enabled: z.boolean().default(false).describe('Send events to Grafana Loki.'),
  url: expecting(
    url.default('http://127.0.0.1:3100').describe('Address of Loki, or of what stands before it, without /loki/api/v1.'),
    'http(s)://host[:port][/prefix]',
  ),
  tenantId: expecting(
    z
      .string()
      .regex(/^[A-Za-z0-9!\-_.*'()]{1,150}$/)
      .optional()
      .describe('Tenant (header X-Scope-OrgID), where Loki has several.'),
    "1 to 150 of letters, digits and !-_.*'()",
  ),
  credentials: credentialsSchema.prefault({}),
  tls: tlsSchema.prefault({}),
  encoding: z
    .enum(['protobuf', 'json'])
    .default('protobuf')
    .describe('protobuf: with snappy, the least work for both. json: with gzip, for proxies that look into pushes.'),
  readBack: z
    .boolean()
    .default(true)
    .describe('Ask Loki, after an outcome that is not known, what it holds, and send only what is missing. It needs leave to query.'),
  timeout: duration('30s').describe('A push or query without an answer is given up after this long.'),
  maxPushSize: size('1MiB', { atLeast: '64KiB', atMost: '4MiB' }).describe('Most bytes of events in one push. 128 KiB without readBack.'),
  maxLineSize: size('256KiB').describe('Events with more bytes go to the dead letters (max_line_size).'),
  maxAge: duration('7d').describe('Events that are older go to the dead letters (reject_old_samples_max_age).'),
  maxAhead: duration('10m').describe('Events that are further in the future go to the dead letters (creation_grace_period).'),
});

export type LokiSinkConfig = z.output<typeof lokiSinkSchema>;
