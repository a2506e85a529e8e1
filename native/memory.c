/* SPDX-License-Identifier: Apache-2.0 */
/* What the C library keeps of memory that was freed. */
#include "arguments.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

napi_value native_trim_memory(napi_env env, napi_callback_info info)
{
	struct arguments arguments;

	if (!arguments_read(&arguments, env, info, "trimMemory"))
		return NULL;
#ifdef __GLIBC__
	malloc_trim(0);
#endif
	return NULL;
}
