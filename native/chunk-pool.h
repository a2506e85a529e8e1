/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fixed number of chunks between the reader thread and JavaScript, allocated when first needed.
 * A chunk in flight belongs to whoever holds it; the pool only counts it.
 */
#ifndef JITTERSCOPE_CHUNK_POOL_H
#define JITTERSCOPE_CHUNK_POOL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct chunk {
	struct chunk *next;
	size_t used;
	uint8_t bytes[];
};

struct chunk_pool {
	pthread_mutex_t lock;
	pthread_cond_t changed; /* a chunk came back, or chunk_pool_wake */
	struct chunk *free;
	size_t chunk_bytes;
	unsigned int allocated;
	unsigned int most;
	bool woken;
};

int chunk_pool_init(struct chunk_pool *pool, size_t chunk_bytes, unsigned int most);
/* NULL when all chunks are in flight. */
struct chunk *chunk_pool_take(struct chunk_pool *pool);
void chunk_pool_give(struct chunk_pool *pool, struct chunk *chunk);
/* Ends the current or the next wait. */
void chunk_pool_wake(struct chunk_pool *pool);
/* Waits for the time, or less: until woken and, with for_chunk, until one is free. */
void chunk_pool_wait(struct chunk_pool *pool, unsigned int wait_ms, bool for_chunk);
/* Frees the chunks that are not in flight. */
void chunk_pool_destroy(struct chunk_pool *pool);

#endif
