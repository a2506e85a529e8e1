/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A reader: one thread that moves records from a source (ring buffer, perf buffers or file) into chunks and hands
 * them to JavaScript. It waits for JavaScript, never JavaScript for it, and the kernel for neither.
 */
#ifndef JITTERSCOPE_READER_H
#define JITTERSCOPE_READER_H

#include "arguments.h"
#include "chunk-pool.h"

#define RECORD_MIN_BYTES 128
#define RECORD_MAX_BYTES 256
#define RECORD_UNIT_BYTES 64
/* Where a record says its length in units: struct record of bpf/include/record.h. */
#define RECORD_LEN_OFFSET 11

struct reader;

enum drained {
	DRAINED_ALL,  /* nothing left for now: wait for the timer */
	DRAINED_MORE, /* there is more: go on at once */
	DRAINED_FULL, /* no free chunk */
	DRAINED_END,  /* the source has ended */
};

struct source {
	/* Moves records by reader_put. last: the reader is stopping, come to an end. */
	enum drained (*drain)(struct source *source, struct reader *reader, bool last);
	/* Bytes waiting in the source now. */
	uint64_t (*waiting)(struct source *source);
	/* Records that the kernel found no room for, as far as it tells; NULL: it does not. */
	uint64_t (*lost)(struct source *source);
	void (*free)(struct source *source);
	/* Set when the source ended by a failure. */
	int err;
};

struct reader_options {
	uint32_t drain_ms;
	uint32_t chunk_bytes;
	uint32_t max_chunks;
};

/* List of readers that somebody may want to stop; a reader leaves it when it has ended. */
struct reader_list {
	struct reader *first;
};

bool reader_options_read(const struct arguments *arguments, size_t index,
			 struct reader_options *options);
/* Starts the thread and returns the Reader for JavaScript. Owns the source from here on, also on failure. */
napi_value reader_start(napi_env env, const char *name, const struct reader_options *options,
			struct source *source, napi_value on_chunk, struct reader_list *list);
bool reader_list_has(const struct reader_list *list, const char *name);
/* Asks all to stop and forgets them: they drain, deliver and end by themselves. */
void reader_list_stop(struct reader_list *list);

/* For sources: */
/* False when there is no free chunk; otherwise the record is taken, or counted as malformed. */
bool reader_put(struct reader *reader, const uint8_t *record, size_t size);
void reader_count_malformed(struct reader *reader);

#endif
