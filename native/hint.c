/* SPDX-License-Identifier: Apache-2.0 */
/* What to do about a failure, from what this process and this kernel may do. */
#include "addon.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CAP_NET_ADMIN_BIT 12
#define CAP_SYS_ADMIN_BIT 21
#define CAP_PERFMON_BIT 38
#define CAP_BPF_BIT 39

/* CapEff of this thread, see proc_pid_status(5); all bits when it cannot be read. */
static uint64_t effective_capabilities(void)
{
	uint64_t capabilities = UINT64_MAX;
	FILE *status = fopen("/proc/thread-self/status", "re");
	char line[256];

	if (!status)
		return capabilities;
	while (fgets(line, sizeof(line), status)) {
		if (sscanf(line, "CapEff: %" SCNx64, &capabilities) == 1)
			break;
	}
	fclose(status);
	return capabilities;
}

static bool has(uint64_t capabilities, int bit)
{
	return capabilities >> bit & 1;
}

static const char *lockdown_hint(void)
{
	FILE *file = fopen("/sys/kernel/security/lockdown", "re");
	char line[128] = "";

	if (file) {
		if (!fgets(line, sizeof(line), file))
			line[0] = '\0';
		fclose(file);
	}
	if (strstr(line, "[confidentiality]"))
		return "The kernel is locked down (confidentiality): boot without lockdown=confidentiality";
	return "The capabilities are there, so something else refuses: a seccomp profile of the container, "
	       "a security module, or kernel lockdown";
}

static const char *bpf_permission_hint(char *buffer, size_t size)
{
	uint64_t capabilities = effective_capabilities();
	bool bpf = has(capabilities, CAP_BPF_BIT), perfmon = has(capabilities, CAP_PERFMON_BIT);

	if ((bpf && perfmon) || has(capabilities, CAP_SYS_ADMIN_BIT))
		return lockdown_hint();
	snprintf(buffer, size, "Missing capability %s%s%s: run as root, or give CAP_BPF and CAP_PERFMON",
		 bpf ? "" : "CAP_BPF", !bpf && !perfmon ? " and " : "", perfmon ? "" : "CAP_PERFMON");
	return buffer;
}

static bool is(const char *code, const char *name)
{
	return strcmp(code, name) == 0;
}

static const char *netns_hint(int err)
{
	if ((err == EPERM || err == EACCES) && !has(effective_capabilities(), CAP_SYS_ADMIN_BIT))
		return "Missing capability CAP_SYS_ADMIN: entering a network namespace needs it";
	if (err == EPERM && !has(effective_capabilities(), CAP_NET_ADMIN_BIT))
		return "Missing capability CAP_NET_ADMIN: the kernel answers this to nobody else";
	if (err == ENOENT || err == ESRCH)
		return "The namespace or its process is gone";
	if (err == EINVAL || err == EISDIR)
		return "Expected a network namespace such as /run/netns/web or /proc/123/ns/net";
	return "Look at the errno: the kernel refused this request in that namespace";
}

static const char *file_hint(int err)
{
	if (err == EACCES || err == EPERM)
		return "Run as the owner of the file, or choose another data folder";
	if (err == ENOENT || err == ENOTDIR)
		return "Check the path: a folder of it does not exist";
	return "Check that the path names a regular file on a working file system";
}

const char *hint_for(const char *code, int err, char *buffer, size_t size)
{
	if (is(code, "NATIVE_ARGUMENT"))
		return "Correct the call: the message says what was expected";
	if (is(code, "NATIVE_NETNS"))
		return netns_hint(err);
	if (is(code, "NATIVE_LOCK") || is(code, "NATIVE_REPLAY"))
		return file_hint(err);
	if (is(code, "NATIVE_READER") && err == EPERM)
		return "Locked memory is short: give CAP_IPC_LOCK, raise kernel.perf_event_mlock_kb, or make the buffers smaller";
	if (err == EPERM || err == EACCES) {
		if (strstr(log_text(), "BEGIN PROG LOAD LOG"))
			return "The verifier rejected the program: its last lines are in the log";
		return bpf_permission_hint(buffer, size);
	}
	if (access("/sys/kernel/btf/vmlinux", R_OK) != 0)
		return "This kernel has no BTF: use one built with CONFIG_DEBUG_INFO_BTF=y";
	if (err == ENOMEM)
		return "Free memory, raise the memory limit, or make the maps smaller";
	if (err == EMFILE || err == ENFILE)
		return "Raise the limit of open files";
	if (strstr(log_text(), "failed to find kernel BTF type ID"))
		return "This kernel lacks the hook: leave the program out";
	if (is(code, "NATIVE_LOAD"))
		return "The last lines of libbpf and the verifier are in the log";
	if (is(code, "NATIVE_ATTACH"))
		return "This kernel lacks the hook, or the program's kind cannot be attached: see the log";
	if (is(code, "NATIVE_OPEN"))
		return "Build the BPF objects again with npm run build";
	return "See errno and log";
}
