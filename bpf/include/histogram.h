/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Log2 histograms in the counter map. Bucket 0 counts the value 0, bucket i the values v with 2^(i-1) <= v < 2^i: the
 * bucket is the number of bits of the value, 64 at most. One counter per bucket, made when it first counts.
 */
#ifndef JITTERSCOPE_HISTOGRAM_H
#define JITTERSCOPE_HISTOGRAM_H

#include "emit.h"

/* Number of bits of a value. */
static __always_inline __u16 log2_bucket(__u64 value)
{
	__u16 bits = 0;

	if (value >> 32) {
		bits += 32;
		value >>= 32;
	}
	if (value >> 16) {
		bits += 16;
		value >>= 16;
	}
	if (value >> 8) {
		bits += 8;
		value >>= 8;
	}
	if (value >> 4) {
		bits += 4;
		value >>= 4;
	}
	if (value >> 2) {
		bits += 2;
		value >>= 2;
	}
	if (value >> 1) {
		bits += 1;
		value >>= 1;
	}
	return bits + value;
}

/* Counts a value in a namespace's histogram, and adds it to the metric that is the histogram's sum. */
static __always_inline void count_log2(__u64 net, __u16 metric, __u16 sum, __u64 value)
{
	count(net, metric, log2_bucket(value), 0);
	count_add(net, sum, 0, 0, value);
}

#endif
