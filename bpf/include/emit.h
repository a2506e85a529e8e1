/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What a probe does with an event: the settings, the filter, the counters, the token bucket, the record.
 * A probe first asks `netns_wanted`, then counts (`count`), then `emit_begin`, fills the record, `emit_end`.
 * For each event that a probe wants to emit exactly one of METRIC_EMITTED, METRIC_SUPPRESSED and METRIC_RING_FULL grows.
 */
#ifndef JITTERSCOPE_EMIT_H
#define JITTERSCOPE_EMIT_H

#include "kernel.h"
#include "record.h"
#include "maps.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

enum filter_mode {
	FILTER_ALL = 0,
	FILTER_LISTED = 1,   /* only the namespaces that net_filter has for the probe */
	FILTER_UNLISTED = 2, /* all but these */
};

/* Changed by user space while programs run; each member takes effect by itself, at once. */
struct settings {
	__u64 interval_ns; /* a namespace's bucket gets one token per interval; 0: no limit */
	__u32 burst;	   /* tokens of a full bucket; 0: no events, counters only */
	__u32 filter_mode;
};

volatile struct settings settings SEC(".data.settings") = {
	.interval_ns = 20 * 1000 * 1000,
	.burst = 200,
	.filter_mode = FILTER_ALL,
};

/*
 * Set before load: records go into the perf buffers instead of the ring. The verifier knows the value and drops what is
 * not used, so that a kernel without ring buffers never sees them.
 */
const volatile bool use_perf SEC(".rodata.transport") = false;

static __always_inline __u64 *counter_at(const struct counter_key *key)
{
	__u64 *value = bpf_map_lookup_elem(&counters, key);
	__u64 zero = 0;

	if (value)
		return value;
	/* Another CPU may have added the key meanwhile: then this fails, and the look-up finds it. */
	bpf_map_update_elem(&counters, key, &zero, BPF_NOEXIST);
	return bpf_map_lookup_elem(&counters, key);
}

/* Adds to a counter of a namespace. */
static __always_inline void count_add(__u64 net, __u16 metric, __u16 bucket, __u32 label, __u64 increment)
{
	struct counter_key key = {.net = net, .metric = metric, .bucket = bucket, .label = label};
	__u64 *value = counter_at(&key);
	__u32 first = 0;

	if (!value) {
		key.net = 0;
		key.label = 0;
		value = counter_at(&key);
	}
	if (!value)
		value = bpf_map_lookup_elem(&counter_lost, &first);
	if (value)
		__sync_fetch_and_add(value, increment);
}

/* Adds one to a counter of a namespace. */
static __always_inline void count(__u64 net, __u16 metric, __u16 bucket, __u32 label)
{
	count_add(net, metric, bucket, label, 1);
}

/* Whether the filter lets a namespace's events through. */
static __always_inline bool netns_wanted(__u16 probe, __u64 net)
{
	__u32 mode = settings.filter_mode;
	__u64 *probes;

	if (mode == FILTER_ALL)
		return true;
	probes = bpf_map_lookup_elem(&net_filter, &net);
	return (probes && (*probes >> probe & 1)) == (mode == FILTER_LISTED);
}

static __always_inline struct bucket *bucket_of(__u64 net, __u16 probe)
{
	struct bucket_key key = {.net = net, .probe = probe};
	struct bucket *bucket = bpf_map_lookup_elem(&buckets, &key);
	struct bucket fresh = {};
	__u32 first = 0;

	if (bucket)
		return bucket;
	bpf_map_update_elem(&buckets, &key, &fresh, BPF_NOEXIST);
	bucket = bpf_map_lookup_elem(&buckets, &key);
	return bucket ? bucket : bpf_map_lookup_elem(&bucket_other, &first);
}

/*
 * Takes a token: the generic cell rate algorithm (ITU-T I.371), lock-free. A CPU that loses the race for the bucket
 * this many times in a row gets no token.
 */
#define BUCKET_TRIES 8

static __always_inline bool bucket_take(struct bucket *bucket, __u64 now)
{
	__u64 interval = settings.interval_ns;
	__u64 depth = settings.burst * interval;

	if (settings.burst == 0)
		return false;
	if (interval == 0)
		return true;
	for (int i = 0; i < BUCKET_TRIES; i++) {
		__u64 tat = *(volatile __u64 *)&bucket->tat;
		__u64 next = (tat > now ? tat : now) + interval;

		if (next - now > depth) {
			/* Left over from larger settings: now smaller ones hold. */
			if (tat > now + depth)
				__sync_val_compare_and_swap(&bucket->tat, tat, now + depth);
			return false;
		}
		if (__sync_val_compare_and_swap(&bucket->tat, tat, next) == tat)
			return true;
	}
	return false;
}

/* A record's place until it goes into the perf buffer; NULL when all are taken. */
static __always_inline struct record *perf_reserve(void)
{
	for (__u32 i = 0; i < PERF_SLOTS; i++) {
		__u32 key = i;
		struct perf_slot *slot = bpf_map_lookup_elem(&perf_slots, &key);

		if (slot && !__sync_lock_test_and_set(&slot->taken, 1))
			return (struct record *)slot->record;
	}
	return 0;
}

/* Puts the record into the perf buffer of this CPU, counts it, and lets its place go. */
static __always_inline void perf_submit(void *ctx, struct record *record)
{
	struct perf_slot *slot = (void *)record - __builtin_offsetof(struct perf_slot, record);
	__u64 bytes = record->len * 64, net = record->net;
	__u16 probe = record->probe;
	struct bucket *bucket;

	if (bytes > sizeof(slot->record))
		bytes = sizeof(slot->record);
	if (bpf_perf_event_output(ctx, &perf_events, BPF_F_CURRENT_CPU, record, bytes) == 0) {
		count(net, METRIC_EMITTED, probe, 0);
	} else {
		/* The next record tells what this one would have told. */
		bucket = bucket_of(net, probe);
		if (bucket)
			__sync_fetch_and_add(&bucket->suppressed, record->v[0]);
		count(net, METRIC_RING_FULL, probe, 0);
	}
	*(volatile __u64 *)&slot->taken = 0;
}

/*
 * Begins a record: zeroed but for ts, probe, variant, len, cpu, net and v[0], which is the number of events withheld in
 * this namespace since the last record. NULL when the bucket or the ring says no; that is counted. tails: 0, 1 or 2, a
 * constant.
 */
static __always_inline struct record *emit_begin_tails(__u16 probe, __u8 variant, __u64 net, __u32 tails)
{
	const __u64 bytes = sizeof(struct record) + tails * 64;
	__u64 now = bpf_ktime_get_boot_ns();
	struct bucket *bucket = bucket_of(net, probe);
	struct record *record;
	__u64 suppressed;

	if (!bucket || !bucket_take(bucket, now)) {
		if (bucket)
			__sync_fetch_and_add(&bucket->suppressed, 1);
		count(net, METRIC_SUPPRESSED, probe, 0);
		return 0;
	}
	if (use_perf)
		record = perf_reserve();
	else
		record = bpf_ringbuf_reserve(&events, bytes, 0);
	if (!record) {
		count(net, METRIC_RING_FULL, probe, 0);
		return 0;
	}
	__builtin_memset(record, 0, bytes);
	suppressed = __sync_lock_test_and_set(&bucket->suppressed, 0);
	record->ts = now;
	record->probe = probe;
	record->variant = variant;
	record->len = bytes / 64;
	record->cpu = bpf_get_smp_processor_id();
	record->net = net;
	record->v[0] = suppressed > 0xffffffff ? 0xffffffff : suppressed;
	return record;
}

/* Begins a record without tails. */
static __always_inline struct record *emit_begin(__u16 probe, __u8 variant, __u64 net)
{
	return emit_begin_tails(probe, variant, net, 0);
}

/* Ends a record. Nobody is woken: the reader drains on a timer. ctx: the program's own, which a perf buffer needs. */
static __always_inline void emit_end(void *ctx, struct record *record)
{
	if (use_perf) {
		perf_submit(ctx, record);
		return;
	}
	count(record->net, METRIC_EMITTED, record->probe, 0);
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
}

#endif
