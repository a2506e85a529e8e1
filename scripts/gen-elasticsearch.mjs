// deploy/elasticsearch: what the Elasticsearch sink installs, for whoever installs it by hand. Needs the compiled program.
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** Path from the root → text. */
export async function generateElasticsearch(root) {
  const load = (path) => import(pathToFileURL(join(root, 'dist', path)).href);
  const { templateBodies } = await load('services/sinks/elasticsearch/template-bodies.js');
  const { elasticsearchSinkSchema } = await load('services/sinks/elasticsearch/config.js');
  const { index, retentionDays } = elasticsearchSinkSchema.parse({});
  const { policy, components, template } = templateBodies(index, retentionDays, true);
  const requests = [
    [`_ilm/policy/${policy.name}`, policy.body],
    ...components.map(({ name, body }) => [`_component_template/${name}`, body]),
    [`_index_template/${template.name}`, template.body],
  ];
  const text = requests.map(([path, body]) => `PUT ${path}\n${JSON.stringify(body, undefined, 2)}\n`).join('\n');
  return { 'deploy/elasticsearch/templates.console': text };
}
