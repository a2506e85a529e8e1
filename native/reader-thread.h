/* SPDX-License-Identifier: Apache-2.0 */
/* The reader's state and its thread. Stop, abort and join are called on the JavaScript thread. */
#ifndef JITTERSCOPE_READER_THREAD_H
#define JITTERSCOPE_READER_THREAD_H

#include "reader.h"

#include <stdatomic.h>

struct reader {
	/* JavaScript thread only. */
	int references; /* the Reader object's and the thread-safe function's */
	napi_deferred ended;
	struct reader_list *list;
	struct reader *next;
	bool environment_ended;
	bool thread_running;
	uint64_t lost; /* what the source told at its end */
	pthread_t thread;

	/* Reader thread only. */
	struct chunk *chunk;
	bool closing; /* the thread-safe function is closed: not to be used any more */

	/* Both. */
	struct source *source;
	napi_threadsafe_function deliver;
	uint32_t drain_ms;
	struct chunk_pool pool;
	atomic_bool stopping;
	atomic_bool aborted;
	atomic_uint_fast64_t records, bytes, chunks, stalls, malformed;
	char name[];
};

int reader_thread_start(struct reader *reader);
/* Asks the thread to drain what is there and to end. */
void reader_thread_stop(struct reader *reader);
/* Ends the thread without delivering, and waits for it. */
void reader_thread_abort(struct reader *reader);
void reader_thread_join(struct reader *reader);

#endif
