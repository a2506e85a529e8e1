/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The record: one kernel event, the same struct for all probes. 128 bytes and 0 to 2 tails of 64,
 * little-endian, 8-aligned. This file is the only place where the layout is written by hand;
 * schema/record.gen.ts is made from what the compiler says of it (npm run gen).
 * Numbers of probes, variants and flags are never reused.
 */
#ifndef JITTERSCOPE_RECORD_H
#define JITTERSCOPE_RECORD_H

/* Version of the layout: Hello.schema. */
#define RECORD_SCHEMA 1

struct record {
	__u64 ts;	 /* CLOCK_BOOTTIME, ns */
	__u16 probe;	 /* enum probe */
	__u8 variant;	 /* meaning: the probe's probe.ts */
	__u8 len;	 /* length in units of 64 bytes: 2, 3 or 4 */
	__u16 flags;	 /* enum record_flag */
	__u16 cpu;
	__u32 tgid;	 /* with RECORD_TASK: the current task; with RECORD_OWNER: the socket's owner */
	__u32 tid;
	__u64 cgroup;	 /* cgroup v2 id (inode of its directory); with RECORD_CGROUP */
	__u64 net;	 /* network namespace cookie; with RECORD_NET_IS_INODE the nsfs inode */
	__u32 ifindex;	 /* 0: unknown */
	__s32 stack;	 /* stack map id; with RECORD_STACK */
	char comm[16];	 /* NUL-padded; the task of tgid */
	__u8 saddr[16];	 /* local end when side is 1 or 2, packet source when side is 0; IPv4 as ::ffff:a.b.c.d */
	__u8 daddr[16];	 /* far end when side is 1 or 2, packet destination when side is 0 */
	__u16 sport;	 /* host order; ICMP: type */
	__u16 dport;	 /* host order; ICMP: code */
	__u8 family;	 /* 2 or 10: of the packet, also on an IPv6 socket that carries IPv4 */
	__u8 proto;	 /* IPPROTO_ */
	__u8 state;	 /* TCP state of the socket at the event (include/net/tcp_states.h); 0: none */
	__u8 side;	 /* 0 none or forwarded, 1 in, 2 out */
	__u64 sock;	 /* socket cookie; 0: none */
	__u32 code;	 /* meaning: probe.ts */
	__u32 v[3];	 /* meaning: probe.ts; times in us */
	__u64 x[];	 /* tails: 0, 8 or 16 words, or bytes */
};

enum record_flag {
	RECORD_TASK = 1 << 0,	      /* tgid, tid, comm are the current task, and the event happened in its context */
	RECORD_SOCK = 1 << 1,	      /* a socket was at hand: sock, state */
	RECORD_SKB = 1 << 2,	      /* a packet was at hand: addresses come from its headers */
	RECORD_CGROUP = 1 << 3,
	RECORD_STACK = 1 << 4,
	RECORD_OWNER = 1 << 5,	      /* tgid, comm are the socket's owner */
	RECORD_AGGREGATED = 1 << 6,   /* stands for several events */
	RECORD_V4MAPPED = 1 << 7,     /* IPv4 over an IPv6 socket */
	RECORD_SAMPLED = 1 << 8,
	RECORD_ORIG_TUPLE = 1 << 9,   /* the tail holds the tuple before translation */
	RECORD_CLIENT = 1 << 10,      /* the local end opened the connection */
	RECORD_SERVER = 1 << 11,      /* the far end opened the connection */
	RECORD_NET_IS_INODE = 1 << 12,
};

enum record_side {
	SIDE_NONE = 0,
	SIDE_IN = 1,
	SIDE_OUT = 2,
};

enum probe {
	PROBE_TCPRESET = 1,
	PROBE_TCPRETRANS = 2,
	PROBE_PACKETLOSS = 3,
	PROBE_TCPLIFE = 4,
	PROBE_TCPACCEPT = 5,
	PROBE_BURST = 65535, /* tests only */
};

#endif
