/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JITTERSCOPE_PERF_H
#define JITTERSCOPE_PERF_H

#include "reader.h"

#include <linux/perf_event.h>

/* A page of most machines; of those with larger ones mmap refuses less than a page. */
#define PERF_CPU_MIN_BYTES 4096

struct perf_cpu {
	int fd; /* -1: not online */
	struct perf_event_mmap_page *page;
	const uint8_t *data;
	/* How far the last drain goes. */
	uint64_t last_head;
};

struct perf {
	struct source source;
	int map_fd;
	size_t page_size;
	size_t cpu_bytes;
	bool counts_lost; /* the kernel tells by read(2) how many it had no room for */
	bool last;
	/* Told by records of its own, where it does not. */
	uint64_t lost;
	size_t count;
	struct perf_cpu cpus[];
};

static inline uint64_t perf_head(const struct perf_cpu *cpu)
{
	return __atomic_load_n(&cpu->page->data_head, __ATOMIC_ACQUIRE);
}

/* perf-drain.c: struct source's drain. */
enum drained perf_drain(struct source *source, struct reader *reader, bool last);

/*
 * Opens a perf buffer of so many bytes, a power of two, for each CPU that is online, and puts it into the array of perf
 * events. NULL with errno on failure. Keeps a descriptor of the map, to take them out again.
 */
struct source *perf_open(int map_fd, size_t cpus, size_t cpu_bytes);

#endif
