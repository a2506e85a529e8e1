/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Whether this kernel lets programs look at inet_csk_accept() as it returns: known only by loading one. It is never attached. */
#include "kernel.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("fexit/inet_csk_accept")
int accept_fexit(void *ctx)
{
	return 0;
}
