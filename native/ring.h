/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JITTERSCOPE_RING_H
#define JITTERSCOPE_RING_H

#include "reader.h"

/* Maps a ring buffer map of so many bytes. NULL with errno on failure. Does not need fd afterwards. */
struct source *ring_open(int fd, size_t bytes);

#endif
