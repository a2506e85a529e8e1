/* SPDX-License-Identifier: Apache-2.0 */
/* Perf buffers of all CPUs: opened, put into the map where the programs find them, and closed (perf_event_open(2)). */
#include "perf.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Since 6.0; older headers do not have it. */
#define FORMAT_LOST (1U << 4)

static uint64_t perf_waiting(struct source *source)
{
	struct perf *perf = (struct perf *)source;
	uint64_t waiting = 0;

	for (size_t i = 0; i < perf->count; i++) {
		const struct perf_cpu *cpu = &perf->cpus[i];

		if (cpu->fd >= 0)
			waiting += perf_head(cpu) - __atomic_load_n(&cpu->page->data_tail, __ATOMIC_ACQUIRE);
	}
	return waiting;
}

static uint64_t perf_lost(struct source *source)
{
	struct perf *perf = (struct perf *)source;
	struct { uint64_t value, lost; } counted;
	uint64_t lost = 0;

	if (!perf->counts_lost)
		return __atomic_load_n(&perf->lost, __ATOMIC_RELAXED);
	for (size_t i = 0; i < perf->count; i++) {
		if (perf->cpus[i].fd >= 0 && read(perf->cpus[i].fd, &counted, sizeof(counted)) == sizeof(counted))
			lost += counted.lost;
	}
	return lost;
}

static void perf_free(struct source *source)
{
	struct perf *perf = (struct perf *)source;

	for (uint32_t i = 0; i < perf->count; i++) {
		struct perf_cpu *cpu = &perf->cpus[i];

		if (cpu->fd < 0)
			continue;
		if (!perf->last)
			bpf_map_delete_elem(perf->map_fd, &i);
		if (cpu->page)
			munmap(cpu->page, perf->page_size + perf->cpu_bytes);
		close(cpu->fd);
	}
	if (perf->map_fd >= 0)
		close(perf->map_fd);
	free(perf);
}

static int event_open(struct perf *perf, int cpu)
{
	struct perf_event_attr attributes = {
		.size = sizeof(attributes),
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_BPF_OUTPUT,
		.sample_type = PERF_SAMPLE_RAW,
		.sample_period = 1,
		.read_format = perf->counts_lost ? FORMAT_LOST : 0,
		/* Nobody waits to be woken: the reader drains on a timer. */
		.watermark = 1,
		.wakeup_watermark = UINT32_MAX,
	};

	return (int)syscall(SYS_perf_event_open, &attributes, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);
}

/* Returns 0 or errno; 0 also for a CPU that is not online. */
static int cpu_open(struct perf *perf, uint32_t index)
{
	struct perf_cpu *cpu = &perf->cpus[index];
	void *pages;

	cpu->fd = event_open(perf, (int)index);
	if (cpu->fd < 0 && errno == EINVAL && perf->counts_lost) {
		perf->counts_lost = false;
		cpu->fd = event_open(perf, (int)index);
	}
	if (cpu->fd < 0)
		return errno == ENODEV ? 0 : errno;
	pages = mmap(NULL, perf->page_size + perf->cpu_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, cpu->fd, 0);
	if (pages == MAP_FAILED)
		return errno;
	cpu->page = pages;
	cpu->data = (const uint8_t *)pages + perf->page_size;
	if (ioctl(cpu->fd, PERF_EVENT_IOC_ENABLE, 0) != 0 ||
	    bpf_map_update_elem(perf->map_fd, &index, &cpu->fd, BPF_ANY) != 0)
		return errno;
	return 0;
}

struct source *perf_open(int map_fd, size_t cpus, size_t cpu_bytes)
{
	struct perf *perf = calloc(1, sizeof(*perf) + cpus * sizeof(perf->cpus[0]));
	int err = 0;

	if (!perf)
		return NULL;
	perf->source = (struct source){
		.drain = perf_drain, .waiting = perf_waiting, .lost = perf_lost, .free = perf_free,
	};
	perf->page_size = (size_t)sysconf(_SC_PAGESIZE);
	perf->cpu_bytes = cpu_bytes;
	perf->counts_lost = true;
	for (size_t i = 0; i < cpus; i++)
		perf->cpus[i].fd = -1;
	perf->count = cpus;
	perf->map_fd = fcntl(map_fd, F_DUPFD_CLOEXEC, 3);
	if (perf->map_fd < 0)
		err = errno;
	for (uint32_t i = 0; i < cpus && !err; i++)
		err = cpu_open(perf, i);
	if (!err)
		return &perf->source;
	perf_free(&perf->source);
	errno = err;
	return NULL;
}
