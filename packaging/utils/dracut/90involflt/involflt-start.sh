#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Filters the configured disks before the root file system is mounted. The boot goes on in any case.

modprobe -q involflt in_initrd=yes || warn "involflt: there is no module for this kernel in the initramfs"
[ ! -e /sys/module/involflt ] || /usr/sbin/involfltctl start --configured --before-root ||
	warn "involflt: not every configured disk is filtered"
