/* SPDX-License-Identifier: Apache-2.0 */
/* The last lines of libbpf and the verifier, kept per thread and per call. */
#include "addon.h"

#include <bpf/libbpf.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOG_BYTES 8192

static _Thread_local char text[LOG_BYTES + 1];
static _Thread_local size_t used;

/* Keeps the last LOG_BYTES, from the start of a line. */
static void append(const char *bytes, size_t size)
{
	size_t overflow;
	char *line;

	if (size > LOG_BYTES) {
		bytes += size - LOG_BYTES;
		size = LOG_BYTES;
	}
	overflow = used + size > LOG_BYTES ? used + size - LOG_BYTES : 0;
	memmove(text, text + overflow, used - overflow);
	used -= overflow;
	memcpy(text + used, bytes, size);
	used += size;
	text[used] = '\0';
	if (used < LOG_BYTES)
		return;
	line = memchr(text, '\n', used);
	if (line && line + 1 < text + used) {
		used -= line + 1 - text;
		memmove(text, line + 1, used + 1);
	}
}

static int on_print(enum libbpf_print_level level, const char *format, va_list list)
{
	char small[512], *large;
	va_list again;
	int size;

	if (level == LIBBPF_DEBUG)
		return 0;
	va_copy(again, list);
	size = vsnprintf(small, sizeof(small), format, list);
	if (size >= (int)sizeof(small)) {
		/* A verifier log: up to 16 MiB. */
		large = malloc((size_t)size + 1);
		if (large) {
			vsnprintf(large, (size_t)size + 1, format, again);
			append(large, (size_t)size);
			free(large);
		}
	} else if (size > 0) {
		append(small, (size_t)size);
	}
	va_end(again);
	return size;
}

void log_begin(void)
{
	used = 0;
	text[0] = '\0';
}

const char *log_text(void)
{
	return text;
}

void log_install(void)
{
	/* Process-wide in libbpf; every environment of the process sets the same function. */
	libbpf_set_print(on_print);
}
