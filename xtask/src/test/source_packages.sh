# SPDX-License-Identifier: GPL-2.0-only
# Builds the module from one source package, without network, as root in a root that is thrown away:
#   $1 kernel release, $2 form: tarball, dsc, sbuild, suse or rhel; /source the packages; /out takes the module as $2.ko
# suse and rhel rebuild the src.rpm with stand-ins for their macros, which only those distributions have.
set -eu
kernel=$1 form=$2 kdir=/lib/modules/$1/build
fail() {
    echo "failed: $*"
    exit 1
}
for tool in cargo rustc python3; do
    ! command -v "$tool" || fail "$tool is installed"
done
[ -z "$(tail -n +2 /proc/net/route)" ] || fail "there is a network"
mkdir "/tmp/$form"
cd "/tmp/$form"

# Fills in what the distribution's macros would: names, and the file list. $4 is for rpmbuild.
rebuild() {
    cat > ~/.rpmmacros <<END
$1
%kernel_module_package_buildreqs make
%flavors_to_build default
%kernel_source() $kdir
%kernel_module_package(x:) \\
%package -n $2 \\
Summary: The module \\
%description -n $2 \\
The module. \\
%files -n $2 \\
/lib/modules/$kernel/$3/involflt/involflt.ko*
END
    rpmbuild --rebuild --nodeps --quiet ${4:-} --define "_topdir $PWD" /source/involflt-*.src.rpm
    find RPMS -name "$2-[0-9]*.rpm" -exec rpm2archive -n {} ';'
    find RPMS -name '*.tar' -exec tar -xf {} ';'
    cp "lib/modules/$kernel/$3/involflt/involflt.ko" "/out/$form.ko"
}

case $form in
    tarball)
        tar -xf /source/involflt-*.tar.xz
        cd involflt-*/module
        ! make -f involflt.mak "KDIR=$kdir" TELEMETRY=on > said 2>&1 || fail "TELEMETRY=on is unheeded"
        grep -F 'involflt: error: TELEMETRY=on is neither yes nor no' said || fail "TELEMETRY=on: $(cat said)"
        # Also one after the other in one tree; what the module says of itself, and whether it knows where records go.
        for telemetry in yes no; do
            make -f involflt.mak "KDIR=$kdir" TELEMETRY=$telemetry
            tr '\0' '\n' < involflt.ko > strings
            grep -aqx "telemetry=$telemetry" strings || fail "TELEMETRY=$telemetry: the module does not say so"
            case $telemetry.$(grep -ac involflt_telemetry_completed strings || :) in
                yes.0 | no.[1-9]*) fail "TELEMETRY=$telemetry: the code for it is there, or is not" ;;
            esac
        done
        cp involflt.ko /out/tarball.ko
        ;;
    dsc)
        dpkg-source -x /source/involflt_*.dsc tree
        cd tree
        # Everything that the package asks for is there; build-essential's C++ compiler is not.
        KERNELS=$kernel dpkg-buildpackage -us -uc -b --ignore-builtin-builddeps
        dpkg-deb -f ../involflt-modules_*.deb Depends | grep -F "linux-image-$kernel" || fail "it depends on no kernel"
        dpkg-deb -x ../involflt-modules_*_amd64.deb /tmp/unpacked
        find /tmp/unpacked -name involflt.ko -exec cp {} /out/dsc.ko ';'
        ;;
    sbuild)
        # The root itself, without what is mounted in it, is what sbuild builds in.
        mkdir -p /srv/clean
        mount --bind / /srv/clean
        cat > /etc/schroot/chroot.d/clean <<END
[clean]
type=directory
directory=/srv/clean
profile=sbuild
groups=root
root-groups=root
END
        KERNELS=$kernel sbuild --chroot=clean --dist=bookworm --no-apt-update --no-apt-upgrade --no-apt-distupgrade \
            --no-run-lintian --no-run-autopkgtest --no-run-piuparts /source/involflt_*.dsc
        dpkg-deb -x involflt-modules_*_amd64.deb unpacked
        find unpacked -name involflt.ko -exec cp {} /out/sbuild.ko ';'
        ;;
    suse) rebuild '%suse_version 1500' involflt-kmp-default updates ;;
    rhel)
        rebuild '%rhel 9' kmod-involflt-telemetry extra '--with telemetry'
        tr '\0' '\n' < /out/rhel.ko | grep -aqx telemetry=yes || fail "--with telemetry: the module has none"
        ;;
    *) fail "no such form: $form" ;;
esac
