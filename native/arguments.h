/* SPDX-License-Identifier: Apache-2.0 */
/* Arguments of a call, checked: a wrong one throws NATIVE_ARGUMENT and the function returns false. */
#ifndef JITTERSCOPE_ARGUMENTS_H
#define JITTERSCOPE_ARGUMENTS_H

#include "addon.h"

#define MAX_ARGUMENTS 4
/* Longest name of a program, map or section, with its NUL. */
#define NAME_SIZE 256

struct arguments {
	napi_env env;
	const char *function;
	napi_value self;
	size_t count;
	napi_value values[MAX_ARGUMENTS];
};

struct bytes {
	void *data;
	size_t size;
};

bool arguments_read(struct arguments *arguments, napi_env env, napi_callback_info info,
		    const char *function);
bool argument_string(const struct arguments *arguments, size_t index, const char *name, char *out,
		     size_t size);
bool argument_bytes(const struct arguments *arguments, size_t index, const char *name,
		    struct bytes *out);
bool argument_bool(const struct arguments *arguments, size_t index, const char *name, bool *out);
bool argument_u32(const struct arguments *arguments, size_t index, const char *name, uint32_t least,
		  uint32_t most, uint32_t *out);
bool argument_function(const struct arguments *arguments, size_t index, const char *name);
/* A number property of an object argument. */
bool argument_option(const struct arguments *arguments, size_t index, const char *name,
		     uint32_t least, uint32_t most, uint32_t *out);
/* The struct wrapped in an object argument, when it carries the tag. */
void *argument_tagged(const struct arguments *arguments, size_t index, const char *name, const napi_type_tag *tag,
		      const char *kind);
/* The struct wrapped in `this`, when it carries the tag. */
void *argument_self(const struct arguments *arguments, const napi_type_tag *tag, const char *kind);

#endif
