/* SPDX-License-Identifier: Apache-2.0 */
#include "reader-thread.h"

#include <signal.h>
#include <string.h>

/* After so many drains in a row that found nothing, a source is looked at so much more seldom, until one finds something. */
#define QUIET_DRAINS 16
#define QUIET_FACTOR 4

static void count(atomic_uint_fast64_t *counter, uint64_t by)
{
	/* One writer: no locked instruction needed. */
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + by,
			      memory_order_relaxed);
}

/* Queues the chunk for JavaScript. There is room: the queue holds as many as the pool. */
static void hand_over(struct reader *reader)
{
	struct chunk *chunk = reader->chunk;
	napi_status status;

	if (!chunk || chunk->used == 0)
		return;
	reader->chunk = NULL;
	count(&reader->chunks, 1);
	status = napi_call_threadsafe_function(reader->deliver, chunk, napi_tsfn_nonblocking);
	if (status == napi_ok)
		return;
	chunk_pool_give(&reader->pool, chunk);
	reader->closing = status == napi_closing;
	atomic_store(&reader->aborted, true);
}

void reader_count_malformed(struct reader *reader)
{
	count(&reader->malformed, 1);
}

bool reader_put(struct reader *reader, const uint8_t *record, size_t size)
{
	struct chunk *chunk = reader->chunk;

	if (size < RECORD_MIN_BYTES || size > RECORD_MAX_BYTES ||
	    record[RECORD_LEN_OFFSET] * (size_t)RECORD_UNIT_BYTES != size) {
		reader_count_malformed(reader);
		return true;
	}
	if (chunk && chunk->used + size > reader->pool.chunk_bytes) {
		hand_over(reader);
		chunk = NULL;
	}
	if (!chunk) {
		chunk = chunk_pool_take(&reader->pool);
		if (!chunk)
			return false;
		reader->chunk = chunk;
	}
	memcpy(chunk->bytes + chunk->used, record, size);
	chunk->used += size;
	count(&reader->records, 1);
	count(&reader->bytes, size);
	return true;
}

static void *run(void *data)
{
	struct reader *reader = data;
	unsigned int empty = 0;
	enum drained drained;

	pthread_setname_np(pthread_self(), "jitter-reader");
	do {
		uint64_t records = atomic_load_explicit(&reader->records, memory_order_relaxed);

		drained = reader->source->drain(reader->source, reader, atomic_load(&reader->stopping));
		hand_over(reader);
		if (drained == DRAINED_FULL)
			count(&reader->stalls, 1);
		if (drained == DRAINED_ALL && atomic_load_explicit(&reader->records, memory_order_relaxed) == records)
			empty++;
		else
			empty = 0;
		if (drained == DRAINED_ALL || drained == DRAINED_FULL)
			chunk_pool_wait(&reader->pool, reader->drain_ms * (empty > QUIET_DRAINS ? QUIET_FACTOR : 1),
					drained == DRAINED_FULL);
	} while (drained != DRAINED_END && !atomic_load(&reader->aborted));
	if (!reader->closing)
		napi_release_threadsafe_function(reader->deliver, napi_tsfn_release);
	return NULL;
}

int reader_thread_start(struct reader *reader)
{
	sigset_t all, before;
	int err;

	/* Signals are for the main thread. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&reader->thread, NULL, run, reader);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	reader->thread_running = err == 0;
	return err;
}

void reader_thread_stop(struct reader *reader)
{
	atomic_store(&reader->stopping, true);
	chunk_pool_wake(&reader->pool);
}

void reader_thread_join(struct reader *reader)
{
	if (!reader->thread_running)
		return;
	pthread_join(reader->thread, NULL);
	reader->thread_running = false;
}

void reader_thread_abort(struct reader *reader)
{
	atomic_store(&reader->aborted, true);
	chunk_pool_wake(&reader->pool);
	reader_thread_join(reader);
}
