import type { Client } from '@elastic/elasticsearch';
import type { Log } from '../../../core/log.ts';
import type { ElasticsearchFailure } from './classify.ts';
import type { ElasticsearchConfig } from './config.ts';
import { elasticsearchError } from './errors.ts';
import type { Connection } from './send.ts';
import { type TemplateBodies, templateBodies, templatePriority, templateVersion } from './template-bodies.ts';

type Config = Pick<ElasticsearchConfig, 'index' | 'templates' | 'retentionDays'>;
type Put<Api extends (...args: never[]) => unknown> = Parameters<Api>[0];

/** Fields whose types everything depends on: ids, nanoseconds, addresses. */
const probes = { '@timestamp': 'date_nanos', 'event.id': 'keyword', 'source.ip': 'ip' } as const;

/** What `ensureTemplates` made sure of. `unchecked`: why it cannot tell whether another template hides ours. */
export interface TemplateState {
  readonly unchecked?: string;
}

/**
 * Installs or checks what a new index is made by, as it is configured. Resolves when events can be sent; rejects with
 * ELASTICSEARCH_*. It asks for the templates only: neither the server's root nor its state have to be readable. The user
 * needs the cluster privilege `monitor` to check, `manage_index_templates` (and `manage_ilm`) to install, none for `off`.
 */
export async function ensureTemplates(connection: Connection, config: Config, log: Log, signal: AbortSignal): Promise<TemplateState> {
  if (config.templates === 'off') return {};
  const { index } = config;
  const installed = await metaOf(connection, index, signal);
  const newer = installed !== undefined && installed.version > templateVersion;
  if (config.templates === 'check') {
    const found = installed === undefined ? 'missing' : `version ${installed.version}`;
    if (!newer && installed?.version !== templateVersion)
      throw elasticsearchError('ELASTICSEARCH_TEMPLATE_MISSING', { template: index, found, expected: templateVersion });
  } else if (!newer) {
    const ilm = await hasIlm(connection, index, signal);
    const bodies = templateBodies(index, config.retentionDays, ilm);
    if (installed?.version !== templateVersion || installed.hash !== bodies.hash) {
      await install(connection, bodies, ilm, signal);
      log.info({ template: index, version: templateVersion, lifecycle: ilm }, installedText(index, ilm));
    }
  }
  return checkEffect(connection, config, signal);
}

function installedText(index: string, ilm: boolean): string {
  if (ilm) return `index templates ${index} were installed`;
  return `index templates ${index} were installed; the server has no index lifecycle management: nothing deletes old indices`;
}

async function install(connection: Connection, bodies: TemplateBodies, ilm: boolean, signal: AbortSignal): Promise<void> {
  const { policy, components, template } = bodies;
  const put = async (call: (client: Client, options: object) => Promise<unknown>): Promise<void> => {
    const answer = await connection.ask(signal, call);
    if ('failure' in answer) throw refused('install its index templates', answer.failure);
  };
  if (ilm) {
    const params = { name: policy.name, ...policy.body } as Put<Client['ilm']['putLifecycle']>;
    await put((client, options) => client.ilm.putLifecycle(params, options));
  }
  for (const { name, body } of components) {
    const params = { name, ...body } as Put<Client['cluster']['putComponentTemplate']>;
    await put((client, options) => client.cluster.putComponentTemplate(params, options));
  }
  // Last: with it everything holds.
  const params = { name: template.name, ...template.body } as Put<Client['indices']['putIndexTemplate']>;
  await put((client, options) => client.indices.putIndexTemplate(params, options));
}

/** Version and hash of the installed template. */
async function metaOf(connection: Connection, index: string, signal: AbortSignal): Promise<{ version: number; hash: string } | undefined> {
  const answer = await connection.ask(signal, (client, options) => client.indices.getIndexTemplate({ name: index }, options));
  if ('failure' in answer) {
    const { status, type, reason } = answer.failure;
    if (status === 404) return undefined;
    if (status === 403) throw elasticsearchError('ELASTICSEARCH_TEMPLATE_UNREADABLE', { status, reason: textOf(type, reason) });
    throw refused('read its index templates', answer.failure);
  }
  const [found] = answer.body.index_templates ?? [];
  if (found === undefined) return undefined;
  const { version = 0, _meta: meta } = found.index_template;
  return { version, hash: String(meta?.hash ?? 'unknown') };
}

/** Whether the server has index lifecycle management: one that has not knows no such route. */
async function hasIlm(connection: Connection, index: string, signal: AbortSignal): Promise<boolean> {
  const answer = await connection.ask(signal, (client, options) => client.ilm.getLifecycle({ name: index }, options));
  if ('body' in answer) return true;
  const { status, type } = answer.failure;
  // Without the policy: 404 resource_not_found_exception.
  if (status === 404) return type !== '';
  if (status === 400 || status === 405 || status === 410) return false;
  throw refused('read its lifecycle policies', answer.failure);
}

/**
 * Whether a new index gets our mapping: a template of higher priority would hide it. To ask for that takes the right to
 * install, which who only checks need not have.
 */
async function checkEffect(connection: Connection, { index, templates }: Config, signal: AbortSignal): Promise<TemplateState> {
  const name = `${index}-2026.01.01`;
  const answer = await connection.ask(signal, (client, options) => client.indices.simulateIndexTemplate({ name }, options));
  if ('failure' in answer) {
    const { status, type, reason } = answer.failure;
    if (status === 403 && templates === 'check') return { unchecked: `${status} ${textOf(type, reason)}` };
    throw refused('simulate a new index', answer.failure);
  }
  const { mappings } = answer.body.template as { mappings?: object };
  for (const [field, expected] of Object.entries(probes)) {
    const found = typeAt(mappings, field);
    if (found === expected) continue;
    const details = { index: name, field, found: found ?? 'nothing', expected, priority: templatePriority };
    throw elasticsearchError('ELASTICSEARCH_TEMPLATE_SHADOWED', details);
  }
  return {};
}

function typeAt(mapping: unknown, field: string): string | undefined {
  let at = mapping as { properties?: Record<string, unknown>; type?: unknown } | undefined;
  for (const key of field.split('.')) at = at?.properties?.[key] as typeof at;
  return typeof at?.type === 'string' ? at.type : undefined;
}

function refused(action: string, { status, type, reason }: ElasticsearchFailure) {
  const details = { status, reason: textOf(type, reason) };
  if (status === 401) return elasticsearchError('ELASTICSEARCH_DENIED', details);
  if (status === 403) return elasticsearchError('ELASTICSEARCH_TEMPLATE_DENIED', { action, ...details });
  if (status === 429 || status >= 500) return elasticsearchError('ELASTICSEARCH_FAILED', details);
  return elasticsearchError('ELASTICSEARCH_OPERATOR_NEEDED', details);
}

function textOf(type: string, reason: string): string {
  return `${type}: ${reason}`.slice(0, 500);
}
