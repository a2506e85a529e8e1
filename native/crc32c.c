/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32C (RFC 3720, appendix B.4): by the processor's instruction where it has one, else by tables. */
#include "arguments.h"

#include <pthread.h>
#include <string.h>

#define POLYNOMIAL 0x82f63b78 /* bits reversed */

static uint32_t tables[8][256];

static void fill_tables(void)
{
	for (uint32_t byte = 0; byte < 256; byte++) {
		uint32_t crc = byte;

		for (int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ POLYNOMIAL : crc >> 1;
		tables[0][byte] = crc;
	}
	for (int table = 1; table < 8; table++) {
		for (int byte = 0; byte < 256; byte++) {
			uint32_t before = tables[table - 1][byte];

			tables[table][byte] = tables[0][before & 255] ^ before >> 8;
		}
	}
}

static uint64_t load_le64(const uint8_t *bytes)
{
	uint64_t word;

	memcpy(&word, bytes, sizeof(word));
	return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? word : __builtin_bswap64(word);
}

/* Eight bytes a step. */
static uint32_t crc32c_tables(uint32_t crc, const uint8_t *bytes, size_t size)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, fill_tables);
	for (; size >= 8; bytes += 8, size -= 8) {
		uint64_t word = load_le64(bytes) ^ crc;

		crc = 0;
		for (int i = 0; i < 8; i++)
			crc ^= tables[7 - i][word >> 8 * i & 255];
	}
	for (; size > 0; bytes++, size--)
		crc = tables[0][(crc ^ *bytes) & 255] ^ crc >> 8;
	return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc32c_sse42(uint32_t crc, const uint8_t *bytes,
							       size_t size)
{
	uint64_t wide = crc;

	for (; size >= 8; bytes += 8, size -= 8)
		wide = __builtin_ia32_crc32di(wide, load_le64(bytes));
	crc = (uint32_t)wide;
	for (; size > 0; bytes++, size--)
		crc = __builtin_ia32_crc32qi(crc, *bytes);
	return crc;
}
#endif

static uint32_t crc32c(uint32_t crc, const uint8_t *bytes, size_t size)
{
#if defined(__x86_64__)
	if (__builtin_cpu_supports("sse4.2"))
		return crc32c_sse42(crc, bytes, size);
#endif
	return crc32c_tables(crc, bytes, size);
}

napi_value native_crc32c(napi_env env, napi_callback_info info)
{
	napi_valuetype type = napi_undefined;
	struct arguments arguments;
	struct bytes bytes;
	uint32_t seed = 0;
	napi_value sum;

	if (!arguments_read(&arguments, env, info, "crc32c") ||
	    !argument_bytes(&arguments, 0, "bytes", &bytes))
		return NULL;
	napi_typeof(env, arguments.values[1], &type);
	if (type != napi_undefined && !argument_u32(&arguments, 1, "seed", 0, UINT32_MAX, &seed))
		return NULL;
	TRY(napi_create_uint32(env, ~crc32c(~seed, bytes.data, bytes.size), &sum));
	return sum;
}
