#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Asks a KDIR all probes, and prints glue/probed.h; involflt.mak calls this. What the compiler said is in probes/probes.log.
# Arguments: the command that makes an object here with the kernel's makefiles, and the names of all probes.
#
# All probes are one compilation, as nearly all of its time goes into the kernel's headers. Where that tells an error that is in no
# probe, or where the control that must fail has none, each is compiled alone; INVOLFLT_PROBES=alone does so at once.
set -u
cd "$(dirname "$0")/probes" || exit
kbuild=$1
shift
export LC_ALL=C

# The headers come first: a probe's function has a name of its own, and no header may see that.
together() {
	# Compilers before gcc 10 take the name of a directory for that macro.
	echo '#undef linux'
	sed -n 's/^#include \(<.*>\)$/\1/p' [a-z]*.c | sort -u | while read -r header; do
		printf '#if __has_include(%s)\n#include %s\n#endif\n' "$header" "$header"
	done
	for probe in "$@"; do
		printf '#define probe probe_%s\n' "$probe"
		# Those after an #if are only wanted where they are.
		sed -n '/^#if/q; s/^#include \(<.*>\)$/\1/p' "$probe.c" | while read -r header; do
			printf '#if !__has_include(%s)\n#define INV_MISSING\n' "$header"
			printf '#line 1 "%s.c"\n#error no %s\n#endif\n' "$probe" "$header"
		done
		printf '#ifndef INV_MISSING\n#include "%s.c"\n#endif\n#undef INV_MISSING\n#undef probe\n' "$probe"
	done
}

# The names of the files that errors are in.
failed() {
	sed -n 's/^\(.*\/\)\{0,1\}\([^ /:]*\)\.[a-z]*:[0-9:]* \(fatal \)\{0,1\}error: .*/\2/p' probes.log | sort -u
}

is_among() {
	case " $2 " in
	*" $1 "*) return 0 ;;
	*) return 1 ;;
	esac
}

ask_together() {
	text=$(together "$@")
	printf '%s\n' "$text" > together.c
	eval "$kbuild" 'M="$PWD" -s together.o' > probes.log 2>&1
	errors=$(failed | tr '\n' ' ')
	rm -f together.c together.o .together.o.cmd
	is_among control_absent "$errors" || return 1
	! is_among control_present "$errors" || return 1
	for name in $errors; do
		is_among "$name" "$*" || return 1
	done
	found=
	for probe in "$@"; do
		is_among "$probe" "$errors" || found="$found $probe"
	done
}

ask_alone() {
	eval "$kbuild" 'M="$PWD" -k -s' "$(printf '%s.o ' "$@")" > probes.log 2>&1
	found=
	for probe in "$@"; do
		[ ! -e "$probe.o" ] || found="$found $probe"
		rm -f "$probe.o" ".$probe.o.cmd"
	done
}

{ [ "${INVOLFLT_PROBES-}" != alone ] && ask_together "$@"; } || ask_alone "$@"
is_among control_present "$found" || {
	cat probes.log >&2
	echo "involflt: error: the control probe does not compile: are this kernel's compiler and headers whole?" >&2
	exit 1
}
if is_among control_absent "$found"; then
	echo "involflt: error: the probe that must fail compiles" >&2
	exit 1
fi
echo '/* What the probes found in this KDIR; made by involflt.mak. */'
for probe in $found; do
	case $probe in
	control_*) ;;
	*) echo "#define INV_HAVE_$(echo "$probe" | tr '[:lower:]' '[:upper:]')" ;;
	esac
done
