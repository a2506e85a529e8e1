/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What a packet's own headers say, read wherever the kernel dropped it: the transport header may not be found yet, parts
 * may lie beyond the linear area, headers may be broken. Only bytes of the packet are believed.
 */
#ifndef JITTERSCOPE_PACKETLOSS_PACKET_H
#define JITTERSCOPE_PACKETLOSS_PACKET_H

#include "kernel.h"
#include "record.h"
#include "tuple.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>

/* include/uapi/linux/if_ether.h */
enum {
	ETH_P_IP = 0x0800,
	ETH_P_ARP = 0x0806,
	ETH_P_IPV6 = 0x86dd,
};

/* include/uapi/linux/in.h, in6.h: extension headers of IPv6 */
enum {
	NEXTHDR_HOP = 0,
	NEXTHDR_ROUTING = 43,
	NEXTHDR_FRAGMENT = 44,
	NEXTHDR_AUTH = 51,
	NEXTHDR_DEST = 60,
	NEXTHDR_MOBILITY = 135,
};

/* Extension headers that are walked: more are not sent by anything sane. */
#define MAX_EXTENSION_HEADERS 6
#define IPV6_HEADER_BYTES 40

/* A packet in the order of its own headers. */
struct packet {
	__u8 source[16], destination[16];
	__u16 source_port, destination_port; /* ICMP: type, code */
	__u8 family;			     /* 0: no IP header */
	__u8 proto;
	__u8 tcp_flags;
	__u16 fragment_bytes; /* where in the whole datagram this one begins */
	__u32 length;	      /* from the network header on, whatever the kernel has pulled */
};

/* The linear area: distances are from head. */
struct area {
	const unsigned char *head;
	__u32 network, tail;
};

static __always_inline bool read_at(const struct area *area, __u32 at, void *to, __u32 bytes)
{
	return at + bytes <= area->tail && !bpf_probe_read_kernel(to, bytes, area->head + at);
}

static __always_inline bool has_ports(__u8 proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP || proto == IPPROTO_UDPLITE;
}

/* The transport header's first words; a later fragment has none. */
static __always_inline void read_transport(struct packet *packet, const struct area *area, __u32 at)
{
	__u8 type_code[2];
	__be16 ports[2];

	if (packet->fragment_bytes)
		return;
	if (has_ports(packet->proto) && read_at(area, at, ports, sizeof(ports))) {
		packet->source_port = bpf_ntohs(ports[0]);
		packet->destination_port = bpf_ntohs(ports[1]);
		if (packet->proto == IPPROTO_TCP)
			read_at(area, at + 13, &packet->tcp_flags, 1);
	} else if ((packet->proto == IPPROTO_ICMP || packet->proto == IPPROTO_ICMPV6) && read_at(area, at, type_code, sizeof(type_code))) {
		packet->source_port = type_code[0];
		packet->destination_port = type_code[1];
	}
}

static __always_inline void read_ipv4(struct packet *packet, const struct area *area)
{
	__u32 header[5];

	if (!read_at(area, area->network, header, sizeof(header)))
		return;
	packet->family = AF_INET;
	packet->proto = ((__u8 *)header)[9];
	packet->fragment_bytes = (bpf_ntohs(((__be16 *)header)[3]) & 0x1fff) * 8;
	put_ipv4(packet->source, header[3]);
	put_ipv4(packet->destination, header[4]);
	read_transport(packet, area, area->network + (((__u8 *)header)[0] & 0xf) * 4);
}

static __always_inline void read_ipv6(struct packet *packet, const struct area *area)
{
	__u32 at = area->network + IPV6_HEADER_BYTES;
	__u32 header[10];
	__u8 next[4]; /* next header, length, and of a fragment its offset */
	__u8 proto;

	if (!read_at(area, area->network, header, sizeof(header)))
		return;
	packet->family = AF_INET6;
	__builtin_memcpy(packet->source, &header[2], 16);
	__builtin_memcpy(packet->destination, &header[6], 16);
	proto = ((__u8 *)header)[6];
	for (int i = 0; i < MAX_EXTENSION_HEADERS; i++) {
		if (proto != NEXTHDR_HOP && proto != NEXTHDR_ROUTING && proto != NEXTHDR_FRAGMENT && proto != NEXTHDR_AUTH &&
		    proto != NEXTHDR_DEST && proto != NEXTHDR_MOBILITY)
			break;
		if (!read_at(area, at, next, sizeof(next)))
			break;
		if (proto == NEXTHDR_FRAGMENT) {
			packet->fragment_bytes = (next[2] << 8 | next[3]) & 0xfff8;
			at += 8;
		} else {
			at += proto == NEXTHDR_AUTH ? (next[1] + 2) * 4 : (next[1] + 1) * 8;
		}
		proto = next[0];
		if (packet->fragment_bytes)
			break;
	}
	packet->proto = proto;
	read_transport(packet, area, at);
}

/* The kernel keeps the distance of the network header from the first receiver or sender on; 0: it never had one. */
static __always_inline void read_packet(struct packet *packet, struct sk_buff *skb)
{
	struct area area = {.head = skb->head, .network = skb->network_header, .tail = skb->tail};
	__u32 pulled = (__u32)(skb->data - skb->head) - area.network;
	__u16 protocol = bpf_ntohs(skb->protocol);
	__u8 version = 0;

	packet->length = skb->len;
	if (!area.network)
		return;
	if ((__s32)(skb->len + pulled) > 0)
		packet->length = skb->len + pulled;
	/* A sender's packet has no protocol yet before it has passed the output hook. */
	if (protocol && protocol != ETH_P_IP && protocol != ETH_P_IPV6)
		return;
	read_at(&area, area.network, &version, 1);
	if (version >> 4 == 4)
		read_ipv4(packet, &area);
	else if (version >> 4 == 6)
		read_ipv6(packet, &area);
}

#endif
