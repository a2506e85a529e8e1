/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Packets that this kernel drops: why, where in its code, whose. README.md says what is seen, and what is not. */
#include "emit.h"
#include "netns.h"
#include "sock.h"
#include "benign.h"
#include "packet.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define VARIANT_DROP 1

/* Words of the tail; probe.ts says what they mean. */
enum tail_word {
	X_ETHERTYPE = 0,
	X_PACKET_TYPE = 1,
	X_TCP_FLAGS = 2,
	X_FRAGMENT_BYTES = 3,
	X_SEGMENTS = 4,
	X_DEVICE = 5, /* and 6: name, NUL-padded */
};

/* include/uapi/linux/rtnetlink.h, ipv6_route.h, if_packet.h; include/net/dst.h */
#define RTN_LOCAL 2
#define RTN_BROADCAST 3
#define RTN_MULTICAST 5
#define RTF_ANYCAST 0x00100000
#define RTF_LOCAL 0x80000000
#define DST_METADATA 0x0080
#define PACKET_OTHERHOST 3

/* include/linux/proc_ns.h: inodes of namespaces are numbered from here; the first ones' own are just below. */
#define FIRST_NAMESPACE_INODE 0xefffff00
/* The lowest free number is given, so none lies far behind; a pointer's half or a counter that fell below 0 mostly does. */
#define NAMESPACE_INODES (1 << 24)

#define STACK_FRAMES 16
/* bpf_prog_..., bpf_trace_run..., and the function that frees the packet. With other listeners there is one more: user space goes by the site. */
#define OWN_FRAMES 3

/* An entry stays until user space has read it and deletes it: an id that is in the map is never reused. */
struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, 4096);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, STACK_FRAMES * sizeof(__u64));
} stacks SEC(".maps");

/* One packet that goes, and what is known of it before its headers are read. */
struct drop {
	struct sk_buff *skb;
	struct netns netns;
	__u32 reason;
	__u32 site; /* distance of the place from _stext */
	bool device; /* skb->dev is one */
};

static __always_inline bool is_inet(__u16 family)
{
	return family == AF_INET || family == AF_INET6;
}

/*
 * skb->dev is a device only while no queue uses its place for something else (TCP's tree of segments, UDP's notes on
 * the length), so what it leads to must look like a namespace.
 */
static __always_inline bool has_device(struct sk_buff *skb)
{
	struct net_device *dev = skb->dev;

	return dev && dev->ifindex > 0 && dev->nd_net.net->ns.inum - FIRST_NAMESPACE_INODE < NAMESPACE_INODES;
}

static __always_inline struct netns netns_of_route(struct sk_buff *skb)
{
	struct dst_entry *dst = (struct dst_entry *)(skb->_skb_refdst & ~7UL);
	struct net_device *dev = dst ? BPF_CORE_READ(dst, dev) : 0;
	struct netns none = {};

	/* The device of routes that are gone (blackhole_netdev) is the first namespace's and has no index. */
	return dev && BPF_CORE_READ(dev, ifindex) > 0 ? netns_of(BPF_CORE_READ(dev, nd_net.net)) : none;
}

/*
 * Whose the packet is: of the socket that refuses it; of the device it is at; of its route; of the socket it came from.
 * The last one last: a packet that crosses a veth keeps its sender's socket until IP takes it in.
 */
static __always_inline struct netns netns_of_drop(struct drop *drop, struct sock *rx_sk)
{
	struct sock *sk = drop->skb->sk;
	struct netns netns;

	if (rx_sk)
		return netns_of_known(rx_sk->__sk_common.skc_net.net);
	if (drop->device)
		return netns_of_known(drop->skb->dev->nd_net.net);
	netns = netns_of_route(drop->skb);
	if (!netns.id && sk)
		netns = netns_of_known(sk->__sk_common.skc_net.net);
	return netns;
}

/* Sockets of other families (unix, netlink, vsock) free their buffers with the same functions. */
static __always_inline bool is_network_packet(struct sk_buff *skb, struct sock *rx_sk)
{
	struct sock *sk = skb->sk;
	__u16 family;

	if (rx_sk)
		return is_inet(rx_sk->__sk_common.skc_family);
	if (!sk)
		return true;
	family = sk->__sk_common.skc_family;
	return is_inet(family) || family == AF_PACKET;
}

/* A bucket has 16 bits: of a subsystem's reasons (high half: which one) the subsystem and the low byte. */
static __always_inline __u16 bucket_of_reason(__u32 reason)
{
	return reason >> 16 ? 0x8000 | (reason >> 16 & 0x7f) << 8 | (reason & 0xff) : reason;
}

static __always_inline bool forwards(struct net *net, __u8 family)
{
	return family == AF_INET6 ? BPF_CORE_READ(net, ipv6.devconf_all, forwarding) : BPF_CORE_READ(net, ipv4.devconf_all, data[0]);
}

static __always_inline bool is_multicast(const struct packet *packet)
{
	__u8 first = packet->family == AF_INET6 ? packet->destination[0] : packet->destination[12];

	return packet->family == AF_INET6 ? first == 0xff : first >= 224;
}

/* Whether the packet came in, from outside of the namespace or from its own loopback. */
static __always_inline bool was_received(struct drop *drop, struct sock *rx_sk)
{
	struct sock *sk = drop->skb->sk;

	if (rx_sk || drop->skb->skb_iif)
		return true;
	if (bpf_core_enum_value_exists(enum skb_drop_reason, SKB_DROP_REASON_CPU_BACKLOG) &&
	    drop->reason == bpf_core_enum_value(enum skb_drop_reason, SKB_DROP_REASON_CPU_BACKLOG))
		return true;
	return sk && netns_of_known(sk->__sk_common.skc_net.net).id != drop->netns.id;
}

/* Which end is local. A received packet is for this namespace when its route says so, or when there is no other way. */
static __always_inline __u8 side_of(struct drop *drop, struct sock *rx_sk, const struct packet *packet)
{
	struct sk_buff *skb = drop->skb;
	struct dst_entry *dst = (struct dst_entry *)(skb->_skb_refdst & ~7UL);

	if (rx_sk)
		return SIDE_IN;
	if (!was_received(drop, rx_sk))
		return SIDE_OUT;
	if (!packet->family || BPF_CORE_READ_BITFIELD(skb, pkt_type) == PACKET_OTHERHOST)
		return SIDE_NONE;
	if (is_multicast(packet))
		return SIDE_IN;
	if (dst && !(BPF_CORE_READ(dst, flags) & DST_METADATA)) {
		if (packet->family == AF_INET6)
			return BPF_CORE_READ((struct rt6_info *)dst, rt6i_flags) & (RTF_LOCAL | RTF_ANYCAST) ? SIDE_IN : SIDE_NONE;
		switch (BPF_CORE_READ((struct rtable *)dst, rt_type)) {
		case RTN_LOCAL:
		case RTN_BROADCAST:
		case RTN_MULTICAST:
			return SIDE_IN;
		default:
			return SIDE_NONE;
		}
	}
	/* Without device and route it waits in a socket's queue. */
	return !drop->device || !forwards(skb->dev->nd_net.net, packet->family) ? SIDE_IN : SIDE_NONE;
}

/* ICMP has no ports: its type and code stay where they are. */
static __always_inline void tell_packet(struct record *record, const struct packet *packet)
{
	bool incoming = record->side == SIDE_IN;
	bool swap = incoming && packet->proto != IPPROTO_ICMP && packet->proto != IPPROTO_ICMPV6;

	record->v[2] = packet->length;
	record->family = packet->family;
	record->proto = packet->proto;
	record->x[X_TCP_FLAGS] = packet->tcp_flags;
	record->x[X_FRAGMENT_BYTES] = packet->fragment_bytes;
	if (!packet->family)
		return;
	record->flags |= RECORD_SKB;
	__builtin_memcpy(record->saddr, incoming ? packet->destination : packet->source, 16);
	__builtin_memcpy(record->daddr, incoming ? packet->source : packet->destination, 16);
	record->sport = swap ? packet->destination_port : packet->source_port;
	record->dport = swap ? packet->source_port : packet->destination_port;
}

/*
 * Since 6.3 the verifier takes skb->sk for a pointer under RCU, of which helpers make no cookie. The way over the
 * socket that a process holds leads to the same struct; of others the cookie is told where somebody made it before.
 */
static __always_inline void tell_sock_of_packet(struct record *record, struct sock *sk)
{
	struct socket *socket;
	struct sock *held;

	if (sock_is_full(sk)) {
		socket = sk->sk_socket;
		held = socket ? socket->sk : 0;
		if (held) {
			tell_sock(record, held);
			return;
		}
		tell_cgroup(record, sk);
		owner_tell(record, sk);
	}
	record->flags |= RECORD_SOCK;
	record->state = sk->__sk_common.skc_state;
	record->sock = sk->__sk_common.skc_cookie.counter;
}

/* The packet's own socket, when it is of this namespace: a received packet may still hold its sender's. */
static __always_inline void tell_own_sock(struct record *record, struct drop *drop)
{
	struct sock *sk = drop->skb->sk;

	if (!sk || !is_inet(sk->__sk_common.skc_family) || netns_of_known(sk->__sk_common.skc_net.net).id != drop->netns.id)
		return;
	/* TCP's packets have no IP header before they have a route: the socket knows the ends. */
	if (!record->family && record->side == SIDE_OUT && sock_is_full(sk)) {
		tuple_of_sock(record, sk);
		record->proto = sk->sk_protocol;
	}
	if (record->side == SIDE_OUT || (record->side == SIDE_IN && sk->__sk_common.skc_num == record->sport))
		tell_sock_of_packet(record, sk);
}

static __always_inline void tell_device(struct record *record, struct drop *drop)
{
	struct sk_buff *skb = drop->skb;

	if (!drop->device) {
		record->ifindex = skb->skb_iif;
		return;
	}
	record->ifindex = skb->dev->ifindex;
	BPF_CORE_READ_STR_INTO((char(*)[16])&record->x[X_DEVICE], skb, dev, name);
}

static __always_inline __u16 segments_of(struct sk_buff *skb)
{
	struct skb_shared_info *shared = (struct skb_shared_info *)(skb->head + skb->end);
	__u16 segments = BPF_CORE_READ(shared, gso_segs);

	return segments ? segments : 1;
}

static __always_inline void tell_stack(void *ctx, struct record *record)
{
	long id = bpf_get_stackid(ctx, &stacks, OWN_FRAMES);

	if (id < 0)
		return;
	record->stack = id;
	record->flags |= RECORD_STACK;
}

static __always_inline int dropped(void *ctx, struct sk_buff *skb, void *location, __u32 reason, struct sock *rx_sk)
{
	struct drop drop = {.skb = skb, .reason = reason, .site = (__u64)location - drop_table.stext};
	struct packet packet = {};
	struct record *record;
	__be16 protocol = skb->protocol;
	__u32 packet_type;

	if (!is_network_packet(skb, rx_sk))
		return 0;
	drop.device = has_device(skb);
	drop.netns = netns_of_drop(&drop, rx_sk);
	if (!drop.netns.id && protocol != bpf_htons(ETH_P_IP) && protocol != bpf_htons(ETH_P_IPV6))
		return 0;
	if (!netns_wanted(PROBE_PACKETLOSS, drop.netns.id))
		return 0;
	count(drop.netns.id, METRIC_PACKETLOSS_DROPS, bucket_of_reason(reason), drop.site);
	packet_type = BPF_CORE_READ_BITFIELD(skb, pkt_type);
	if (is_benign(reason, drop.site, packet_type))
		return 0;
	record = emit_begin_tails(PROBE_PACKETLOSS, VARIANT_DROP, drop.netns.id, 1);
	if (!record)
		return 0;
	record->flags = drop.netns.flags;
	record->code = reason;
	record->v[1] = drop.site;
	record->x[X_ETHERTYPE] = bpf_ntohs(protocol);
	record->x[X_PACKET_TYPE] = packet_type;
	record->x[X_SEGMENTS] = segments_of(skb);
	read_packet(&packet, skb);
	record->side = side_of(&drop, rx_sk, &packet);
	tell_packet(record, &packet);
	tell_device(record, &drop);
	if (rx_sk)
		tell_sock(record, rx_sk);
	else
		tell_own_sock(record, &drop);
	tell_stack(ctx, record);
	emit_end(ctx, record);
	return 0;
}

/* Freed because it was used up, not dropped. */
static __always_inline bool is_no_drop(__u32 reason)
{
	if (bpf_core_enum_value_exists(enum skb_drop_reason, SKB_NOT_DROPPED_YET) &&
	    reason == bpf_core_enum_value(enum skb_drop_reason, SKB_NOT_DROPPED_YET))
		return true;
	return bpf_core_enum_value_exists(enum skb_drop_reason, SKB_CONSUMED) &&
	       reason == bpf_core_enum_value(enum skb_drop_reason, SKB_CONSUMED);
}

/* 6.11 and later. rx_sk is the socket that refuses the packet; NULL when there is none. */
SEC("tp_btf/kfree_skb")
int BPF_PROG(packetloss_rx_sk, struct sk_buff *skb, void *location, __u32 reason, struct sock *rx_sk)
{
	return is_no_drop(reason) ? 0 : dropped(ctx, skb, location, reason, rx_sk);
}

/* 5.17 and later. */
SEC("tp_btf/kfree_skb")
int BPF_PROG(packetloss_reason, struct sk_buff *skb, void *location, __u32 reason)
{
	return is_no_drop(reason) ? 0 : dropped(ctx, skb, location, reason, 0);
}

/* Before: the place alone says why. */
SEC("tp_btf/kfree_skb")
int BPF_PROG(packetloss_site, struct sk_buff *skb, void *location)
{
	return dropped(ctx, skb, location, 0, 0);
}
