#!/bin/sh
# validate_golden.sh DRCOORDCTL [--rewrite] -- what `drcoordctl validate` says of every file in tests/bad/ (together
# with the one that its first line may name) is what stands beside it in NAME.expected; with --rewrite that is
# written anew, to be reviewed as a diff.
set -u
ctl=$(readlink -f "$1")
[ -x "$ctl" ] || { echo "not ok - there is no program $1"; exit 1; }
cd "$(dirname "$0")/../bad" || exit 1
rewrite=${2:-}
failed=0
count=0
said=$(mktemp) || exit 1
trap 'rm -f "$said"' EXIT
for file in *.yaml; do
	name=${file%.yaml}
	# Some things are wrong only beside another file.
	beside=$(sed -n '1s/^# together with: //p' "$file")
	"$ctl" validate "$file" ${beside:+"$beside"} >"$said" 2>&1
	echo "exit $?" >>"$said"
	count=$((count + 1))
	if [ "$rewrite" = --rewrite ]; then
		cp "$said" "$name.expected"
	elif ! diff -u "$name.expected" "$said"; then
		echo "not ok - $file"
		failed=1
	fi
done
for file in *.expected; do
	[ -e "${file%.expected}.yaml" ] || { echo "not ok - $file belongs to no file"; failed=1; }
done
# Each inequality of design.md 6 that a file can break is broken by one.
for name in 'TTL - F >= ' 'F >= stop + M + stall' 'M >= wake-up + kill' 'hb <= E/5' \
	'E >= 10 x (round trip + p99 fsync)' '2P + Pd <= D' 'D <= TTL' 'Pd >= 10 round trips'; do
	grep -qF -- "$name" ./*.expected || { echo "not ok - no file breaks $name"; failed=1; }
done
[ "$count" -ge 20 ] || { echo "not ok - only $count files were looked at"; failed=1; }
[ "$failed" -eq 0 ] && echo "ok - $count files"
exit "$failed"
