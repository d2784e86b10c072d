#!/bin/sh
# The first process of an emulated node. It is over with the kubelet: then the machine is switched off, and
# whoever waits for the node learns it by the end of qemu.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
say() { echo "$(cut -d ' ' -f 1 /proc/uptime) s: $*" >/dev/console; }

mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t cgroup2 groups /sys/fs/cgroup
mount -t tmpfs -o mode=755 run /run
mkdir /dev/pts /dev/shm /run/lock
mount -t devpts terminals /dev/pts
mount -t tmpfs shared /dev/shm
mount -t ext4 /dev/vdb /node
mkdir -p /var/lib/containerd
mount --bind /node/containerd /var/lib/containerd
# As on the other nodes, mounts pass between the runtime and pods.
mount --make-rshared /

modprobe -a virtio_net virtio_console br_netfilter iscsi_tcp
cat /etc/hostname >/proc/sys/kernel/hostname
ip -batch /kubewitness/links
echo 1 >/proc/sys/net/ipv4/ip_forward
say "has a network"

# It makes the names under /dev/disk by which the kubelet looks for a disk of iSCSI.
/lib/systemd/systemd-udevd --daemon 2>/dev/null
iscsid

# Behind these serial ports are the cluster's logs, see emulated.py. Their names begin with the number of a device.
until set -- /dev/vport*p1 /dev/vport*p2 /dev/vport*p3 && [ -c "$3" ]; do sleep 0.1; done
/kubewitness/containerd >"$1" 2>&1 &
until [ -S /run/containerd/containerd.sock ]; do sleep 0.1; done
say "runs containerd"
/kubewitness/kube-proxy >"$3" 2>&1 &
/kubewitness/kubelet >"$2" 2>&1 &
wait $!
say "its kubelet ended with status $?"
busybox poweroff -f
