/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The maps that all probes share: an object declares them, and user space gives it those of bpf/base (shareMap) before
 * it is loaded. So there is one ring, in which the records of all probes are in order, and one counter map.
 */
#ifndef JITTERSCOPE_MAPS_H
#define JITTERSCOPE_MAPS_H

#include "kernel.h"
#include "counter.h"
#include <bpf/bpf_helpers.h>

struct bucket_key {
	__u64 net;
	__u64 probe;
};

struct bucket {
	__u64 tat;	  /* GCRA's theoretical arrival time, ns */
	__u64 suppressed; /* since the last record */
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 * 1024 * 1024);
} events SEC(".maps");

/* One buffer for each CPU; as many entries as the kernel has CPUs. */
struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} perf_events SEC(".maps");

/*
 * Where a record is made before it goes into a perf buffer. A program may interrupt another one on its CPU: task, softirq,
 * hard interrupt, NMI, so there are several, and each is taken by who finds it free.
 */
#define PERF_SLOTS 4

struct perf_slot {
	__u64 taken;
	__u8 record[256];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, PERF_SLOTS);
	__type(key, __u32);
	__type(value, struct perf_slot);
} perf_slots SEC(".maps");

/* Some 5,000 namespaces with 25 counters each. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 131072);
	__type(key, struct counter_key);
	__type(value, __u64);
} counters SEC(".maps");

/* Increments that found room neither under their own key nor under `other`. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} counter_lost SEC(".maps");

/* Key: struct record's net. Value: the probes that list it, bit n for the probe of number n. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, __u64);
} net_filter SEC(".maps");

/* One for each namespace and probe. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, struct bucket_key);
	__type(value, struct bucket);
} buckets SEC(".maps");

/* The bucket that namespaces share when `buckets` is full. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct bucket);
} bucket_other SEC(".maps");

/* Whose a socket is; filled by bpf/base, read by owner.h. */
struct owner {
	__u32 tgid; /* 0: not known */
	char comm[16];
	/* tcplife's; here, because each storage of a socket costs an allocation per connection. */
	__u32 life;	/* enum life */
	__u64 since_us; /* CLOCK_MONOTONIC of connect(); once LIFE_ESTABLISHED is set, of the establishment */
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct owner);
} owners SEC(".maps");

#endif
