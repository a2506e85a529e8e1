/* SPDX-License-Identifier: Apache-2.0 */
/* Boot time and wall time as one moment: the narrowest of several brackets. */
#include "arguments.h"

#include <time.h>

#define READINGS 5

static uint64_t now_ns(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

napi_value native_clocks(napi_env env, napi_callback_info info)
{
	uint64_t boot = 0, wall = 0, width = UINT64_MAX;
	struct arguments arguments;
	napi_value clocks, value;

	if (!arguments_read(&arguments, env, info, "clocks"))
		return NULL;
	for (int i = 0; i < READINGS; i++) {
		uint64_t before = now_ns(CLOCK_BOOTTIME);
		uint64_t between = now_ns(CLOCK_REALTIME);
		uint64_t after = now_ns(CLOCK_BOOTTIME);

		if (after - before >= width)
			continue;
		width = after - before;
		boot = before + width / 2;
		wall = between;
	}
	TRY(napi_create_object(env, &clocks));
	TRY(napi_create_bigint_uint64(env, boot, &value));
	TRY(napi_set_named_property(env, clocks, "bootNs", value));
	TRY(napi_create_bigint_uint64(env, wall, &value));
	TRY(napi_set_named_property(env, clocks, "wallNs", value));
	return clocks;
}
