/* SPDX-License-Identifier: Apache-2.0 */
#include "arguments.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *type_name(napi_env env, napi_value value)
{
	static const char *const names[] = {
		[napi_undefined] = "undefined", [napi_null] = "null",	    [napi_boolean] = "boolean",
		[napi_number] = "number",	[napi_string] = "string",   [napi_symbol] = "symbol",
		[napi_object] = "object",	[napi_function] = "function", [napi_external] = "external",
		[napi_bigint] = "bigint",
	};
	napi_valuetype type = napi_undefined;

	napi_typeof(env, value, &type);
	return names[type];
}

static bool wrong(const struct arguments *arguments, const char *name, const char *expected,
		  napi_value found)
{
	fail(arguments->env, "NATIVE_ARGUMENT", 0, "%s: %s must be %s, found %s", arguments->function,
	     name, expected, type_name(arguments->env, found));
	return false;
}

static bool is_type(const struct arguments *arguments, size_t index, napi_valuetype expected)
{
	napi_valuetype type;

	return napi_typeof(arguments->env, arguments->values[index], &type) == napi_ok &&
	       type == expected;
}

bool arguments_read(struct arguments *arguments, napi_env env, napi_callback_info info,
		    const char *function)
{
	arguments->env = env;
	arguments->function = function;
	arguments->count = MAX_ARGUMENTS;
	log_begin();
	/* Missing arguments become undefined. */
	if (napi_get_cb_info(env, info, &arguments->count, arguments->values, &arguments->self,
			     NULL) != napi_ok) {
		fail_node_api(env);
		return false;
	}
	return true;
}

bool argument_string(const struct arguments *arguments, size_t index, const char *name, char *out,
		     size_t size)
{
	napi_value value = arguments->values[index];
	size_t length = 0;

	if (!is_type(arguments, index, napi_string))
		return wrong(arguments, name, "a string", value);
	if (napi_get_value_string_utf8(arguments->env, value, NULL, 0, &length) != napi_ok)
		return wrong(arguments, name, "a string", value);
	if (length >= size) {
		fail(arguments->env, "NATIVE_ARGUMENT", 0, "%s: %s must be at most %zu bytes, found %zu",
		     arguments->function, name, size - 1, length);
		return false;
	}
	if (napi_get_value_string_utf8(arguments->env, value, out, size, &length) != napi_ok)
		return wrong(arguments, name, "a string", value);
	if (strlen(out) != length) {
		fail(arguments->env, "NATIVE_ARGUMENT", 0, "%s: %s must not contain a NUL byte",
		     arguments->function, name);
		return false;
	}
	return true;
}

bool argument_bytes(const struct arguments *arguments, size_t index, const char *name,
		    struct bytes *out)
{
	napi_value value = arguments->values[index];
	napi_typedarray_type type;
	bool typed = false;

	if (napi_is_typedarray(arguments->env, value, &typed) != napi_ok || !typed ||
	    napi_get_typedarray_info(arguments->env, value, &type, &out->size, &out->data, NULL,
				     NULL) != napi_ok ||
	    type != napi_uint8_array)
		return wrong(arguments, name, "a Uint8Array", value);
	return true;
}

bool argument_bool(const struct arguments *arguments, size_t index, const char *name, bool *out)
{
	if (napi_get_value_bool(arguments->env, arguments->values[index], out) != napi_ok)
		return wrong(arguments, name, "a boolean", arguments->values[index]);
	return true;
}

static bool whole_number(const struct arguments *arguments, napi_value value, const char *name,
			 uint32_t least, uint32_t most, uint32_t *out)
{
	char expected[80];
	double number;

	if (napi_get_value_double(arguments->env, value, &number) != napi_ok) {
		snprintf(expected, sizeof(expected), "a whole number from %u to %u", least, most);
		return wrong(arguments, name, expected, value);
	}
	if (!(number >= least && number <= most) || number != floor(number)) {
		fail(arguments->env, "NATIVE_ARGUMENT", 0,
		     "%s: %s must be a whole number from %u to %u, found %g", arguments->function, name,
		     least, most, number);
		return false;
	}
	*out = (uint32_t)number;
	return true;
}

bool argument_u32(const struct arguments *arguments, size_t index, const char *name, uint32_t least,
		  uint32_t most, uint32_t *out)
{
	return whole_number(arguments, arguments->values[index], name, least, most, out);
}

bool argument_function(const struct arguments *arguments, size_t index, const char *name)
{
	if (!is_type(arguments, index, napi_function))
		return wrong(arguments, name, "a function", arguments->values[index]);
	return true;
}

bool argument_option(const struct arguments *arguments, size_t index, const char *name,
		     uint32_t least, uint32_t most, uint32_t *out)
{
	napi_value value;

	if (!is_type(arguments, index, napi_object))
		return wrong(arguments, "options", "an object", arguments->values[index]);
	if (napi_get_named_property(arguments->env, arguments->values[index], name, &value) != napi_ok) {
		fail_node_api(arguments->env);
		return false;
	}
	return whole_number(arguments, value, name, least, most, out);
}

static void *unwrap(napi_env env, napi_value value, const napi_type_tag *tag)
{
	bool tagged = false;
	void *data = NULL;

	return napi_check_object_type_tag(env, value, tag, &tagged) == napi_ok && tagged &&
			       napi_unwrap(env, value, &data) == napi_ok
		       ? data
		       : NULL;
}

void *argument_tagged(const struct arguments *arguments, size_t index, const char *name, const napi_type_tag *tag,
		      const char *kind)
{
	napi_value value = arguments->values[index];
	/* Asked about the tag of anything else, Node throws. */
	void *data = is_type(arguments, index, napi_object) ? unwrap(arguments->env, value, tag) : NULL;
	char expected[80];

	if (!data) {
		snprintf(expected, sizeof(expected), "a %s", kind);
		wrong(arguments, name, expected, value);
	}
	return data;
}

void *argument_self(const struct arguments *arguments, const napi_type_tag *tag, const char *kind)
{
	void *data = unwrap(arguments->env, arguments->self, tag);

	if (!data)
		fail(arguments->env, "NATIVE_ARGUMENT", 0, "%s: must be called as a method of a %s", arguments->function,
		     kind);
	return data;
}
