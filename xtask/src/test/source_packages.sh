# SPDX-License-Identifier: GPL-2.0-only
# Builds the module from one source package, without network, as root in a root that is thrown away:
#   $1 kernel release, $2 form: tarball, dsc, suse or rhel; /source the packages; /out takes the module as $2.ko
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

# Fills in what the distribution's macros would: names, and the file list.
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
    rpmbuild --rebuild --nodeps --quiet --define "_topdir $PWD" /source/involflt-*.src.rpm
    find RPMS -name "$2-[0-9]*.rpm" -exec rpm2archive -n {} ';'
    find RPMS -name '*.tar' -exec tar -xf {} ';'
    cp "lib/modules/$kernel/$3/involflt/involflt.ko" "/out/$form.ko"
}

case $form in
    tarball)
        tar -xf /source/involflt-*.tar.xz
        ! make -C involflt-*/module -f involflt.mak "KDIR=$kdir" TELEMETRY=yes > said 2>&1 || fail "TELEMETRY=yes is unheeded"
        grep -F 'involflt: error: TELEMETRY=yes is not possible' said || fail "TELEMETRY=yes is not refused: $(cat said)"
        make -C involflt-*/module -f involflt.mak "KDIR=$kdir" TELEMETRY=no
        cp involflt-*/module/involflt.ko /out/tarball.ko
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
    suse) rebuild '%suse_version 1500' involflt-kmp-default updates ;;
    rhel) rebuild '%rhel 9' kmod-involflt extra ;;
    *) fail "no such form: $form" ;;
esac
