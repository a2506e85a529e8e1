/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The network namespace of a socket or packet, as struct record tells it. */
#ifndef JITTERSCOPE_NETNS_H
#define JITTERSCOPE_NETNS_H

#include "kernel.h"
#include "record.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

struct netns {
	__u64 id;    /* record's net; 0: not found */
	__u16 flags; /* RECORD_NET_IS_INODE where the kernel has no cookie */
};

static __always_inline struct netns netns_of(struct net *net)
{
	struct netns netns = {};

	if (!net)
		return netns;
	if (bpf_core_field_exists(net->net_cookie))
		netns.id = BPF_CORE_READ(net, net_cookie);
	if (!netns.id) {
		netns.id = BPF_CORE_READ(net, ns.inum);
		netns.flags = RECORD_NET_IS_INODE;
	}
	return netns;
}

/* As netns_of, of a pointer that the verifier knows: two plain loads, where a helper would cost as much as the rest. */
static __always_inline struct netns netns_of_known(struct net *net)
{
	struct netns netns = {};

	if (bpf_core_field_exists(net->net_cookie))
		netns.id = net->net_cookie;
	if (!netns.id) {
		netns.id = net->ns.inum;
		netns.flags = RECORD_NET_IS_INODE;
	}
	return netns;
}

/* Of a socket that the verifier knows as one. */
static __always_inline struct netns netns_of_sock(const struct sock *sk)
{
	return netns_of_known(sk->__sk_common.skc_net.net);
}

/*
 * An incoming packet's namespace. TCP clears skb->dev before it works on a packet for a socket; the route's device, which
 * the kernel itself goes by when it has no socket, is in the same namespace.
 */
static __always_inline struct netns netns_of_packet(const struct sk_buff *skb)
{
	struct net_device *dev = BPF_CORE_READ(skb, dev);

	if (!dev) {
		struct dst_entry *dst = (struct dst_entry *)(BPF_CORE_READ(skb, _skb_refdst) & ~7UL);

		dev = dst ? BPF_CORE_READ(dst, dev) : 0;
	}
	return netns_of(dev ? BPF_CORE_READ(dev, nd_net.net) : 0);
}

/* Any kind of socket, or else the packet; both may be NULL. */
static __always_inline struct netns netns_of_event(const struct sock *sk, const struct sk_buff *skb)
{
	struct netns none = {};

	if (sk)
		return netns_of(BPF_CORE_READ(sk, __sk_common.skc_net.net));
	return skb ? netns_of_packet(skb) : none;
}

#endif
