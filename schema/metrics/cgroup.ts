import { counters, type FieldRow, type FieldRows, gauges, under } from './row.ts';

const microseconds = (help: string): FieldRow => ({ help, unit: 'seconds', scale: 1e-6 });

const cpuRows: FieldRows = {
  usage_usec: microseconds('CPU time used (v1: cpuacct.usage).'),
  user_usec: microseconds('CPU time used in user mode (v1: cpuacct.usage_user).'),
  system_usec: microseconds('CPU time used in the kernel (v1: cpuacct.usage_sys).'),
  nice_usec: microseconds('CPU time used by processes with a nice value above 0.'),
  'core_sched.force_idle_usec': microseconds('CPU time lost because core scheduling forced a sibling to idle.'),
  throttled_usec: microseconds('Time in which runnable tasks were not let run, by CPU (v1: throttled_time).'),
  burst_usec: microseconds('CPU time used above the quota out of what was saved (v1: burst_time).'),
  wait_sum: { help: 'Time that tasks waited for a CPU (v1).', unit: 'seconds', scale: 1e-9 },
  ...counters({
    nr_periods: 'Enforcement periods that passed while there was work.',
    nr_throttled: 'Periods in which the quota was used up.',
    nr_bursts: 'Periods in which more than the quota was used.',
  }),
};

const statGauges: Readonly<Record<string, string>> = {
  anon: 'anonymous memory',
  file: 'page cache',
  kernel: 'memory of the kernel',
  kernel_stack: 'kernel stacks',
  pagetables: 'page tables',
  sec_pagetables: 'secondary page tables',
  percpu: 'per-CPU memory of the kernel',
  sock: 'socket buffers',
  vmalloc: 'vmalloc memory',
  shmem: 'shared memory and tmpfs',
  zswap: 'memory of zswap, compressed',
  zswapped: 'memory that zswap holds, uncompressed',
  file_mapped: 'mapped page cache',
  file_dirty: 'page cache to be written',
  file_writeback: 'page cache being written',
  swapcached: 'swap that is in memory too',
  anon_thp: 'anonymous memory in huge pages',
  file_thp: 'page cache in huge pages',
  shmem_thp: 'shared memory in huge pages',
  inactive_anon: 'anonymous memory on the inactive list',
  active_anon: 'anonymous memory on the active list',
  inactive_file: 'page cache on the inactive list',
  active_file: 'page cache on the active list',
  unevictable: 'memory that cannot be reclaimed',
  slab_reclaimable: 'slabs that can be reclaimed',
  slab_unreclaimable: 'slabs that cannot be reclaimed',
  slab: 'slabs',
  hugetlb: 'hugetlb pages',
  // Names of v1.
  cache: 'page cache, shared memory included (v1)',
  rss: 'anonymous and swap cache memory (v1)',
  rss_huge: 'anonymous memory in huge pages (v1)',
  mapped_file: 'mapped page cache (v1)',
  dirty: 'page cache to be written (v1)',
  writeback: 'memory being written (v1)',
  swap: 'swap in use (v1)',
};

const statCounters: Readonly<Record<string, string>> = {
  workingset_refault_anon: 'Anonymous pages that came back soon after they were evicted.',
  workingset_refault_file: 'Pages of files that came back soon after they were evicted.',
  workingset_activate_anon: 'Anonymous pages that came back and were activated.',
  workingset_activate_file: 'Pages of files that came back and were activated.',
  workingset_restore_anon: 'Anonymous pages that came back and belong to the working set.',
  workingset_restore_file: 'Pages of files that came back and belong to the working set.',
  workingset_nodereclaim: 'Times that shadow nodes were reclaimed.',
  pgdemote_kswapd: 'Pages demoted by kswapd.',
  pgdemote_direct: 'Pages demoted by direct reclaim.',
  pgdemote_khugepaged: 'Pages demoted by khugepaged.',
  pgdemote_proactive: 'Pages demoted proactively.',
  pgpromote_success: 'Pages promoted to a faster node.',
  pgscan: 'Pages looked at for reclaim.',
  pgsteal: 'Pages reclaimed.',
  pgscan_kswapd: 'Pages looked at by kswapd.',
  pgscan_direct: 'Pages looked at by direct reclaim.',
  pgscan_khugepaged: 'Pages looked at by khugepaged.',
  pgscan_proactive: 'Pages looked at proactively.',
  pgsteal_kswapd: 'Pages reclaimed by kswapd.',
  pgsteal_direct: 'Pages reclaimed by direct reclaim.',
  pgsteal_khugepaged: 'Pages reclaimed by khugepaged.',
  pgsteal_proactive: 'Pages reclaimed proactively.',
  pgfault: 'Page faults.',
  pgmajfault: 'Page faults that had to read from a disk.',
  pgrefill: 'Pages looked at on the active list.',
  pgactivate: 'Pages moved to the active list.',
  pgdeactivate: 'Pages moved to the inactive list.',
  pglazyfree: 'Pages to be freed under pressure.',
  pglazyfreed: 'Pages freed under pressure.',
  swpin_zero: 'Zero pages swapped in without a read.',
  swpout_zero: 'Zero pages swapped out without a write.',
  zswpin: 'Pages moved out of zswap to memory.',
  zswpout: 'Pages moved to zswap.',
  zswpwb: 'Pages written from zswap to the disk.',
  thp_fault_alloc: 'Huge pages made at a page fault.',
  thp_collapse_alloc: 'Huge pages made by joining pages.',
  thp_swpout: 'Huge pages swapped out whole.',
  thp_swpout_fallback: 'Huge pages split before they were swapped out.',
  numa_pages_migrated: 'Pages moved by NUMA balancing.',
  numa_pte_updates: 'Page table entries changed by NUMA balancing.',
  numa_hint_faults: 'Page faults of NUMA balancing.',
  numa_task_migrated: 'Tasks moved by NUMA balancing.',
  numa_task_swapped: 'Tasks swapped by NUMA balancing.',
  pgpgin: 'Pages charged (v1).',
  pgpgout: 'Pages uncharged (v1).',
};

const statRows: FieldRows = {
  ...gauges(Object.fromEntries(Object.entries(statGauges).map(([field, what]) => [field, `Memory: ${what}.`])), 'bytes'),
  ...counters(statCounters),
};

/** v1 prints each value twice: of the cgroup itself, and with those below it. */
const totals = Object.fromEntries(
  Object.entries(statRows).map(([field, row]) => [field, { ...row, help: `${row.help.slice(0, -1)}, cgroups below included (v1).` }]),
);

/** Containers' cgroups. v1's files go by the names that v2 gives the same values. */
export const cgroupRows: FieldRows = {
  ...under('cpu.', cpuRows),
  ...gauges(
    {
      'memory.current': 'Memory in use (v1: memory.usage_in_bytes).',
      'memory.max': 'Memory limit, 2^63: none (v1: memory.limit_in_bytes).',
      'memory.stat.hierarchical_memory_limit': 'Least memory limit of the cgroup and those above it (v1).',
      'memory.stat.hierarchical_memsw_limit': 'Least limit of memory and swap of the cgroup and those above it (v1).',
    },
    'bytes',
  ),
  ...gauges({
    'memory.oom_control.oom_kill_disable': '1: the OOM killer is switched off (v1).',
    'memory.oom_control.under_oom': '1: tasks wait for memory (v1).',
  }),
  ...counters({
    'memory.events.low': 'Times that the cgroup was reclaimed below its low boundary.',
    'memory.events.high': 'Times that tasks were throttled because of the high boundary.',
    'memory.events.max': 'Times that usage was about to go over the limit (v1: memory.failcnt).',
    'memory.events.oom': 'Times that an allocation failed at the limit.',
    'memory.events.oom_kill': 'Processes killed by the OOM killer.',
    'memory.events.oom_group_kill': 'Times that all of a group was killed by the OOM killer.',
    'memory.events.sock_throttled': 'Times that sockets were throttled because of memory.',
  }),
  ...under('memory.stat.', statRows),
  ...under('memory.stat.total_', totals),
};
