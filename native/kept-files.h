/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files below /proc/net of one namespace that stay open between reads. Reading one again needs neither a visit to the
 * namespace nor a look-up, and its text is printed once: for a file that was just opened the kernel begins with a buffer
 * of one page, and prints what does not fit, as most of netstat does, a second time (seq_read_iter() in fs/seq_file.c).
 */
#ifndef JITTERSCOPE_KEPT_FILES_H
#define JITTERSCOPE_KEPT_FILES_H

#include <stdbool.h>
#include <stddef.h>

struct kept_file;

struct kept_files {
	size_t count;
	struct kept_file *files;
};

/* The descriptor of a file that is kept, else -1. */
int kept_files_find(const struct kept_files *kept, const char *name);
/* Keeps a descriptor; false when there is no room for it: it is still the caller's then. */
bool kept_files_add(struct kept_files *kept, const char *name, int fd);
/* Closes one, if it is kept. */
void kept_files_drop(struct kept_files *kept, const char *name);
/* Closes all. */
void kept_files_close(struct kept_files *kept);

#endif
