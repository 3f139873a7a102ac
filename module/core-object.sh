#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Makes involflt_core.o_shipped, the one Rust object for all kernels without Rust, of core's source and the driver's:
#   sh core-object.sh DIRECTORY    DIRECTORY gets the object, and in `undefined` the names that it wants of a kernel
#   sh core-object.sh --check      says what is missing for that, if anything is
# TELEMETRY=yes in the environment makes the one with telemetry.
# It needs rustc 1.85 or newer with its source. The same rustc and binutils make the same bytes in any directory.
#
# Mitigation profile of x86-64: retpolines and return thunks of the kernel's own, and endbr64 at indirect targets.
# Kernels with frame pointers (Ubuntu's) find by them what is on the stack, when they are to copy from or to it.
# With the PLT, memcpy and friends are called directly: a kernel has no GOT, and its loader refuses relocations to one.
# Only the smallest functions are inlined, and those that ask for it: what a write goes through. Else the code were a fifth larger.
# core is compiled for the same target; compiler_builtins is empty, as the kernel brings memcpy itself.
# The linker leaves names of 128-bit helpers that nothing uses; modpost would want them.
set -eu
export RUSTC_BOOTSTRAP=1 LC_ALL=C
missing() {
    echo "$1: install rustc 1.85 or newer and its source (Debian: rustc, rust-src)" >&2
    exit 1
}
version=$(rustc --version 2>/dev/null | sed -n 's/^rustc 1\.\([0-9]*\)\..*/\1/p')
[ -n "$version" ] || missing "there is no rustc"
[ "$version" -ge 85 ] || missing "rustc 1.$version is too old"
library=$(rustc --print sysroot)/lib/rustlib/src/rust/library
[ -e "$library/core/src/lib.rs" ] || missing "rustc's own source is not in $library"
[ "$1" != --check ] || exit 0

telemetry=
[ "${TELEMETRY:-no}" = no ] || telemetry=yes
source=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
cd "$1"
compile() {
    rustc --target x86_64-unknown-none -Copt-level=2 -Cpanic=abort -Ccode-model=kernel -Crelocation-model=static \
        -Cforce-unwind-tables=n -Cforce-frame-pointers=y -Csymbol-mangling-version=v0 -Cembed-bitcode=n -Clto=n -Cllvm-args=-inline-threshold=30 -Ccodegen-units=1 -Cno-redzone=y \
        -Zfunction-return=thunk-extern -Zcf-protection=branch -Zunstable-options -Zplt=yes \
        -Ctarget-feature=+retpoline-indirect-calls,+retpoline-indirect-branches,+retpoline-external-thunk \
        --remap-path-prefix="$library/=library/" --remap-path-prefix="$source/=" --remap-path-prefix="$PWD/=" "$@"
}
edition=$(sed -n 's/^edition = "\(.*\)"/\1/p' "$library/core/Cargo.toml")
compile --edition "$edition" --crate-name core --crate-type rlib --emit=obj=core.o,metadata=libcore.rmeta \
    --cfg no_fp_fmt_parse --cap-lints allow "$library/core/src/lib.rs"
printf '#![feature(compiler_builtins)]\n#![no_std]\n#![no_builtins]\n#![compiler_builtins]\n' > builtins.rs
compile --sysroot=/dev/null -L . --edition 2021 --crate-name compiler_builtins --crate-type rlib \
    --emit=obj=builtins.o,metadata=libcompiler_builtins.rmeta builtins.rs
compile --sysroot=/dev/null -L . --extern force:compiler_builtins=libcompiler_builtins.rmeta --edition 2021 \
    --crate-name involflt --crate-type rlib --emit=obj=involflt.o --check-cfg 'cfg(feature, values("telemetry"))' \
    ${telemetry:+--cfg 'feature="telemetry"'} "$source/src/cglue_main.rs"
grep -v '^#' "$source/glue/exports" > exports
sed 's/^/-u /' exports > wanted
ld -r --gc-sections @wanted -e inv_rs_ioctl -o linked.o involflt.o core.o
objcopy --wildcard --strip-unneeded-symbol='__*ti3' --keep-global-symbols=exports linked.o involflt_core.o_shipped
nm -u involflt_core.o_shipped | sed 's/.* //' > undefined
