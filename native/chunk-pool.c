/* SPDX-License-Identifier: Apache-2.0 */
#include "chunk-pool.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

int chunk_pool_init(struct chunk_pool *pool, size_t chunk_bytes, unsigned int most)
{
	pthread_condattr_t attributes;
	int err;

	*pool = (struct chunk_pool){ .chunk_bytes = chunk_bytes, .most = most };
	err = pthread_mutex_init(&pool->lock, NULL);
	if (err)
		return err;
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	err = pthread_cond_init(&pool->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	if (err)
		pthread_mutex_destroy(&pool->lock);
	return err;
}

static bool available(const struct chunk_pool *pool)
{
	return pool->free || pool->allocated < pool->most;
}

struct chunk *chunk_pool_take(struct chunk_pool *pool)
{
	struct chunk *chunk;

	pthread_mutex_lock(&pool->lock);
	chunk = pool->free;
	if (chunk) {
		pool->free = chunk->next;
	} else if (pool->allocated < pool->most) {
		chunk = malloc(sizeof(*chunk) + pool->chunk_bytes);
		if (chunk)
			pool->allocated++;
	}
	pthread_mutex_unlock(&pool->lock);
	if (chunk)
		chunk->used = 0;
	return chunk;
}

void chunk_pool_give(struct chunk_pool *pool, struct chunk *chunk)
{
	pthread_mutex_lock(&pool->lock);
	chunk->next = pool->free;
	pool->free = chunk;
	pthread_cond_signal(&pool->changed);
	pthread_mutex_unlock(&pool->lock);
}

void chunk_pool_wake(struct chunk_pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	pool->woken = true;
	pthread_cond_signal(&pool->changed);
	pthread_mutex_unlock(&pool->lock);
}

void chunk_pool_wait(struct chunk_pool *pool, unsigned int wait_ms, bool for_chunk)
{
	struct timespec deadline;
	int err = 0;

	clock_gettime(CLOCK_MONOTONIC, &deadline);
	deadline.tv_sec += wait_ms / 1000;
	deadline.tv_nsec += (long)(wait_ms % 1000) * 1000000;
	if (deadline.tv_nsec >= 1000000000) {
		deadline.tv_sec++;
		deadline.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&pool->lock);
	while (!err && !pool->woken && !(for_chunk && available(pool)))
		err = pthread_cond_timedwait(&pool->changed, &pool->lock, &deadline);
	pool->woken = false;
	pthread_mutex_unlock(&pool->lock);
}

void chunk_pool_destroy(struct chunk_pool *pool)
{
	while (pool->free) {
		struct chunk *chunk = pool->free;

		pool->free = chunk->next;
		free(chunk);
	}
	pthread_cond_destroy(&pool->changed);
	pthread_mutex_destroy(&pool->lock);
}
