import { expect, test } from 'vitest';
import { classifyBulk, errorOf, failureOfResponse, judgeItem, judgeRequest } from './classify.ts';

const failure = (status: number, type = '') => ({ status, type, reason: 'because' });

test.each([
  [429, 'es_rejected_execution_exception', 'again', 'ELASTICSEARCH_OVERLOADED', true],
  // The flood stage of disks.
  [429, 'cluster_block_exception', 'again', 'ELASTICSEARCH_OVERLOADED', true],
  [500, 'exception', 'again', 'ELASTICSEARCH_FAILED', true],
  [503, 'unavailable_shards_exception', 'again', 'ELASTICSEARCH_FAILED', true],
  [401, 'security_exception', 'operator', 'ELASTICSEARCH_DENIED', false],
  [403, 'cluster_block_exception', 'operator', 'ELASTICSEARCH_DENIED', false],
  [404, 'index_not_found_exception', 'operator', 'ELASTICSEARCH_OPERATOR_NEEDED', false],
  [400, 'index_closed_exception', 'operator', 'ELASTICSEARCH_OPERATOR_NEEDED', false],
  [400, 'validation_exception', 'operator', 'ELASTICSEARCH_OPERATOR_NEEDED', false],
  [400, 'invalid_index_name_exception', 'operator', 'ELASTICSEARCH_OPERATOR_NEEDED', false],
  [400, 'document_parsing_exception', 'never', 'ELASTICSEARCH_EVENT_REFUSED', false],
  [400, 'mapper_parsing_exception', 'never', 'ELASTICSEARCH_EVENT_REFUSED', false],
  [400, 'strict_dynamic_mapping_exception', 'never', 'ELASTICSEARCH_EVENT_REFUSED', false],
  [400, 'illegal_argument_exception', 'never', 'ELASTICSEARCH_EVENT_REFUSED', false],
  [413, '', 'never', 'ELASTICSEARCH_TOO_LARGE', false],
] as const)('an item with %i %s: %s', (status, type, verdict, code, retryable) => {
  expect(judgeItem(failure(status, type))).toBe(verdict);
  expect(errorOf(failure(status, type), verdict)).toMatchObject({ code, retryable });
});

test.each([
  ['pipeline with id [gone] does not exist', 'operator'],
  ['no write index is defined for alias [jitterscope-events-2026.11.22]. The write index may be explicitly disabled', 'operator'],
  ['Limit of total fields [1000] has been exceeded', 'never'],
] as const)('an illegal argument, "%s": %s', (reason, verdict) => {
  expect(judgeItem({ status: 400, type: 'illegal_argument_exception', reason })).toBe(verdict);
});

test.each([
  [413, '', 'smaller', 'ELASTICSEARCH_TOO_LARGE'],
  [429, 'es_rejected_execution_exception', 'smaller', 'ELASTICSEARCH_OVERLOADED'],
  [429, 'circuit_breaking_exception', 'smaller', 'ELASTICSEARCH_OVERLOADED'],
  [500, '', 'again', 'ELASTICSEARCH_FAILED'],
  [502, '', 'again', 'ELASTICSEARCH_FAILED'],
  [503, 'cluster_block_exception', 'again', 'ELASTICSEARCH_FAILED'],
  [408, '', 'again', 'ELASTICSEARCH_FAILED'],
  [401, 'security_exception', 'operator', 'ELASTICSEARCH_DENIED'],
  [403, 'security_exception', 'operator', 'ELASTICSEARCH_DENIED'],
  [404, '', 'operator', 'ELASTICSEARCH_OPERATOR_NEEDED'],
  [405, '', 'operator', 'ELASTICSEARCH_OPERATOR_NEEDED'],
  [400, 'action_request_validation_exception', 'smaller', 'ELASTICSEARCH_EVENT_REFUSED'],
  [400, 'illegal_argument_exception', 'smaller', 'ELASTICSEARCH_EVENT_REFUSED'],
  // Nothing an event could be blamed for.
  [400, 'media_type_header_exception', 'operator', 'ELASTICSEARCH_OPERATOR_NEEDED'],
  [400, '', 'operator', 'ELASTICSEARCH_OPERATOR_NEEDED'],
  [302, '', 'operator', 'ELASTICSEARCH_OPERATOR_NEEDED'],
] as const)('a request with %i %s: %s', (status, type, verdict, code) => {
  expect(judgeRequest(failure(status, type))).toBe(verdict);
  expect(errorOf(failure(status, type), verdict).code).toBe(code);
});

test('a request for which a queue has no room is sent again as it is, and told in words', () => {
  const pool =
    'TaskExecutionTimeTrackingEsThreadPoolExecutor[name = es-1/write, queue capacity = 10000, task execution EWMA = 6.7ms, [Running]]';
  const failure = {
    status: 429,
    type: 'es_rejected_execution_exception',
    reason: `rejected execution of TimedRunnable{original=org.x.Y$1/${'x'.repeat(800)}, failedOrRejected=false} on ${pool}`,
  };
  expect(judgeRequest(failure)).toBe('again');
  expect(errorOf(failure, 'again').message).toBe(
    'Elasticsearch takes no more for now: 429 es_rejected_execution_exception: no room in the queue of thread pool es-1/write, capacity 10000',
  );
  const memory = 'rejected execution of coordinating operation [coordinating_and_primary_bytes=0, max_coordinating_bytes=1048576]';
  expect(judgeRequest({ ...failure, reason: memory })).toBe('smaller');
});

test('of an answer only what failed is named: 409 is stored, 429 and 5xx go again, 400 is rejected with its reason', () => {
  const error = (type: string, reason: string, cause?: string) => ({ type, reason, ...(cause && { caused_by: { reason: cause } }) });
  const items = [
    { create: { status: 201 } },
    { create: { status: 409, error: error('version_conflict_engine_exception', 'it is there') } },
    { create: { status: 429, error: error('es_rejected_execution_exception', 'queue') } },
    { create: { status: 503, error: error('unavailable_shards_exception', 'no primary') } },
    { create: { status: 400, error: error('document_parsing_exception', '[1:5] failed', "'x' is not an IP string literal.") } },
  ];
  const found = classifyBulk({ errors: true, items }, [0, 1, 2, 3, 7]);
  expect(found?.alreadyStored).toBe(1);
  expect(found?.delivery.retry).toMatchObject({ items: [2, 3], cause: { code: 'ELASTICSEARCH_OVERLOADED' } });
  expect(found?.delivery.rejected).toEqual([
    {
      item: 7,
      error: expect.objectContaining({
        code: 'ELASTICSEARCH_EVENT_REFUSED',
        message: "Elasticsearch does not take this event: 400 document_parsing_exception: [1:5] failed: 'x' is not an IP string literal.",
      }),
    },
  ]);
});

test('what an operator has to mend is told before what may pass, wherever it stands', () => {
  const busy = { create: { status: 429, error: { type: 'es_rejected_execution_exception' } } };
  const blocked = { create: { status: 403, error: { type: 'cluster_block_exception' } } };
  for (const items of [
    [busy, blocked],
    [blocked, busy],
  ])
    expect(classifyBulk({ errors: true, items }, [0, 1])?.delivery.retry).toMatchObject({
      items: [0, 1],
      cause: { code: 'ELASTICSEARCH_DENIED' },
    });
});

test.each([
  ['nothing', undefined],
  ['null', null],
  ['text', '<html>'],
  ['no items', { errors: false }],
  ['fewer items', { errors: false, items: [{ create: { status: 201 } }] }],
  ['items of another kind', { errors: false, items: [{ create: { status: 201 } }, { index: { status: 201 } }] }],
  ['items without a status', { errors: false, items: [{ create: { status: 201 } }, {}] }],
])('an answer that names not each item is none: %s', (_, body) => {
  expect(classifyBulk(body, [0, 1])).toBeUndefined();
});

test.each([
  [{ error: { type: 'security_exception', reason: 'missing authentication' } }, 'security_exception', 'missing authentication'],
  [{ error: 'no handler found for uri [/x]' }, '', 'no handler found for uri [/x]'],
  ['<html>502 Bad Gateway</html>', '', '<html>502 Bad Gateway</html>'],
  [undefined, '', ''],
  [{ error: { type: 7 } }, '', ''],
])('type and reason of an answer: %j', (body, type, reason) => {
  expect(failureOfResponse(502, body)).toEqual({ status: 502, type, reason });
});
