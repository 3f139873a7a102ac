# SPDX-License-Identifier: GPL-2.0-only
# One machine's life with involflt-dkms, as root in a root that is thrown away.
#   $1 kernel release, $2 driver's version; /staged the package's files; /headers the headers package's file; /out takes the module,
#   and what the farm's checks want to know of the kernel.
# Each step says its name first, so that the last line before a failure tells which it was.
set -eu
kernel=$1
kdir=$(readlink -f "/lib/modules/$kernel/build")
program=/usr/lib/involflt/involflt-dkms

start=$(date +%s)
step() {
    echo "step, after $(($(date +%s) - start)) s: $*"
}
fail() {
    echo "failed: $*"
    exit 1
}
# Everything that a removal must not leave; apart from that, DKMS makes a signing key, depmod its indices, and Python its caches.
files() {
    find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /tmp -o -path /run -o -path /out -o -path /staged -o -path /headers -o -path /var/lib/dpkg -o -path /var/log \) -prune \
        -o -print | grep -v -e "^/lib/modules/$kernel/modules\." -e "^/usr/lib/modules/$kernel/modules\." -e '^/var/lib/dkms/mok\.' -e /__pycache__ |
        sort
}
# Runs a command with its output in /tmp/said.
said() {
    "$@" > /tmp/said 2>&1 || { status=$?; cat /tmp/said; fail "$* ended with $status"; }
    cat /tmp/said
}
# One line tells of the failed build, names its cause and its log, and nothing is installed.
told() {
    lines=$(grep -c '^involflt: no module for' /tmp/said) || true
    [ "$lines" = 1 ] || fail "$lines lines tell of the failure, 1 expected"
    grep -q "^involflt: no module for $kernel: .*$1.*(log: /var/log/involflt-dkms-$kernel.log)" /tmp/said ||
        fail "the line does not say: $1"
    [ -s "/var/log/involflt-dkms-$kernel.log" ] || fail "the log is not there"
    [ -z "$(find /lib/modules/ -name 'involflt.ko*')" ] || fail "a module is installed"
}

# Where a kernel's image is installed it has indices; without them, DKMS makes none.
depmod "$kernel" 2> /tmp/said
step "no Rust is here"
! command -v rustc || fail "rustc is installed"
files > /tmp/before
cp -R /staged/. /

step "a kernel with a module of a package gets no second one"
mkdir -p "/lib/modules/$kernel/updates/involflt"
touch "/lib/modules/$kernel/updates/involflt/involflt.ko"
said $program install
[ ! -s /tmp/said ] || fail "something was done"
status=0
dkms build -m involflt -v "$2" -k "$kernel" || status=$?
case $status in 9 | 77) ;; *) fail "dkms build ended with $status" ;; esac
mkdir -p /lib/modules/9.9.9-none/kernel
said $program install
grep -qx 'involflt: no module for 9.9.9-none: its headers are not installed' /tmp/said || fail "a kernel has no headers"
rm -r "/lib/modules/$kernel/updates" /lib/modules/9.9.9-none

step "a source that does not compile fails no installation of headers"
cp "/usr/src/involflt-$2/glue/hook.c" /tmp/hook.c
echo '#error a kernel that nobody knows' >> "/usr/src/involflt-$2/glue/hook.c"
said dpkg -i /headers/linux-headers-"$kernel"_*.deb
told 'a kernel that nobody knows'
cp /tmp/hook.c "/usr/src/involflt-$2/glue/hook.c"

step "a kernel without what the module needs is told of by the option's name"
cp "$kdir/include/config/auto.conf" /tmp/auto.conf
sed -i -e '/RETPOLINE/d' "$kdir/include/config/auto.conf"
said $program kernel "$kernel"
told CONFIG_MITIGATION_RETPOLINE
cp /tmp/auto.conf "$kdir/include/config/auto.conf"

step "a damaged Rust object is refused"
cp "/usr/src/involflt-$2/involflt_core.o_shipped" /tmp/core
echo damage >> "/usr/src/involflt-$2/involflt_core.o_shipped"
said $program kernel "$kernel"
told 'is not the one that was shipped'
cp /tmp/core "/usr/src/involflt-$2/involflt_core.o_shipped"

step "the makefile alone says what is wrong"
# refused WORDS ARGUMENT...: make fails, and says the words.
refused() {
    words=$1
    shift
    if make -C /tmp/source -f involflt.mak "$@" > /tmp/said 2>&1; then fail "make $* should have failed"; fi
    grep -q "involflt: error: .*$words" /tmp/said || { cat /tmp/said; fail "make $* does not say: $words"; }
}
cp -R "/usr/src/involflt-$2" /tmp/source
refused 'KDIR is not set'
refused 'no kernel headers' KDIR=/lib/modules/none/build
refused 'PATCH_LEVEL=3 is for SLES' "KDIR=$kdir" PATCH_LEVEL=3
refused 'there is no rustc: install rustc 1.85 or newer' "KDIR=$kdir" INVOLFLT_REBUILD_RUST=1 involflt_core.o_rebuilt
mkdir -p /tmp/sles-stand-in/include/config
touch /tmp/sles-stand-in/Makefile
{ cat "$kdir/include/config/auto.conf"; echo CONFIG_SUSE_VERSION=15; echo CONFIG_SUSE_PATCHLEVEL=4; } \
    > /tmp/sles-stand-in/include/config/auto.conf
refused 'SLES 15 service pack 4: say PATCH_LEVEL=4' KDIR=/tmp/sles-stand-in PATCH_LEVEL=3
for right in '' 4; do
    said make -C /tmp/source -f involflt.mak KDIR=/tmp/sles-stand-in PATCH_LEVEL=$right involflt_core.o_shipped
done
rm /tmp/source/involflt_core.o_shipped
refused 'o_shipped is not here: there is no rustc.*or take the source tarball' "KDIR=$kdir"

step "the hook builds and installs the module when headers come"
said dpkg -i /headers/linux-headers-"$kernel"_*.deb
grep -q "^involflt: DKMS built the module for $kernel$" /tmp/said || fail "it does not say so"
dkms status -m involflt
module=$(modinfo -k "$kernel" -n involflt)
case $module in "/lib/modules/$kernel/updates/dkms/involflt.ko"*) ;; *) fail "modinfo finds $module" ;; esac
case $module in
    *.xz) xz -dc "$module" > /out/involflt.ko ;;
    *) cp "$module" /out/involflt.ko ;;
esac
mkdir -p /out/kdir/include/generated
for file in .config Module.symvers include/generated/utsrelease.h; do
    cp "$kdir/$file" "/out/kdir/$file"
done
chmod -R a+rX /out
[ -z "$(ls /var/log/involflt-dkms-* 2>/dev/null)" ] || fail "a log of a build that went well is left"

step "where a package comes to have the module, it is the only one until the package goes"
mkdir "/lib/modules/$kernel/updates/involflt"
touch "/lib/modules/$kernel/updates/involflt/involflt.ko"
said $program kernel "$kernel"
[ ! -e "$module" ] || fail "two modules are installed"
rm -r "/lib/modules/$kernel/updates/involflt"
said $program kernel "$kernel"
[ -e "$module" ] || fail "no module is installed"

step "a removal leaves nothing"
said $program remove
(cd /staged && find . -type f) | while read -r file; do rm "/$file"; done
rm -r "/usr/src/involflt-$2" /usr/lib/involflt
[ -d /etc/kernel/postinst.d ] && rmdir --ignore-fail-on-non-empty /etc/kernel/postinst.d /etc/kernel/header_postinst.d
files > /tmp/after
diff /tmp/before /tmp/after || fail "files are left"
step "done"
