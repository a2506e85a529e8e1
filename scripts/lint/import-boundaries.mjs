// ESLint rule: imports go with the data, or down (docs/architecture.md). One row per folder says what it may import.
import { dirname, join, relative, sep } from 'node:path';

/** Folder or file of the importing code → what it may import besides itself. The first match holds. */
export const boundaries = [
  { from: /^test\//, not: [] },
  { from: /\.test\.ts$/, not: ['cli', 'bench'] },
  { from: /^bench\//, not: ['cli', 'test'] },
  { from: /^cli\//, not: ['test', 'bench'] },
  { from: /^core\//, may: ['core', 'native', 'proto'] },
  { from: /^schema\//, may: ['schema', 'proto', 'core/app-error.ts'] },
  { from: /^proto\//, may: ['proto'] },
  { from: /^native\//, may: ['native', 'core/app-error.ts'] },
  { from: /^bpf\//, may: ['bpf', 'schema'], types: ['native'] },
  { from: /^services\/collector\//, may: ['services/collector', 'core', 'schema', 'proto', 'bpf', 'native'] },
  { from: /^services\/gateway\//, may: ['services/gateway', 'core', 'schema', 'proto'] },
  { from: /^services\/aggregator\//, may: ['services/aggregator', 'core', 'schema', 'proto', 'bpf'] },
  { from: /^services\/sinks\//, may: ['services/sinks', 'core', 'schema', 'proto'] },
];

function isWithin(path, folders) {
  return folders.some((folder) => path === folder || path.startsWith(`${folder}/`));
}

/** What is wrong with `from` importing `to` (paths from the root, with /): a message, or undefined. */
export function violation(from, to, typeOnly) {
  const row = boundaries.find((one) => one.from.test(from));
  if (!row) return undefined;
  if (row.not) {
    const tested = /^cli\/.*\.test\.ts$/.test(from) ? row.not.filter((folder) => folder !== 'cli') : row.not;
    return isWithin(to, tested) ? `${from} may not import ${to}: nothing in ${tested.join(', ')} is for it` : undefined;
  }
  if (isWithin(to, row.may) || (typeOnly && row.types && isWithin(to, row.types))) return undefined;
  return `${from} may not import ${to}: imports go with the data or down, here only into ${row.may.join(', ')}`;
}

/** The rule, for a project at `root`. */
export function importBoundaries(root) {
  return {
    meta: { type: 'problem', schema: [], messages: { outside: '{{problem}}' } },
    create(context) {
      const from = relative(root, context.filename).split(sep).join('/');
      const check = (node, source, typeOnly) => {
        if (!source || typeof source.value !== 'string' || !source.value.startsWith('.')) return;
        const to = relative(root, join(dirname(context.filename), source.value))
          .split(sep)
          .join('/');
        const problem = violation(from, to, typeOnly);
        if (problem) context.report({ node, messageId: 'outside', data: { problem } });
      };
      return {
        ImportDeclaration: (node) => check(node, node.source, node.importKind === 'type'),
        ExportNamedDeclaration: (node) => check(node, node.source, node.exportKind === 'type'),
        ExportAllDeclaration: (node) => check(node, node.source, node.exportKind === 'type'),
        ImportExpression: (node) => check(node, node.source, false),
      };
    },
  };
}
