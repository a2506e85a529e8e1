/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The counter map of a probe's object: counts and log2 histograms, always kept, whatever the token
 * bucket does to events. Numbers of metrics are never reused; schema/record.gen.ts carries them.
 * A histogram has one counter per bucket (histogram.h); the sum of its values is a metric of its own.
 */
#ifndef JITTERSCOPE_COUNTER_H
#define JITTERSCOPE_COUNTER_H

struct counter_key {
	__u64 net;    /* namespace cookie or inode; 0 = `other`: the map was full */
	__u16 metric; /* enum metric */
	__u16 bucket; /* small dimension: a reason, a log2 bucket */
	__u32 label;  /* large dimension: drop site, interface, peer class; 0 none */
};

enum metric {
	METRIC_TCPRESET_SENT = 1,     /* bucket: sk_rst_reason, 0 where the kernel has none */
	METRIC_TCPRESET_RECEIVED = 2, /* bucket: TCP state of the socket that received it */
	METRIC_SUPPRESSED = 3,	      /* bucket: probe; events withheld by the token bucket */
	METRIC_RING_FULL = 4,	      /* bucket: probe; records that found no room in the ring or the perf buffer */
	METRIC_EMITTED = 5,	      /* bucket: probe; records put into the ring or the perf buffer */
	METRIC_TCPRETRANS_SEGMENTS = 6,	  /* bucket: enum retransmit_kind; segments, as RetransSegs counts them */
	METRIC_TCPRETRANS_RETRANSMITS = 7, /* bucket: enum retransmit_kind; packets, of one segment or many */
	METRIC_PACKETLOSS_DROPS = 8,	  /* bucket: drop reason (packetloss.bpf.c: bucket_of_reason); label: drop site */
	METRIC_TCPLIFE_CONNECT = 16,	  /* bucket: log2 of us; time from connect() to established */
	METRIC_TCPLIFE_CONNECT_US = 17,	  /* sum of METRIC_TCPLIFE_CONNECT */
	METRIC_TCPLIFE_FAILED = 18,	  /* bucket: errno, or enum connect_failure */
	METRIC_TCPLIFE_ACCEPTED = 19,	  /* bucket: 0 */
	METRIC_TCPLIFE_CLOSED = 20,	  /* bucket: enum ending */
	METRIC_TCPLIFE_BYTES = 21,	  /* bucket: enum direction; of connections that are closed */
	METRIC_TCPACCEPT_QUEUED = 22,	  /* bucket: enum fill; label: port */
	METRIC_TCPACCEPT_WAIT = 23,	  /* bucket: log2 of us; time from established to accept() */
	METRIC_TCPACCEPT_WAIT_US = 24,	  /* sum of METRIC_TCPACCEPT_WAIT */
};

#endif
