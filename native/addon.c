/* SPDX-License-Identifier: Apache-2.0 */
/* The module: exports the process-wide functions of addon.ts. */
#include "addon.h"

#include <bpf/libbpf.h>

static napi_value native_libbpf_version(napi_env env, napi_callback_info info)
{
	const char *version = libbpf_version_string();
	napi_value value;

	(void)info;
	/* libbpf says "v1.1". */
	if (*version == 'v')
		version++;
	TRY(napi_create_string_utf8(env, version, NAPI_AUTO_LENGTH, &value));
	return value;
}

NAPI_MODULE_INIT()
{
	static const struct {
		const char *name;
		napi_callback call;
	} functions[] = {
		{ "libbpfVersion", native_libbpf_version },
		{ "openObject", native_open_object },
		{ "tracepointArgs", native_tracepoint_args },
		{ "enumValues", native_enum_values },
		{ "hasMember", native_has_member },
		{ "startReplay", native_start_replay },
		{ "clocks", native_clocks },
		{ "trimMemory", native_trim_memory },
		{ "netlinkDump", native_netlink_dump },
		{ "netnsCookie", native_netns_cookie },
		{ "openNetns", native_open_netns },
		{ "crc32c", native_crc32c },
		{ "lockFile", native_lock_file },
	};

	log_install();
	for (size_t i = 0; i < ARRAY_SIZE(functions); i++) {
		napi_value function;

		TRY(napi_create_function(env, functions[i].name, NAPI_AUTO_LENGTH, functions[i].call,
					 NULL, &function));
		TRY(napi_set_named_property(env, exports, functions[i].name, function));
	}
	return exports;
}
