/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* TCP resets that this kernel's sockets and namespaces send and receive. README.md says what is seen, and what is not. */
#include "emit.h"
#include "netns.h"
#include "sock.h"
#include "tuple.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

enum variant {
	VARIANT_SENT = 1,
	VARIANT_RECEIVED = 2,
};

/* include/uapi/linux/rtnetlink.h, include/uapi/linux/ipv6_route.h: a route to this namespace itself. */
#define RTN_LOCAL 2
#define RTF_LOCAL 0x80000000

/* skb is the packet that is answered; NULL when the reset is the socket's own decision. One of the two is there. */
static __always_inline int sent(void *ctx, struct sock *sk, const struct sk_buff *skb, __u32 reason)
{
	struct netns netns = netns_of_event(sk, skb);
	struct record *record;

	if (!netns_wanted(PROBE_TCPRESET, netns.id))
		return 0;
	count(netns.id, METRIC_TCPRESET_SENT, reason, 0);
	record = emit_begin(PROBE_TCPRESET, VARIANT_SENT, netns.id);
	if (!record)
		return 0;
	record->flags = netns.flags;
	record->proto = IPPROTO_TCP;
	record->side = SIDE_OUT;
	record->code = reason;
	if (skb && tuple_of_incoming(record, skb)) {
		record->ifindex = BPF_CORE_READ(skb, skb_iif);
		if ((tcp_flags(skb) & (TCP_FLAG_SYN | TCP_FLAG_ACK)) == TCP_FLAG_SYN)
			record->flags |= RECORD_SERVER;
	} else if (sk) {
		tuple_of_sock(record, sk);
	}
	if (sk)
		tell_sock(record, sk);
	emit_end(ctx, record);
	return 0;
}

/* 6.10 and later. */
SEC("tp_btf/tcp_send_reset")
int BPF_PROG(tcpreset_sent, struct sock *sk, const struct sk_buff *skb, int reason)
{
	return sent(ctx, sk, skb, reason);
}

/* Before 6.10: full sockets only, without a reason. */
SEC("tp_btf/tcp_send_reset")
int BPF_PROG(tcpreset_sent_no_reason, struct sock *sk, const struct sk_buff *skb)
{
	return sent(ctx, sk, skb, 0);
}

SEC("tp_btf/tcp_receive_reset")
int BPF_PROG(tcpreset_received, struct sock *sk)
{
	struct netns netns = netns_of_event(sk, 0);
	struct record *record;
	__u8 state;

	if (!sk || !netns_wanted(PROBE_TCPRESET, netns.id))
		return 0;
	state = sk->__sk_common.skc_state;
	count(netns.id, METRIC_TCPRESET_RECEIVED, state, 0);
	record = emit_begin(PROBE_TCPRESET, VARIANT_RECEIVED, netns.id);
	if (!record)
		return 0;
	record->flags = netns.flags | (state == TCP_SYN_SENT ? RECORD_CLIENT : 0);
	record->proto = IPPROTO_TCP;
	record->side = SIDE_IN;
	tuple_of_sock(record, sk);
	tell_sock(record, sk);
	emit_end(ctx, record);
	return 0;
}

/*
 * Before 6.10 the tracepoint is silent when no full socket is there. These two are called for every packet that gets a
 * reset for an answer, and may still decide against it: what they test first is tested here, too.
 */
static __always_inline int sent_without_sock(void *ctx, struct sock *sk, const struct sk_buff *skb, bool local)
{
	struct netns netns;
	struct record *record;

	if (!skb || (tcp_flags(skb) & TCP_FLAG_RST))
		return 0;
	if (sk) {
		__u8 state = BPF_CORE_READ(sk, __sk_common.skc_state);

		if (state != TCP_TIME_WAIT && state != TCP_NEW_SYN_RECV)
			return 0;
	} else if (!local) {
		return 0;
	}
	netns = netns_of_event(sk, skb);
	if (!netns_wanted(PROBE_TCPRESET, netns.id))
		return 0;
	count(netns.id, METRIC_TCPRESET_SENT, 0, 0);
	record = emit_begin(PROBE_TCPRESET, VARIANT_SENT, netns.id);
	if (!record)
		return 0;
	record->flags = netns.flags;
	record->proto = IPPROTO_TCP;
	record->side = SIDE_OUT;
	record->ifindex = BPF_CORE_READ(skb, skb_iif);
	if (tuple_of_incoming(record, skb) && (tcp_flags(skb) & (TCP_FLAG_SYN | TCP_FLAG_ACK)) == TCP_FLAG_SYN)
		record->flags |= RECORD_SERVER;
	if (sk) {
		record->flags |= RECORD_SOCK;
		record->state = BPF_CORE_READ(sk, __sk_common.skc_state);
		if (record->family == AF_INET && BPF_CORE_READ(sk, __sk_common.skc_family) == AF_INET6)
			record->flags |= RECORD_V4MAPPED;
	}
	emit_end(ctx, record);
	return 0;
}

static __always_inline void *route_of(const struct sk_buff *skb)
{
	return (void *)(BPF_CORE_READ(skb, _skb_refdst) & ~7UL);
}

SEC("kprobe/tcp_v4_send_reset")
int BPF_KPROBE(tcpreset_sent_v4, struct sock *sk, struct sk_buff *skb)
{
	struct rtable *route = route_of(skb);

	return sent_without_sock(ctx, sk, skb, route && BPF_CORE_READ(route, rt_type) == RTN_LOCAL);
}

SEC("kprobe/tcp_v6_send_reset")
int BPF_KPROBE(tcpreset_sent_v6, struct sock *sk, struct sk_buff *skb)
{
	struct rt6_info *route = route_of(skb);

	return sent_without_sock(ctx, sk, skb, route && (BPF_CORE_READ(route, rt6i_flags) & RTF_LOCAL));
}
