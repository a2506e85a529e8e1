/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The kernel's types as far as the probes read them. CO-RE finds each field in the running kernel by name, so order and
 * size here mean nothing; a field that not every kernel has is guarded by bpf_core_field_exists at its use.
 */
#ifndef JITTERSCOPE_KERNEL_H
#define JITTERSCOPE_KERNEL_H

typedef unsigned char __u8;
typedef signed char __s8;
typedef unsigned short __u16;
typedef short __s16;
typedef unsigned int __u32;
typedef int __s32;
typedef unsigned long long __u64;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u64 __be64;
typedef __u16 __sum16;
typedef __u32 __wsum;
typedef _Bool bool;

enum { false = 0, true = 1 };

/* From the kernel's user-space interface (linux/bpf.h): the values are fixed. */
enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERF_EVENT_ARRAY = 4,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_STACK_TRACE = 7,
	BPF_MAP_TYPE_SK_STORAGE = 24,
	BPF_MAP_TYPE_RINGBUF = 27,
};

enum {
	BPF_NOEXIST = 1,
	BPF_F_NO_PREALLOC = 1 << 0,
	BPF_F_CLONE = 1 << 9,
	BPF_SK_STORAGE_GET_F_CREATE = 1,
	BPF_RB_NO_WAKEUP = 1,
};

#define BPF_F_CURRENT_CPU 0xffffffffULL

enum {
	AF_INET = 2,
	AF_INET6 = 10,
	AF_PACKET = 17,
	IPPROTO_ICMP = 1,
	IPPROTO_TCP = 6,
	IPPROTO_UDP = 17,
	IPPROTO_ICMPV6 = 58,
	IPPROTO_SCTP = 132,
	IPPROTO_UDPLITE = 136,
};

/* Why packets are dropped: values differ between kernels, CO-RE finds these by name. */
enum skb_drop_reason {
	SKB_NOT_DROPPED_YET,
	SKB_CONSUMED,
	SKB_DROP_REASON_CPU_BACKLOG,
};

/* include/net/tcp_states.h */
enum {
	TCP_ESTABLISHED = 1,
	TCP_SYN_SENT = 2,
	TCP_SYN_RECV = 3,
	TCP_FIN_WAIT1 = 4,
	TCP_FIN_WAIT2 = 5,
	TCP_TIME_WAIT = 6,
	TCP_CLOSE = 7,
	TCP_CLOSE_WAIT = 8,
	TCP_LAST_ACK = 9,
	TCP_LISTEN = 10,
	TCP_CLOSING = 11,
	TCP_NEW_SYN_RECV = 12,
};

/* include/uapi/linux/net.h: SS_UNCONNECTED while connect() has not got as far as waiting for an answer. */
typedef enum {
	SS_FREE = 0,
	SS_UNCONNECTED = 1,
	SS_CONNECTING = 2,
	SS_CONNECTED = 3,
} socket_state;

/* Registers of a kprobe: the layout of asm/ptrace.h, under the names bpf_tracing.h uses. */
#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	unsigned long r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi, orig_rax, rip, cs, eflags, rsp, ss;
};
#elif defined(__TARGET_ARCH_arm64)
struct pt_regs;
struct user_pt_regs {
	__u64 regs[31], sp, pc, pstate;
};
#endif

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct ns_common {
	unsigned int inum;
};

struct ipv4_devconf {
	int data[1]; /* IPV4_DEVCONF_FORWARDING is the first */
};

struct netns_ipv4 {
	struct ipv4_devconf *devconf_all;
};

struct ipv6_devconf {
	__s32 forwarding;
};

struct netns_ipv6 {
	struct ipv6_devconf *devconf_all;
};

struct net {
	__u64 net_cookie; /* set at creation since 5.12 */
	struct ns_common ns;
	struct netns_ipv4 ipv4;
	struct netns_ipv6 ipv6;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct in6_addr {
	union {
		__be32 u6_addr32[4];
	} in6_u;
};

typedef struct {
	__s64 counter;
} atomic64_t;

typedef struct {
	int counter;
} atomic_t;

struct sock_common {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	int skc_bound_dev_if;
	unsigned long skc_flags;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	atomic64_t skc_cookie; /* 0 until somebody asks for it */
};

struct kernfs_node {
	__u64 id;
};

struct cgroup {
	struct kernfs_node *kn;
};

struct sock_cgroup_data {
	struct cgroup *cgroup;
};

/* Before 5.15: a pointer, or with one of the low bits set net_cls's numbers. */
struct sock_cgroup_data___val {
	__u64 val;
};

struct socket;
struct sk_buff;

typedef struct {
	int owned;
} socket_lock_t;

struct sk_buff_head {
	struct sk_buff *next;
};

struct sock {
	struct sock_common __sk_common;
	socket_lock_t sk_lock;
	struct sk_buff_head sk_error_queue;
	__u16 sk_protocol;
	int sk_err;
	int sk_err_soft;
	struct socket *sk_socket;
	int sk_rx_dst_ifindex;
	__u32 sk_ack_backlog;
	__u32 sk_max_ack_backlog;
	atomic_t sk_drops;
	struct sock_cgroup_data sk_cgrp_data;
};

struct inet_sock {
	struct sock sk;
	__be16 inet_sport;
};

struct request_sock;

struct request_sock_queue {
	struct request_sock *rskq_accept_head;
};

struct inet_connection_sock {
	struct inet_sock icsk_inet;
	struct request_sock_queue icsk_accept_queue;
	__u8 icsk_ca_state : 5;
	__u8 icsk_retransmits;
	__u8 icsk_pending;
};

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	__u32 snd_cwnd;
	__u32 srtt_us;
	__u32 packets_out;
	__u32 total_retrans;
	__u32 segs_in;
	__u32 segs_out;
	__u64 bytes_received;
	__u64 bytes_acked;
	__u64 tcp_mstamp; /* CLOCK_MONOTONIC, us: of the last packet, in or out, or timer */
	struct {
		__u64 time; /* CLOCK_MONOTONIC, us: of the establishment until the application has read something */
	} rcvq_space;
};

struct request_sock {
	struct sock_common __req_common;
	struct sock *sk;
	__u8 num_retrans;
};

/* In sk_buff's cb while the packet is TCP's. */
struct tcp_skb_cb {
	__u16 tcp_gso_segs;
};

struct socket {
	socket_state state;
	struct file *file;
	struct sock *sk;
};

struct file {
	void *private_data;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

struct net_device {
	char name[16];
	int ifindex;
	possible_net_t nd_net;
};

struct dst_entry {
	struct net_device *dev;
	unsigned short flags;
};

struct rtable {
	struct dst_entry dst;
	__u16 rt_type;
};

struct rt6_info {
	struct dst_entry dst;
	__u32 rt6i_flags;
};

struct sk_buff {
	struct net_device *dev;
	struct sock *sk;
	unsigned long _skb_refdst;
	unsigned int len;
	__u8 pkt_type : 3;
	int skb_iif;
	char cb[48];
	__be16 protocol;
	__u16 transport_header;
	__u16 network_header;
	unsigned int tail; /* as end, a distance from head (NET_SKBUFF_DATA_USES_OFFSET) */
	unsigned int end;
	unsigned char *head, *data;
};

struct skb_shared_info {
	unsigned short gso_segs;
};

struct sock_extended_err {
	__u32 ee_errno;
	__u8 ee_origin;
};

/* In sk_buff's cb while the packet waits in a socket's error queue. */
struct sock_exterr_skb {
	struct sock_extended_err ee;
};

struct nsproxy {
	struct net *net_ns;
};

struct task_struct {
	int pid;
	int tgid;
	char comm[16];
	struct task_struct *group_leader;
	struct files_struct *files;
	struct nsproxy *nsproxy;
};

/* Of struct pt_regs: the number of the system call, where the architecture keeps it. */
struct pt_regs___syscall {
	unsigned long orig_ax; /* x86 */
	int syscallno;	       /* arm64 */
};

/* Argument of inet_csk_accept since 6.10. */
struct proto_accept_arg {
	int flags;
};

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
};

#pragma clang attribute pop

#endif
