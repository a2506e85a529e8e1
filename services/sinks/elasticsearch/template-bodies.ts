import { createHash } from 'node:crypto';
import { eventMapping } from './mapping.ts';

/** Raised with every change of what is installed: a newer one is never replaced by an older one. */
export const templateVersion = 1;
/** Above the templates that Elasticsearch brings (100 to 200), and above those without one. */
export const templatePriority = 500;

/** What is installed for an index prefix: bodies as the REST API takes them, in the order of installation. */
export interface TemplateBodies {
  /** PUT _ilm/policy/<name>; only where the server has ILM. */
  readonly policy: { readonly name: string; readonly body: { readonly policy: object } };
  /** PUT _component_template/<name> */
  readonly components: readonly { readonly name: string; readonly body: object }[];
  /** PUT _index_template/<name> */
  readonly template: { readonly name: string; readonly body: object };
  /** Of all that is installed; in its `_meta`. */
  readonly hash: string;
}

/** Templates and policy for the indices `<index>-*`. `ilm`: the server has ILM. */
export function templateBodies(index: string, retentionDays: number, ilm: boolean): TemplateBodies {
  const [mappings, settings, custom] = [`${index}-mappings`, `${index}-settings`, `${index}@custom`];
  const content = {
    mappings: eventMapping(),
    settings: { index: ilm ? { lifecycle: { name: index } } : {} },
    patterns: [`${index}-*`],
    policy: { phases: { hot: { min_age: '0ms', actions: {} }, delete: { min_age: `${retentionDays}d`, actions: { delete: {} } } } },
  };
  const hash = createHash('sha256').update(JSON.stringify(content)).digest('hex').slice(0, 16);
  const meta = { version: templateVersion, _meta: { managed_by: 'jitterscope', hash } };
  return {
    policy: { name: index, body: { policy: { ...content.policy, _meta: meta._meta } } },
    components: [
      { name: mappings, body: { ...meta, template: { mappings: content.mappings } } },
      { name: settings, body: { ...meta, template: { settings: content.settings } } },
    ],
    template: {
      name: index,
      body: {
        ...meta,
        index_patterns: content.patterns,
        priority: templatePriority,
        // The last one is the operator's own: it may change shards, replicas, lifecycle, mappings.
        composed_of: [mappings, settings, custom],
        ignore_missing_component_templates: [custom],
      },
    },
    hash,
  };
}
