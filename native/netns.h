/* SPDX-License-Identifier: Apache-2.0 */
/* Work inside network namespaces. This process's own threads stay where they are. */
#ifndef JITTERSCOPE_NETNS_H
#define JITTERSCOPE_NETNS_H

#include "arguments.h"

/*
 * Work in a namespace: returns 0 or errno, and may say in *step what it was doing. proc_net_fd is /proc/net of the
 * namespace; an openat(2) in it goes where the thread is, so it must not be kept.
 */
typedef int (*netns_work)(void *data, int proc_net_fd, const char **step);

/* netns-thread.c: one thread of this process that goes from namespace to namespace. */

/*
 * Runs work in the namespace of an nsfs descriptor (setns(2)) and waits for it. Returns 0 or errno; *step says what
 * failed.
 */
int netns_visit(int fd, netns_work work, void *data, const char **step);

/* netns.c */

/* Opens an nsfs file. Returns 0 or errno. */
int netns_open(const char *path, int *fd);
/* netns_visit by path. */
int netns_visit_path(const char *path, netns_work work, void *data, const char **step);
/* Works: data is the uint64_t to fill with SO_NETNS_COOKIE; ENOPROTOOPT before 5.14. */
int netns_read_cookie(void *data, int proc_net_fd, const char **step);

/* netlink.c */

/* Where a request goes: by descriptor, or by path when fd is -1. path: for messages. */
struct netns_place {
	int fd;
	const char *path;
};

/* Reads arguments protocol and request from index on, asks, returns the answer as a Buffer. */
napi_value netlink_dump(const struct arguments *arguments, size_t index, const struct netns_place *place);

#endif
