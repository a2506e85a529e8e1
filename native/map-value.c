/* SPDX-License-Identifier: Apache-2.0 */
#include "map-value.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define SLOT_BYTES 8

bool map_is_per_cpu(const struct bpf_map *map)
{
	switch (bpf_map__type(map)) {
	case BPF_MAP_TYPE_PERCPU_HASH:
	case BPF_MAP_TYPE_PERCPU_ARRAY:
	case BPF_MAP_TYPE_LRU_PERCPU_HASH:
		return true;
	default:
		return false;
	}
}

size_t map_value_slots_size(const struct bpf_map *map)
{
	size_t size = bpf_map__value_size(map);
	int cpus;

	if (!map_is_per_cpu(map))
		return size;
	cpus = libbpf_num_possible_cpus();
	return (size + SLOT_BYTES - 1) / SLOT_BYTES * SLOT_BYTES * (size_t)(cpus > 0 ? cpus : 1);
}

void *map_value_expand(const struct bpf_map *map, const void *value)
{
	void *slots = calloc(1, map_value_slots_size(map));

	if (slots)
		memcpy(slots, value, bpf_map__value_size(map));
	return slots;
}

void map_value_sum(const struct bpf_map *map, void *slots)
{
	size_t size = map_value_slots_size(map);
	uint64_t sum = 0, value;

	if (!map_is_per_cpu(map) || bpf_map__value_size(map) != sizeof(value))
		return;
	for (size_t at = 0; at < size; at += sizeof(value)) {
		memcpy(&value, (char *)slots + at, sizeof(value));
		sum += value;
	}
	memcpy(slots, &sum, sizeof(sum));
}
