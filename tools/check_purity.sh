#!/usr/bin/env bash
# check_purity.sh BUILD -- that the cores can reach nothing: no clock, file, allocation, log or randomness.
#
# Looks at the symbols that the static libraries of the two cores (and model/) leave undefined on the release
# build.  Allowed: what the compiler itself calls, what they define for each other, and tools/purity.allow.
set -u
cd "$(dirname "$(readlink -f "$0")")/.." || exit 2
build=${1:-build/release}
bad=0

symbols() { # nm's option, archive...: names only
	local option=$1
	shift
	nm "$option" "$@" 2>/dev/null | awk 'NF >= 2 && $NF !~ /:$/ { print $NF }' | sort -u
}

for folder in coord/core agent/core model; do
	lib=$(ls "$build/$folder"/*.a 2>/dev/null | head -n 1)
	[ -n "$lib" ] || { [ -d "$folder" ] && { echo "not ok - $folder is pure: its library is not in $build"; bad=1; }; continue; }
	ours=("$lib" $(ls "$build"/model/*.a 2>/dev/null))
	reaches=$(comm -23 <(symbols -u "$lib") <(symbols --defined-only "${ours[@]}") |
		grep -vxF -f <(sed 's/[[:space:]]*#.*//; /^$/d' tools/purity.allow))
	if [ -z "$reaches" ]; then
		echo "ok - $folder is pure"
	else
		printf '%s\n' "$reaches" | sed "s|^|# $folder reaches |"
		echo "not ok - $folder is pure: allowed is what tools/purity.allow lists"
		bad=1
	fi
done
exit $bad
