#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Puts the driver and involfltctl into the initramfs, where the configuration or `dracut --add involflt` asks for it.

conf=/etc/involflt/involflt.conf

check() {
	grep -qsE '^[[:space:]]*initramfs[[:space:]]*=[[:space:]]*yes[[:space:]]*$' "${dracutsysrootdir-}$conf" || return 255
}

depends() {
	return 0
}

installkernel() {
	instmods involflt
}

install() {
	inst_simple "$conf"
	inst_binary /usr/sbin/involfltctl
	# shellcheck disable=SC2154 # dracut sets moddir
	inst_hook pre-mount 50 "$moddir/involflt-start.sh"
}
