#!/usr/bin/env bash
# check_purity.sh BUILD -- that the cores can reach nothing: no clock, file, allocation, log or randomness; and that
# `simulate` and `ready` can reach nobody who carries something out.
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

# They run the planner on a copy, in coord/core: around that they read, and answer whoever asked.
may='json_[a-z_]+|dr_(forecast|ready|reason|kind|step|clock)_[a-z_]+|dr_forecast|dr_repl_(event|service_find)|dr_clients_(json|error|refused)|dr_runbook_(of|step|when_name|failure_name|refused)|dr_(name_eq|durability_name|core_verdict|past_read|site_plan_kind|service_member_find|coord_leads|peers_reachable|tls_expires|assert_failed)|mem(cpy|move|set)|str(cmp|len)|snprintf|mmap(64)?|__[a-z_]+_chk|__stack_chk_fail'
if [ -e coord/shell/simulate.c ]; then
	lib=$build/coord/shell/libdr_forecasts.a
	reaches=$(symbols -u "$lib" | grep -vxE "$may")
	[ -n "$(symbols --defined-only "$lib")" ] || reaches="nothing: it is not in $build"
	if [ -z "$reaches" ]; then
		echo "ok - simulate and ready reach no executor"
	else
		printf '%s\n' "$reaches" | sed "s|^|# they reach |"
		echo "not ok - simulate and ready reach no executor: what they may call stands in tools/check_purity.sh"
		bad=1
	fi
fi
exit $bad
