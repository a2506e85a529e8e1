#!/bin/busybox sh
# The guest's first process. Its root is the host's, which it can read, with changes kept in memory; /out is the host's, too.
/bin/busybox mkdir -p /proc /sys /dev /host /memory
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
while read -r module; do insmod "/modules/$module" || echo "insmod $module failed"; done </modules.order

share() { mount -t 9p -o "trans=virtio,version=9p2000.L,msize=512000,$3" "$1" "$2"; }

share host /host cache=loose,ro
mount -t tmpfs -o size=512m tmpfs /memory
mkdir -p /memory/upper /memory/work /memory/root
mount -t overlay -o lowerdir=/host,upperdir=/memory/upper,workdir=/memory/work,index=off,xino=off overlay /memory/root
cd /memory/root || poweroff -f
for folder in proc sys dev; do mount --move "/$folder" "$folder"; done
mkdir -p run out dev/pts dev/shm
ln -s /proc/self/fd dev/fd
# /tmp stays the host's, with changes in memory: the checkout may lie there.
for folder in run dev/shm; do mount -t tmpfs tmpfs "$folder"; done
share out out cache=none
mount -t devpts devpts dev/pts
mount -t tracefs tracefs sys/kernel/tracing
mount -t bpf bpf sys/fs/bpf
mount -t cgroup2 cgroup2 sys/fs/cgroup
# A reset (b) ends the machine at once, where a power-off first takes away the share that the shell runs from.
exec switch_root /memory/root /bin/sh -c '/bin/sh /out/job.sh >/out/job.log 2>&1; echo $? >/out/status; sync; echo b >/proc/sysrq-trigger'
