import { vi } from 'vitest';

// The probe's tests once more, over the perf buffers.
vi.stubEnv('JITTERSCOPE_TEST_TRANSPORT', 'perf');
await import('./tcpreset.kernel.test.ts');
