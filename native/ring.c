/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The consumer side of a BPF ring buffer (kernel/bpf/ringbuf.c): a page with the consumer's
 * position, a page with the producer's, and the data twice in a row, so that no record wraps.
 * Each record has an 8-byte header, whose length word carries a busy and a discard bit.
 */
#include "ring.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* How often a stopping reader looks again at a record that is not committed yet. */
#define LAST_LOOKS 50

struct ring {
	struct source source;
	unsigned long *consumer; /* ours to write */
	const unsigned long *producer;
	const uint8_t *data;
	size_t size;
	size_t page;
	/* Set when the last drain begins: how far it goes. */
	unsigned long last_position;
	unsigned int last_looks;
	bool last;
};

static unsigned long load(const unsigned long *position)
{
	return __atomic_load_n(position, __ATOMIC_ACQUIRE);
}

/* Gives the kernel the room up to here. */
static void publish(struct ring *ring, unsigned long position)
{
	__atomic_store_n(ring->consumer, position, __ATOMIC_RELEASE);
}

/* Takes the records up to end; consumer is where it stopped. False when no chunk was free. */
static bool take(struct ring *ring, struct reader *reader, unsigned long end, unsigned long *consumer)
{
	unsigned long at = *consumer, published = at;
	bool room = true;

	while (at < end) {
		const uint8_t *header = ring->data + (at & (ring->size - 1));
		uint32_t word = __atomic_load_n((const uint32_t *)header, __ATOMIC_ACQUIRE);
		size_t length = word & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);

		if (word & BPF_RINGBUF_BUSY_BIT)
			break;
		if (!(word & BPF_RINGBUF_DISCARD_BIT)) {
			room = reader_put(reader, header + BPF_RINGBUF_HDR_SZ, length);
			if (!room)
				break;
		}
		at += (length + BPF_RINGBUF_HDR_SZ + 7) & ~7UL;
		/* Not at every record: each one costs the producers a cache line. */
		if (at - published >= ring->size / 16) {
			publish(ring, at);
			published = at;
		}
	}
	publish(ring, at);
	*consumer = at;
	return room;
}

static enum drained ring_drain(struct source *source, struct reader *reader, bool last)
{
	struct ring *ring = (struct ring *)source;
	unsigned long consumer = *ring->consumer, begin = consumer, producer = load(ring->producer);

	if (!last) {
		if (!take(ring, reader, producer, &consumer))
			return DRAINED_FULL;
		/* The ring fills faster than the timer: do not wait for it. */
		return consumer - begin > ring->size / 2 ? DRAINED_MORE : DRAINED_ALL;
	}
	if (!ring->last) {
		ring->last = true;
		ring->last_position = producer;
	}
	if (!take(ring, reader, ring->last_position, &consumer))
		return DRAINED_FULL;
	if (consumer >= ring->last_position || ++ring->last_looks > LAST_LOOKS)
		return DRAINED_END;
	usleep(1000);
	return DRAINED_MORE;
}

static uint64_t ring_waiting(struct source *source)
{
	struct ring *ring = (struct ring *)source;
	unsigned long consumer = load(ring->consumer);

	return load(ring->producer) - consumer;
}

static void ring_free(struct source *source)
{
	struct ring *ring = (struct ring *)source;

	munmap(ring->consumer, ring->page);
	munmap((void *)ring->producer, ring->page + 2 * ring->size);
	free(ring);
}

struct source *ring_open(int fd, size_t bytes)
{
	struct ring *ring = calloc(1, sizeof(*ring));
	int err;

	if (!ring)
		return NULL;
	ring->source = (struct source){ .drain = ring_drain, .waiting = ring_waiting, .free = ring_free };
	ring->size = bytes;
	ring->page = (size_t)sysconf(_SC_PAGESIZE);
	ring->consumer = mmap(NULL, ring->page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (ring->consumer == MAP_FAILED)
		goto out_free;
	ring->producer = mmap(NULL, ring->page + 2 * bytes, PROT_READ, MAP_SHARED, fd, (off_t)ring->page);
	if (ring->producer == MAP_FAILED)
		goto out_unmap;
	ring->data = (const uint8_t *)ring->producer + ring->page;
	return &ring->source;

out_unmap:
	err = errno;
	munmap(ring->consumer, ring->page);
	errno = err;
out_free:
	err = errno;
	free(ring);
	errno = err;
	return NULL;
}
