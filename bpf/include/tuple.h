/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* A TCP connection's ends, from a packet's headers or from the socket, local end first. */
#ifndef JITTERSCOPE_TUPLE_H
#define JITTERSCOPE_TUPLE_H

#include "kernel.h"
#include "record.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>

enum {
	TCP_FLAG_SYN = 1 << 1,
	TCP_FLAG_RST = 1 << 2,
	TCP_FLAG_ACK = 1 << 4,
};

/* Whether more than struct sock_common may be read: timewait and request sockets are smaller structs. */
static __always_inline bool sock_is_full(const struct sock *sk)
{
	__u8 state = sk->__sk_common.skc_state;

	return state != TCP_TIME_WAIT && state != TCP_NEW_SYN_RECV;
}

static __always_inline void put_ipv4(__u8 *to, __be32 address)
{
	__u32 *words = (__u32 *)to;

	words[0] = 0;
	words[1] = 0;
	words[2] = bpf_htonl(0xffff);
	words[3] = address;
}

/* Start of a packet's TCP header; the kernel has set transport_header by the time it thinks of TCP. */
static __always_inline const unsigned char *tcp_header(const struct sk_buff *skb)
{
	return BPF_CORE_READ(skb, head) + BPF_CORE_READ(skb, transport_header);
}

/* TCP flags of a packet; 0 when they cannot be read. */
static __always_inline __u8 tcp_flags(const struct sk_buff *skb)
{
	__u8 flags = 0;

	bpf_probe_read_kernel(&flags, sizeof(flags), tcp_header(skb) + 13);
	return flags;
}

/* The ends of an incoming TCP packet: its destination is the local end. False when the headers are not readable. */
static __always_inline bool tuple_of_incoming(struct record *record, const struct sk_buff *skb)
{
	const unsigned char *ip = BPF_CORE_READ(skb, head) + BPF_CORE_READ(skb, network_header);
	__u32 header[10]; /* an IPv6 header; of an IPv4 packet the TCP header's start is in it, too */
	__be16 ports[2];

	if (bpf_probe_read_kernel(header, sizeof(header), ip) || bpf_probe_read_kernel(ports, sizeof(ports), tcp_header(skb)))
		return false;
	switch (*(__u8 *)header >> 4) {
	case 4:
		record->family = AF_INET;
		put_ipv4(record->daddr, header[3]);
		put_ipv4(record->saddr, header[4]);
		break;
	case 6:
		record->family = AF_INET6;
		__builtin_memcpy(record->daddr, &header[2], 16);
		__builtin_memcpy(record->saddr, &header[6], 16);
		break;
	default:
		return false;
	}
	record->dport = bpf_ntohs(ports[0]);
	record->sport = bpf_ntohs(ports[1]);
	record->flags |= RECORD_SKB;
	return true;
}

/* The ends that a socket knows of. Of full sockets inet_sport is read: skc_num is 0 once the port is given back. */
static __always_inline void tuple_of_sock(struct record *record, const struct sock *sk)
{
	const struct sock_common *common = &sk->__sk_common;

	record->family = common->skc_family;
	record->dport = bpf_ntohs(common->skc_dport);
	record->sport = common->skc_num;
	if (sock_is_full(sk))
		record->sport = bpf_ntohs(BPF_CORE_READ((const struct inet_sock *)sk, inet_sport));
	if (common->skc_family == AF_INET) {
		put_ipv4(record->saddr, common->skc_rcv_saddr);
		put_ipv4(record->daddr, common->skc_daddr);
	} else if (bpf_core_field_exists(common->skc_v6_daddr)) {
		__u32 *words = (__u32 *)record->daddr;

		BPF_CORE_READ_INTO(&record->saddr, common, skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO(&record->daddr, common, skc_v6_daddr);
		if (words[0] == 0 && words[1] == 0 && words[2] == bpf_htonl(0xffff))
			record->family = AF_INET;
	}
}

#endif
