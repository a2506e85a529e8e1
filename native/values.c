/* SPDX-License-Identifier: Apache-2.0 */
/* Small values for JavaScript. A failure leaves the property out or an exception pending. */
#include "addon.h"

napi_value undefined(napi_env env)
{
	napi_value value = NULL;

	napi_get_undefined(env, &value);
	return value;
}

void set_string(napi_env env, napi_value object, const char *name, const char *value)
{
	napi_value text;

	if (napi_create_string_utf8(env, value, NAPI_AUTO_LENGTH, &text) == napi_ok)
		napi_set_named_property(env, object, name, text);
}

void set_number(napi_env env, napi_value object, const char *name, double value)
{
	napi_value number;

	if (napi_create_double(env, value, &number) == napi_ok)
		napi_set_named_property(env, object, name, number);
}

napi_value buffer_copy(napi_env env, const void *bytes, size_t size)
{
	static const char nothing;
	napi_value buffer;

	TRY(napi_create_buffer_copy(env, size, size ? bytes : &nothing, NULL, &buffer));
	return buffer;
}
