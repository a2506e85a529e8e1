/* SPDX-License-Identifier: Apache-2.0 */
/* NativeFailure: an Error with code, errno, errnoName, log and hint. */
#include "addon.h"

#include <bpf/libbpf.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MESSAGE_SIZE 1024

static const char *errno_name(int err)
{
	/* In the order of enum libbpf_errno. */
	static const char *const libbpf_names[] = {
		"LIBBPF_LIBELF", "LIBBPF_FORMAT", "LIBBPF_KVERSION", "LIBBPF_ENDIAN", "LIBBPF_INTERNAL",
		"LIBBPF_RELOC",	 "LIBBPF_LOAD",	  "LIBBPF_VERIFY",   "LIBBPF_PROG2BIG", "LIBBPF_KVER",
		"LIBBPF_PROGTYPE", "LIBBPF_WRNGPID", "LIBBPF_INVSEQ", "LIBBPF_NLPARSE",
	};
	size_t libbpf_index = (size_t)err - __LIBBPF_ERRNO__START;
	const char *name = err ? strerrorname_np(err) : "";

	if (err == ENOTSUPP)
		return "ENOTSUPP";
	if (err >= __LIBBPF_ERRNO__START && libbpf_index < ARRAY_SIZE(libbpf_names))
		return libbpf_names[libbpf_index];
	return name ? name : "UNKNOWN";
}

napi_value failure_create(napi_env env, const char *code, int err, const char *message)
{
	char whole[MESSAGE_SIZE + 256], hint[512], words[128];
	napi_value code_value, text, error;

	libbpf_strerror(err, words, sizeof(words));
	if (err)
		snprintf(whole, sizeof(whole), "%s: %s (%s)", message, words, errno_name(err));
	else
		snprintf(whole, sizeof(whole), "%s", message);
	if (napi_create_string_utf8(env, code, NAPI_AUTO_LENGTH, &code_value) != napi_ok ||
	    napi_create_string_utf8(env, whole, NAPI_AUTO_LENGTH, &text) != napi_ok ||
	    napi_create_error(env, code_value, text, &error) != napi_ok)
		return NULL;
	set_number(env, error, "errno", err);
	set_string(env, error, "errnoName", errno_name(err));
	set_string(env, error, "log", log_text());
	set_string(env, error, "hint", hint_for(code, err, hint, sizeof(hint)));
	return error;
}

napi_value fail(napi_env env, const char *code, int err, const char *format, ...)
{
	char message[MESSAGE_SIZE];
	bool pending = false;
	napi_value error;
	va_list list;

	napi_is_exception_pending(env, &pending);
	if (pending)
		return NULL;
	va_start(list, format);
	vsnprintf(message, sizeof(message), format, list);
	va_end(list);
	error = failure_create(env, code, err < 0 ? -err : err, message);
	if (error)
		napi_throw(env, error);
	return NULL;
}

napi_value fail_node_api(napi_env env)
{
	const napi_extended_error_info *last = NULL;

	napi_get_last_error_info(env, &last);
	return fail(env, "NATIVE_ARGUMENT", 0, "Node-API: %s",
		    last && last->error_message ? last->error_message : "unknown failure");
}
