import { z } from 'zod';
import { duration, size } from '../../../core/quantity.ts';
import { tlsSchema } from '../../../core/tls.ts';
import { credentialsSchema } from '../http/credentials.ts';

/** A URL is shown in errors and by `config show`: it holds no secret. */
const url = z
  .url({ protocol: /^https?$/, error: 'found no URL, expected one such as https://elasticsearch:9200' })
  .refine((text) => !URL.canParse(text) || (new URL(text).username === '' && new URL(text).password === ''), {
    error: 'found a URL with a user name, expected it without: they belong to credentials',
  });

/** Section `sinks.elasticsearch`. */
export const elasticsearchSinkSchema = z.strictObject({
  enabled: z.boolean().default(false).describe('Store events in Elasticsearch 8 or 9.'),
  urls: z.array(url).min(1).max(64).default(['http://127.0.0.1:9200']).describe('Nodes of the cluster; requests go round.'),
  index: z
    .string()
    .regex(/^[a-z0-9][a-z0-9_.-]*$/)
    .max(200)
    .default('jitterscope-events')
    .describe('Begin of the names of indices and templates: an event of 22 November 2026 is in jitterscope-events-2026.11.22.'),
  plausibleDays: z
    .int()
    .min(1)
    .max(3650)
    .default(90)
    .describe(
      'Events that came later than so many days, or of a day behind the next one, are in the one index jitterscope-events-other-days.',
    ),
  requestSize: size('4MiB', { atLeast: '64KiB', atMost: '64MiB' }).describe(
    "Bytes of events in one request, at most; below the server's http.max_content_length.",
  ),
  requestTimeout: duration('60s').describe(
    'A request without a whole answer after this time is sent again; the server stores no event twice.',
  ),
  compression: z.boolean().default(false).describe('Compress requests with gzip: a tenth of the bytes for several times the CPU.'),
  templates: z
    .enum(['install', 'check', 'off'])
    .default('install')
    .describe(
      'Index templates: install them and keep them up to date (cluster privileges manage_index_templates, manage_ilm); only check that the right ones are there (monitor); or do not look.',
    ),
  retentionDays: z
    .int()
    .min(1)
    .max(36_500)
    .default(30)
    .describe('An index is deleted after so many days, where the server has index lifecycle management and templates are installed.'),
  tls: tlsSchema.prefault({}),
  credentials: credentialsSchema.prefault({}),
});

export type ElasticsearchConfig = z.output<typeof elasticsearchSinkSchema>;
