// What needs types, and what is ours: the rest of linting is Biome's.
import { fileURLToPath } from 'node:url';
import tseslint from 'typescript-eslint';
import { importBoundaries } from './scripts/lint/import-boundaries.mjs';

const root = fileURLToPath(new URL('.', import.meta.url));

const noDefaultExport = {
  selector: 'ExportDefaultDeclaration, ExportSpecifier[exported.name="default"]',
  message: 'Export by name: one name for one thing.',
};
const noExit = {
  selector: 'CallExpression[callee.object.name="process"][callee.property.name="exit"]',
  message: 'Only cli/ and services/*/main.ts end the process; throw, or set process.exitCode.',
};

export default tseslint.config(
  { ignores: ['node_modules', 'dist', 'build', 'data', '.cache', 'proto/gen', '**/*.gen.ts', '**/*.mjs', '**/*.cjs', '**/*.js'] },
  {
    files: ['**/*.ts'],
    languageOptions: {
      parser: tseslint.parser,
      parserOptions: { projectService: { allowDefaultProject: ['vitest.config.ts'] }, tsconfigRootDir: root },
    },
    plugins: { '@typescript-eslint': tseslint.plugin, jitterscope: { rules: { 'import-boundaries': importBoundaries(root) } } },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: {
      '@typescript-eslint/await-thenable': 'error',
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/no-unnecessary-type-assertion': 'error',
      '@typescript-eslint/only-throw-error': 'error',
      '@typescript-eslint/return-await': ['error', 'error-handling-correctness-only'],
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      'jitterscope/import-boundaries': 'error',
      'no-restricted-syntax': ['error', noDefaultExport, noExit],
    },
  },
  { files: ['cli/**/*.ts', 'services/*/main.ts'], rules: { 'no-restricted-syntax': ['error', noDefaultExport] } },
  { files: ['vitest.config.ts'], rules: { 'no-restricted-syntax': 'off' } },
);
