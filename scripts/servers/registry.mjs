// The servers that tests start and `npm run servers -- <name>` runs: one line each.
import { elasticsearch } from './elasticsearch.mjs';
import { kafka } from './kafka.mjs';
import { loki } from './loki.mjs';
import { prometheus } from './prometheus.mjs';

export const servers = [kafka, elasticsearch, loki, prometheus];
