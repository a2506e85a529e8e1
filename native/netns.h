/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JITTERSCOPE_NETNS_H
#define JITTERSCOPE_NETNS_H

/* Work inside a namespace: returns 0 or errno, and may say in *step what it was doing. */
typedef int (*netns_work)(void *data, const char **step);

/*
 * Runs work on a thread of its own that has entered the network namespace (setns(2)): this process
 * stays where it is. Returns 0 or errno; *step says what failed.
 */
int netns_run(const char *path, netns_work work, void *data, const char **step);

#endif
