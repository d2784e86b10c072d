#!/bin/busybox sh
# The first program of an emulated node, from its initramfs: finds the disk with the root file system, brings the
# cluster's files there, and goes on with guest-node.sh.
/bin/busybox mount -t devtmpfs devices /dev
for module in /modules/*; do /bin/busybox insmod "$module"; done
/bin/busybox mount -t ext4 /dev/vda /root
/bin/busybox mount --move /dev /root/dev
/bin/busybox cp -a /cluster/. /root/
exec /bin/busybox switch_root /root /kubewitness/init
