import { type EventField, eventFields } from '../../../schema/event.ts';

/** A mapping as Elasticsearch takes it. */
export interface Mapping {
  readonly [name: string]: unknown;
}

interface Properties {
  [name: string]: { type?: string; properties?: Properties; [setting: string]: unknown };
}

/** A longer keyword is in the document, but cannot be searched: ECS has the same limit. */
const ignoreAbove = 1024;

/**
 * The mapping of an event, from its vocabulary (schema/event.ts). Fields that it does not have are kept and not indexed, but
 * for the values that rules name.
 */
export function eventMapping(fields: readonly EventField[] = eventFields): Mapping {
  const properties: Properties = {};
  const dynamic: object[] = [];
  for (const field of fields) {
    const path = field.path.replaceAll('[]', '').split('.');
    if (path.at(-1) !== '*') {
      assign(properties, path, field);
      continue;
    }
    const parent = path.slice(0, -1);
    if (field.type === 'keyword') {
      // Any number of names, and one field.
      assign(properties, parent, { ...field, type: 'flattened' });
      continue;
    }
    Object.assign(objectAt(properties, parent), { dynamic: true });
    dynamic.push({ [parent.join('_')]: { path_match: field.path, mapping: { type: field.type } } });
  }
  return { dynamic: false, date_detection: false, numeric_detection: false, dynamic_templates: dynamic, properties };
}

function assign(properties: Properties, path: readonly string[], { type }: Pick<EventField, 'type'>): void {
  const parent = objectAt(properties, path.slice(0, -1));
  const limit = type === 'keyword' || type === 'flattened' ? { ignore_above: ignoreAbove } : {};
  (parent.properties ??= {})[path[path.length - 1]] = { type, ...limit };
}

/** The object at a path, made where it is not there. */
function objectAt(root: Properties, path: readonly string[]): { properties?: Properties } {
  let at: { properties?: Properties } = { properties: root };
  for (const name of path) {
    const properties: Properties = (at.properties ??= {});
    at = properties[name] ??= {};
  }
  return at;
}
