/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every file of the addon needs: Node-API, the failure that JavaScript sees, and the
 * functions that addon.c exports. The contract is addon.ts.
 */
#ifndef JITTERSCOPE_ADDON_H
#define JITTERSCOPE_ADDON_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#define NAPI_VERSION 8
#include <node_api.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The kernel's own (include/linux/errno.h), not for user space, yet seen there. */
#define ENOTSUPP 524

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/* Returns NULL from a callback after a failed Node-API call, with an exception pending. */
#define TRY(call)                                                                                  \
	do {                                                                                       \
		if ((call) != napi_ok)                                                             \
			return fail_node_api(env);                                                 \
	} while (0)

/* Throws a NativeFailure. Always returns NULL, so that a callback can return it. err: errno or 0. */
napi_value fail(napi_env env, const char *code, int err, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* The same error as a value, not thrown; NULL when it cannot be made. */
napi_value failure_create(napi_env env, const char *code, int err, const char *message);
napi_value fail_node_api(napi_env env);

/* Advice for a failure: what to do, never empty. May use buffer. */
const char *hint_for(const char *code, int err, char *buffer, size_t size);

/* Collects what libbpf prints on this thread from here on; log_text has its last 8 KiB. */
void log_begin(void);
const char *log_text(void);
void log_install(void);

/* Properties of result objects. */
napi_value undefined(napi_env env);
void set_string(napi_env env, napi_value object, const char *name, const char *value);
void set_number(napi_env env, napi_value object, const char *name, double value);
napi_value buffer_copy(napi_env env, const void *bytes, size_t size);

napi_value native_open_object(napi_env env, napi_callback_info info);
napi_value native_tracepoint_args(napi_env env, napi_callback_info info);
napi_value native_enum_values(napi_env env, napi_callback_info info);
napi_value native_has_member(napi_env env, napi_callback_info info);
napi_value native_start_replay(napi_env env, napi_callback_info info);
napi_value native_clocks(napi_env env, napi_callback_info info);
napi_value native_trim_memory(napi_env env, napi_callback_info info);
napi_value native_netlink_dump(napi_env env, napi_callback_info info);
napi_value native_netns_cookie(napi_env env, napi_callback_info info);
napi_value native_open_netns(napi_env env, napi_callback_info info);
napi_value native_crc32c(napi_env env, napi_callback_info info);
napi_value native_lock_file(napi_env env, napi_callback_info info);

#endif
