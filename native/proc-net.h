/* SPDX-License-Identifier: Apache-2.0 */
/* Files below /proc/net of a namespace, opened on the thread that is in it. */
#ifndef JITTERSCOPE_PROC_NET_H
#define JITTERSCOPE_PROC_NET_H

#include "kept-files.h"
#include "netns.h"

/*
 * Reads argument index as the names of files and returns their contents, undefined for those that are not there.
 * Argument index + 1, if it is given: whether they stay open in kept.
 */
napi_value proc_net_read(const struct arguments *arguments, size_t index, const struct netns_place *place,
			 struct kept_files *kept);

#endif
